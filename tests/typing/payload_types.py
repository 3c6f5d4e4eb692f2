"""Payloads of every kind, as a type checker sees them; `test_typing.py` runs mypy --strict on it."""

from __future__ import annotations

from typing import Annotated, Any, assert_type

import attrs
import msgspec
from pydantic import BaseModel, SecretStr

from amends import Accepted, Context, Handle, Orchestrator, Redacted, Saga, each, step
from amends.crypto import KeyRing


class Order(BaseModel):
    order_id: str
    card: SecretStr


@attrs.define
class Shipment:
    number: str
    _weight: int = 0


class Line(msgspec.Struct):
    text: Annotated[str, Redacted]


@step
async def pay(order: Order, ctx: Context) -> Annotated[str, Redacted]:
    return order.card.get_secret_value()


@step
async def ship(order: Order) -> Shipment | Accepted:
    return Accepted(every="1h")


@step
def note(line: Line) -> None: ...


def lines(order: Order) -> list[Line]:
    return [Line(order.order_id)]


buy = Saga("buy", pay, each(lines, note, item=Line), ship, input=Order, result=ship)
assert_type(buy, Saga[Order, Shipment])

# An annotation says what no keyword does: without `input=` the input is Any, which fits every type.
explicit: Saga[Order, Shipment] = Saga("explicit", ship, result=ship)
nothing: Saga[None, None] = Saga("nothing", note)
optional = Saga("optional", pay, input=Order, result=pay)
assert_type(optional, Saga[Order, str])


async def main() -> None:
    keys = KeyRing({"new": KeyRing.generate(), "old": bytes(32)}, active="new")
    async with Orchestrator("sqlite://", sagas=[buy, explicit], encryption=keys) as orchestrator:
        saga = await orchestrator.start(buy, Order(order_id="o-1", card=SecretStr("4111")))
        assert_type(saga, Handle[Shipment])
        assert_type((await saga.result()).number, str)
        again = await orchestrator.start(explicit, Order(order_id="o-1", card=SecretStr("4111")))
        assert_type(await again.result(), Shipment)
        assert_type(buy.decode_input(b"{}"), Order)
        assert_type(buy.decode_result(b"{}"), Shipment)
        assert_type((await orchestrator.get(saga.id)).result, Any)
