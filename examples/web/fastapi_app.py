"""FastAPI: the orchestrator lives as long as the app does.

    uvicorn examples.web.fastapi_app:app --workers 3

Of several workers on one file one runs the sagas, and the others start them, look at them and stand by.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse

from amends import AmendsError, Conflict, NotFound, Orchestrator, UsageError
from examples.web.fulfil import ADDRESS, Approval, Order, fulfil


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with Orchestrator(ADDRESS, sagas=[fulfil]) as orchestrator:
        app.state.orchestrator = orchestrator
        yield


app = FastAPI(lifespan=lifespan)


def orchestrator_of(request: Request) -> Orchestrator:
    return request.app.state.orchestrator


Sagas = Annotated[Orchestrator, Depends(orchestrator_of)]


@app.exception_handler(AmendsError)
async def refused(request: Request, error: AmendsError) -> JSONResponse:
    kinds = {NotFound: 404, Conflict: 409, UsageError: 422}
    status = next((code for kind, code in kinds.items() if isinstance(error, kind)), 503)
    return JSONResponse({"error": error.code, "message": error.message}, status)


@app.post("/orders", status_code=202)
async def place(order: Order, sagas: Sagas, response: Response) -> dict[str, str]:
    saga = await sagas.start(fulfil, order, key=f"order-{order.number}")
    response.headers["Location"] = f"/orders/{saga.id}"
    return {"id": saga.id}


@app.get("/orders/{saga_id}")
async def look(saga_id: str, sagas: Sagas) -> dict[str, Any]:
    view = await sagas.get(saga_id)
    return {"id": view.id, "status": view.status, "step": view.step, "cause": view.cause, "result": view.result}


@app.post("/orders/{saga_id}/approval", status_code=202)
async def approve(saga_id: str, approval: Approval, sagas: Sagas) -> dict[str, bool]:
    return {"applied": await sagas.signal(saga_id, "approval", approval)}


@app.get("/worker")
async def worker(sagas: Sagas) -> dict[str, Any]:
    return {"pid": os.getpid(), "leading": sagas.leading}
