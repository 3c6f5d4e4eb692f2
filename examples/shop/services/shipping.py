"""The shipping service: courier slots are booked and cancelled, and shipments travel with them.

A courier who has left cannot be cancelled: that is a refusal, and the saga's compensation is parked.
A person at the desk can call the courier back, free the place by hand, or write it off.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Mapping
from typing import Any

from ..catalogue import SLOTS
from .base import Refused, Resource, Service, main, rows


def open_books(connection: sqlite3.Connection) -> None:
    for slot, (district, capacity) in SLOTS.items():
        connection.execute("INSERT INTO slots (slot, district, capacity) VALUES (?, ?, ?)", (slot, district, capacity))


def book(connection: sqlite3.Connection, order_id: str, body: Any) -> Mapping[str, Any]:
    free = connection.execute(
        "SELECT slot FROM slots WHERE district = ? AND taken < capacity ORDER BY slot LIMIT 1", (body["district"],)
    ).fetchone()
    if free is None:
        raise Refused(f"no courier is free in district {body['district']}")
    booking_id = f"b-{secrets.token_hex(6)}"
    connection.execute("UPDATE slots SET taken = taken + 1 WHERE slot = ?", free)
    connection.execute("INSERT INTO bookings VALUES (?, ?, ?, 'booked')", (booking_id, order_id, free[0]))
    _enter(connection, "book", order_id, free[0])
    return {"booking_id": booking_id, "slot": free[0]}


def cancel(connection: sqlite3.Connection, order_id: str, _body: Any) -> Mapping[str, Any]:
    booking = _live(connection, order_id)
    if booking is None:
        return {"cancelled": False}
    if booking["state"] != "booked":
        raise Refused("the courier has left already")
    _free(connection, booking)
    return {"cancelled": True}


def ship(connection: sqlite3.Connection, order_id: str, _body: Any) -> Mapping[str, Any]:
    booking = _live(connection, order_id)
    if booking is None or booking["state"] == "used":
        raise Refused("no courier is booked for this order")
    shipment_id = f"s-{secrets.token_hex(6)}"
    connection.execute("INSERT INTO shipments VALUES (?, ?, ?)", (shipment_id, order_id, booking["booking_id"]))
    _change(connection, booking, "used", "ship")
    return {"shipment_id": shipment_id}


# --- the desk ------------------------------------------------------------------------------------


def dispatch(connection: sqlite3.Connection, body: Any) -> Mapping[str, Any]:
    """The clerk sends the courier off early."""
    _change(connection, _expect(connection, body["order_id"], "booked"), "dispatched", "dispatch")
    return {}


def recall(connection: sqlite3.Connection, body: Any) -> Mapping[str, Any]:
    """The courier is called back: from now on the booking can be cancelled again."""
    _change(connection, _expect(connection, body["order_id"], "dispatched"), "booked", "recall")
    return {}


def free(connection: sqlite3.Connection, body: Any) -> Mapping[str, Any]:
    """The courier is back and the place is freed by hand: what the compensation would have done."""
    booking = _expect(connection, body["order_id"], "dispatched")
    _change(connection, booking, "booked", "recall")
    _free(connection, booking)
    return {}


def write_off(connection: sqlite3.Connection, body: Any) -> Mapping[str, Any]:
    """The courier drove in vain: the place stays taken, and nobody is owed anything."""
    _change(connection, _expect(connection, body["order_id"], "dispatched"), "written_off", "write_off")
    return {}


def booked(connection: sqlite3.Connection, _body: Any) -> Mapping[str, Any]:
    """What a clerk sees on the desk: the orders whose courier is booked now."""
    return {
        "orders": [
            row[0] for row in connection.execute("SELECT order_id FROM bookings WHERE state = 'booked' LIMIT 500")
        ]
    }


def _live(connection: sqlite3.Connection, order_id: str) -> dict[str, Any] | None:
    sql = "SELECT * FROM bookings WHERE order_id = ? AND state NOT IN ('cancelled', 'written_off')"
    return next(iter(rows(connection, sql, (order_id,))), None)


def _expect(connection: sqlite3.Connection, order_id: str, state: str) -> dict[str, Any]:
    booking = _live(connection, order_id)
    if booking is None or booking["state"] != state:
        raise Refused(f"no courier of this order is {state}")
    return booking


def _free(connection: sqlite3.Connection, booking: Mapping[str, Any]) -> None:
    connection.execute("UPDATE slots SET taken = taken - 1 WHERE slot = ?", (booking["slot"],))
    _change(connection, booking, "cancelled", "cancel")


def _change(connection: sqlite3.Connection, booking: Mapping[str, Any], state: str, kind: str) -> None:
    connection.execute("UPDATE bookings SET state = ? WHERE booking_id = ?", (state, booking["booking_id"]))
    _enter(connection, kind, booking["order_id"], booking["slot"])


def _enter(connection: sqlite3.Connection, kind: str, order_id: str, slot: str) -> None:
    connection.execute("INSERT INTO ledger (kind, order_id, slot) VALUES (?, ?, ?)", (kind, order_id, slot))


SERVICE = Service(
    "shipping",
    open_books=open_books,
    resources={"courier": Resource(book, cancel), "shipment": Resource(ship)},
    desks={"dispatch": dispatch, "recall": recall, "free": free, "write_off": write_off, "booked": booked},
)

if __name__ == "__main__":
    main(SERVICE)
