"""A saga with each, call, first_of and Accepted, as mypy --strict sees it (`test_typing.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, assert_type

from amends import (
    Accepted,
    Context,
    Refusal,
    Refusals,
    Saga,
    call,
    choose,
    each,
    first_of,
    parallel,
    step,
    wait_for,
    when,
)


@dataclass
class Item:
    sku: str


@dataclass
class Order:
    items: list[Item]
    total: int


@dataclass
class Parcel:
    weight: int


@dataclass
class Payment:
    payment_id: str


@step
async def reserve(order: Order, item: Item, ctx: Context) -> int:
    return len(item.sku)


@reserve.compensation
async def release(item: Item, reserve: int | None) -> None: ...


@step
async def weigh(reserve: list[int]) -> Parcel:
    return Parcel(sum(reserve))


async def arrived(order: Order, ctx: Context) -> Payment | None:
    return Payment(str(ctx.accepted))


@step
async def card(order: Order, ctx: Context) -> Payment | Accepted:
    return Accepted(poll=arrived, every="1m", until="7d", token={"of": ctx.action_key}) if order.total else Payment("0")


@card.compensation
async def refund(order: Order, card: Payment | None) -> Accepted | None:
    return Accepted(every=5) if card else None


@step
async def bank(order: Order, refusals: Refusals) -> Payment:
    first: Refusal = refusals[0]
    return Payment(first.cause)


@step
async def label(parcel: Parcel) -> str:
    return str(parcel.weight)


@step
async def tell(order: Order, ship: str, payment: Payment) -> None: ...


def items(order: Order) -> list[Item]:
    return order.items


def parcel(weigh: Parcel) -> Parcel:
    return weigh


def declined(order: Order, refusals: Refusals) -> bool:
    return order.total > 500 and any(each.cause == "rejected" for each in refusals)


ship = Saga("ship", label, input=Parcel, result=label)
place = Saga(
    "place",
    each(items, reserve, item=Item, limit=4),
    weigh,
    parallel(
        first_of((card, tell.named("note")), first_of(bank.named("slow"), name="inner"), name="payment"),
        each(lambda order: order.items, (reserve.named("again"), [weigh.named("more")])),
    ),
    choose(when(declined, wait_for("approval", bool, timeout="1d"))),
    call(ship, parcel),
    call(ship, parcel, name="second"),
    tell,
    input=Order,
    result=weigh,
)
assert_type(ship, Saga[Parcel, str])
assert_type(place, Saga[Order, Parcel])
assert_type(Saga("loop", each(items, reserve), input=Order), Saga[Order, Any])
assert_type(Saga("paid", card, input=Order, result=card), Saga[Order, Payment])  # Accepted is over by then
assert_type(Saga("paid", bank, input=Order, result=bank), Saga[Order, Payment])
