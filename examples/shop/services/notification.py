"""The notification service: one mail when an order is fulfilled, another when it could not be."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from .base import Business, Resource, Service, main


def send(kind: str) -> Business:
    def sending(connection: sqlite3.Connection, order_id: str, body: Any) -> Mapping[str, Any]:
        sql = "INSERT INTO mails (order_id, kind, email) VALUES (?, ?, ?)"
        return {"mail_id": connection.execute(sql, (order_id, kind, body["email"])).lastrowid}

    return sending


def sent(connection: sqlite3.Connection, _body: Any) -> Mapping[str, Any]:
    """How many mails left."""
    return {"mails": connection.execute("SELECT count(*) FROM mails").fetchone()[0]}


SERVICE = Service(
    "notification",
    open_books=lambda _connection: None,
    resources={kind: Resource(send(kind)) for kind in ("confirmation", "apology")},
    desks={"sent": sent},
)

if __name__ == "__main__":
    main(SERVICE)
