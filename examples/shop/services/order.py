"""The order service: an order is created, and cancelled when it cannot be fulfilled."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from .base import Resource, Service, encode, main


def create(connection: sqlite3.Connection, order_id: str, body: Any) -> Mapping[str, Any]:
    connection.execute(
        "INSERT INTO orders (order_id, customer, items, total_cents, state) VALUES (?, ?, ?, ?, 'created')",
        (order_id, body["customer"], encode(body["items"]), body["total_cents"]),
    )
    connection.execute("INSERT INTO ledger (kind, order_id) VALUES ('create', ?)", (order_id,))
    return {"order_id": order_id}


def cancel(connection: sqlite3.Connection, order_id: str, _body: Any) -> Mapping[str, Any]:
    cancelled = connection.execute(
        "UPDATE orders SET state = 'cancelled' WHERE order_id = ? AND state = 'created'", (order_id,)
    ).rowcount
    connection.executemany("INSERT INTO ledger (kind, order_id) VALUES ('cancel', ?)", [(order_id,)] * cancelled)
    return {"cancelled": cancelled}


SERVICE = Service("order", open_books=lambda _connection: None, resources={"order": Resource(create, cancel)})

if __name__ == "__main__":
    main(SERVICE)
