"""Starlette: as with FastAPI, the lifespan opens and closes the orchestrator.

uvicorn examples.web.starlette_app:app
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypedDict

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from amends import AmendsError, Conflict, NotFound, Orchestrator, UsageError
from examples.web.fulfil import ADDRESS, Approval, Order, fulfil


class State(TypedDict):
    orchestrator: Orchestrator


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[State]:
    async with Orchestrator(ADDRESS, sagas=[fulfil]) as orchestrator:
        yield {"orchestrator": orchestrator}


async def place(request: Request) -> JSONResponse:
    order = msgspec.json.decode(await request.body(), type=Order)
    saga = await request.state.orchestrator.start(fulfil, order, key=f"order-{order.number}")
    return JSONResponse({"id": saga.id}, 202, {"Location": f"/orders/{saga.id}"})


async def look(request: Request) -> JSONResponse:
    view = await request.state.orchestrator.get(request.path_params["saga_id"])
    return JSONResponse(
        {"id": view.id, "status": view.status, "step": view.step, "cause": view.cause, "result": view.result}
    )


async def approve(request: Request) -> JSONResponse:
    approval = msgspec.json.decode(await request.body(), type=Approval)
    applied = await request.state.orchestrator.signal(request.path_params["saga_id"], "approval", approval)
    return JSONResponse({"applied": applied}, 202)


async def refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AmendsError)
    kinds = {NotFound: 404, Conflict: 409, UsageError: 422}
    status = next((code for kind, code in kinds.items() if isinstance(error, kind)), 503)
    return JSONResponse({"error": error.code, "message": error.message}, status)


app = Starlette(
    lifespan=lifespan,
    exception_handlers={AmendsError: refused},
    routes=[
        Route("/orders", place, methods=["POST"]),
        Route("/orders/{saga_id}", look),
        Route("/orders/{saga_id}/approval", approve, methods=["POST"]),
    ],
)
