"""Flask: the same verbs, blocking. The orchestrator is opened by the first request that needs it.

flask --app examples.web.flask_app run
gunicorn --preload examples.web.flask_app:app      # each worker opens its own behind the fork
"""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, jsonify, request, url_for

from amends import AmendsError, Conflict, NotFound, SyncOrchestrator, UsageError
from examples.web.fulfil import ADDRESS, Approval, Order, fulfil

orchestrator = SyncOrchestrator(ADDRESS, sagas=[fulfil])
app = Flask(__name__)


@app.errorhandler(AmendsError)
def refused(error: AmendsError) -> tuple[Response, int]:
    kinds = {NotFound: 404, Conflict: 409, UsageError: 422}
    status = next((code for kind, code in kinds.items() if isinstance(error, kind)), 503)
    return jsonify(error=error.code, message=error.message), status


@app.post("/orders")
def place() -> tuple[Response, int, dict[str, str]]:
    order = Order(**request.get_json())
    saga = orchestrator.start(fulfil, order, key=f"order-{order.number}")
    return jsonify(id=saga.id), 202, {"Location": url_for("look", saga_id=saga.id)}


@app.get("/orders/<saga_id>")
def look(saga_id: str) -> dict[str, Any]:
    view = orchestrator.get(saga_id)
    return {"id": view.id, "status": view.status, "step": view.step, "cause": view.cause, "result": view.result}


@app.post("/orders/<saga_id>/approval")
def approve(saga_id: str) -> tuple[dict[str, bool], int]:
    return {"applied": orchestrator.signal(saga_id, "approval", Approval(**request.get_json()))}, 202
