"""The inventory service: the last units of an article go to whoever takes them first, and to nobody twice.

The articles are read before the transaction begins, as in a service that prices or picks in between.
The write then checks and decrements in one statement: enough must be available *and* the version must
be the one that was read. A changed version is read again; too little stock is a refusal.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ..catalogue import ARTICLES
from .base import Changed, Refused, Resource, Service, main, rows

_TAKE = (
    "UPDATE articles SET reserved = reserved + :quantity, version = version + 1"
    " WHERE sku = :sku AND on_hand - reserved >= :quantity AND version = :version"
)


def open_books(connection: sqlite3.Connection) -> None:
    for article in ARTICLES:
        connection.execute("INSERT INTO articles (sku, on_hand) VALUES (?, ?)", (article.sku, article.stock))
        _enter(connection, "receive", "", article.sku, article.stock)


def read(connection: sqlite3.Connection, body: Any) -> dict[str, dict[str, int]]:
    """The ordered articles as they are now: sku -> available, version."""
    seen = {}
    for sku in _wanted(body):
        for row in rows(
            connection, "SELECT on_hand - reserved AS available, version FROM articles WHERE sku = ?", (sku,)
        ):
            seen[sku] = row
    return seen


def reserve(connection: sqlite3.Connection, order_id: str, body: Any) -> Mapping[str, Any]:
    for sku, quantity in _wanted(body).items():
        seen = body["seen"].get(sku)
        if seen is None:
            raise Refused(f"there is no article {sku}")
        take = {"sku": sku, "quantity": quantity, "version": seen["version"]}
        if connection.execute(_TAKE, take).rowcount == 0:
            if _version(connection, sku) != seen["version"]:
                raise Changed
            raise Refused(f"out of stock: {quantity} of {sku} wanted, {seen['available']} left")
        connection.execute(
            "INSERT INTO reservations (order_id, sku, quantity, state) VALUES (?, ?, ?, 'held')",
            (order_id, sku, quantity),
        )
        _enter(connection, "reserve", order_id, sku, quantity)
    return {"reserved": dict(_wanted(body))}


def release(connection: sqlite3.Connection, order_id: str, _body: Any) -> Mapping[str, Any]:
    held = rows(connection, "SELECT * FROM reservations WHERE order_id = ? AND state = 'held'", (order_id,))
    for row in held:
        connection.execute(
            "UPDATE articles SET reserved = reserved - ?, version = version + 1 WHERE sku = ?",
            (row["quantity"], row["sku"]),
        )
        connection.execute(
            "UPDATE reservations SET state = 'released' WHERE reservation_id = ?", (row["reservation_id"],)
        )
        _enter(connection, "release", order_id, row["sku"], row["quantity"])
    return {"released": len(held)}


def _wanted(body: Any) -> Counter[str]:
    """Sku -> quantity: an order may name an article on two lines."""
    wanted: Counter[str] = Counter()
    for item in body["items"]:
        wanted[item["sku"]] += item["quantity"]
    return wanted


def _version(connection: sqlite3.Connection, sku: str) -> int:
    return int(connection.execute("SELECT version FROM articles WHERE sku = ?", (sku,)).fetchone()[0])


def _enter(connection: sqlite3.Connection, kind: str, order_id: str, sku: str, quantity: int) -> None:
    connection.execute(
        "INSERT INTO ledger (kind, order_id, sku, quantity) VALUES (?, ?, ?, ?)", (kind, order_id, sku, quantity)
    )


SERVICE = Service("inventory", open_books=open_books, resources={"stock": Resource(reserve, release, read)})

if __name__ == "__main__":
    main(SERVICE)
