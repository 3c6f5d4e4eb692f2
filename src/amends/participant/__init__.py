"""The participant's side: a barrier that makes every call of a saga safe to repeat, reorder and undo.

    guard = Guard.from_headers(request.headers)
    with guard.sqlite3(connection) as go:
        if go.run:
            connection.execute("UPDATE accounts ...")
            go.reply({"payment_id": "p-1"})
    return JSONResponse(go.stored.body, status_code=go.stored.status)

`barrier` holds the words and the decision, `guard` reads a request, `sqlite` is the adapter.

Codes of this layer (all `UsageError`, AM2405 a `PayloadError`):
    AM2401  a request without a key, or with a malformed one
    AM2402  headers that contradict each other
    AM2403  a connection or block that the barrier cannot vouch for
    AM2404  `reply` or `refuse` where it has no meaning
    AM2405  a reply that cannot be stored
"""

from __future__ import annotations

from .barrier import Decision, Go, Op, Probe, Reply, Sighting
from .guard import Guard
from .sqlite import create_schema, forget, purge

__all__ = ["Decision", "Go", "Guard", "Op", "Probe", "Reply", "Sighting", "create_schema", "forget", "purge"]
