"""The payment service: money is reserved, then captured or released; a clerk may refund part of it.

A release returns the *remainder*: what the clerk refunded is with the customer already.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Mapping
from typing import Any

from ..catalogue import CUSTOMERS
from .base import Refused, Resource, Service, main, rows


def open_books(connection: sqlite3.Connection) -> None:
    for account in ("world", "held", "shop", *CUSTOMERS):
        connection.execute("INSERT INTO accounts VALUES (?, 0)", (account,))
    for customer, balance in CUSTOMERS.items():
        _move(connection, "open", {"order_id": "", "payment_id": ""}, "world", customer, balance)


def reserve(connection: sqlite3.Connection, order_id: str, body: Any) -> Mapping[str, Any]:
    if body["card"] != "valid":
        raise Refused(f"the card was refused: {body['card']}")
    customer, amount = body["customer"], body["amount_cents"]
    balance = connection.execute("SELECT balance_cents FROM accounts WHERE account = ?", (customer,)).fetchone()
    if balance is None or customer not in CUSTOMERS:
        raise Refused("there is no such customer")
    if balance[0] < amount:
        raise Refused("insufficient funds")
    payment = {"payment_id": f"p-{secrets.token_hex(6)}", "order_id": order_id}
    connection.execute(
        "INSERT INTO payments (payment_id, order_id, customer, amount_cents, state) VALUES (?, ?, ?, ?, 'reserved')",
        (payment["payment_id"], order_id, customer, amount),
    )
    _move(connection, "reserve", payment, customer, "held", amount)
    return {"payment_id": payment["payment_id"], "amount_cents": amount}


def release(connection: sqlite3.Connection, order_id: str, _body: Any) -> Mapping[str, Any]:
    returned = 0
    for payment in rows(connection, "SELECT * FROM payments WHERE order_id = ? AND state <> 'released'", (order_id,)):
        if payment["state"] == "captured":
            raise Refused("the payment was captured already")
        remainder = payment["amount_cents"] - payment["refunded_cents"]
        _move(connection, "release", payment, "held", payment["customer"], remainder)
        _set_state(connection, payment, "released")
        returned += remainder
    return {"returned_cents": returned}


def capture(connection: sqlite3.Connection, order_id: str, _body: Any) -> Mapping[str, Any]:
    found = rows(connection, "SELECT * FROM payments WHERE order_id = ? AND state = 'reserved'", (order_id,))
    if not found:
        raise Refused("nothing is reserved for this order")
    remainder = found[0]["amount_cents"] - found[0]["refunded_cents"]
    _move(connection, "capture", found[0], "held", "shop", remainder)
    _set_state(connection, found[0], "captured")
    return {"captured_cents": remainder}


def refund(connection: sqlite3.Connection, body: Any) -> Mapping[str, Any]:
    """The clerk gives some of it back: from what is held, or from the shop's own money."""
    found = rows(connection, "SELECT * FROM payments WHERE order_id = ? AND state <> 'released'", (body["order_id"],))
    amount = body["amount_cents"]
    if not found or not 0 < amount < found[0]["amount_cents"] - found[0]["refunded_cents"]:
        raise Refused("there is not so much to refund")
    payment = found[0]
    source = "held" if payment["state"] == "reserved" else "shop"
    _move(connection, "refund", payment, source, payment["customer"], amount)
    connection.execute(
        "UPDATE payments SET refunded_cents = refunded_cents + ? WHERE payment_id = ?", (amount, payment["payment_id"])
    )
    return {"refunded_cents": amount, "state": payment["state"]}


def reserved(connection: sqlite3.Connection, _body: Any) -> Mapping[str, Any]:
    """What a clerk sees on the desk: the payments that are reserved now."""
    sql = "SELECT order_id, amount_cents, refunded_cents FROM payments WHERE state = 'reserved' LIMIT 500"
    return {"payments": rows(connection, sql)}


def _move(
    connection: sqlite3.Connection, kind: str, payment: Mapping[str, Any], source: str, target: str, amount: int
) -> None:
    connection.execute(
        "INSERT INTO ledger (kind, order_id, payment_id, source, target, amount_cents) VALUES (?, ?, ?, ?, ?, ?)",
        (kind, payment["order_id"], payment["payment_id"], source, target, amount),
    )
    connection.execute("UPDATE accounts SET balance_cents = balance_cents - ? WHERE account = ?", (amount, source))
    connection.execute("UPDATE accounts SET balance_cents = balance_cents + ? WHERE account = ?", (amount, target))


def _set_state(connection: sqlite3.Connection, payment: Mapping[str, Any], state: str) -> None:
    connection.execute("UPDATE payments SET state = ? WHERE payment_id = ?", (state, payment["payment_id"]))


SERVICE = Service(
    "payment",
    open_books=open_books,
    resources={"reservation": Resource(reserve, release), "capture": Resource(capture)},
    desks={"refund": refund, "reserved": reserved},
)

if __name__ == "__main__":
    main(SERVICE)
