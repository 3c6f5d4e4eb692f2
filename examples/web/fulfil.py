"""The saga that all four apps start: reserve, wait for somebody's approval, ship.

A request starts it and is answered at once, with 202 and where to look; the saga goes on without any
request. `ORDERS_DB` says which file.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from amends import Rejected, Saga, step, wait_for

ADDRESS = f"sqlite:///{os.environ.get('ORDERS_DB', 'orders.db')}"


@dataclass
class Order:
    number: int
    item: str
    quantity: int = 1


@dataclass
class Approval:
    by: str


@dataclass
class Parcel:
    label: str


@step
async def reserve(order: Order) -> None:
    if order.item == "unicorn":
        raise Rejected("no unicorns in stock")


@reserve.compensation
async def release(order: Order) -> None:
    """The shelf has it again."""


@step
def ship(order: Order, approval: Approval) -> Parcel:
    """A plain function runs in a thread."""
    return Parcel(f"{order.quantity} x {order.item}, approved by {approval.by}")


fulfil = Saga("fulfil", reserve, wait_for("approval", Approval, timeout="7d"), ship, result=ship)
