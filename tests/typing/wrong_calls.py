"""Mistakes that a type checker must find: each marked line has an error, and no other line has."""

from __future__ import annotations

from dataclasses import dataclass

import attrs
from pydantic import BaseModel

from amends import Accepted, Context, Orchestrator, Retry, Saga, call, each, first_of, step, wait_for
from amends.crypto import KeyRing


@step(retry=Retry(attempts=2))
async def pay(order: dict[str, int], ctx: Context) -> str:
    return str(order)


async def calls(ctx: Context) -> None:
    await pay({"total": 1})  # wrong
    await pay("order", ctx)  # wrong
    answer: int = await pay({"total": 1}, ctx)  # wrong
    del answer


step(timeout=[1])  # wrong
step(on_unknown="explode")  # wrong
pay.compensation(retry=3)  # wrong
Saga("x", "pay")  # wrong
Saga("x", pay, dead_line="5m")  # wrong
wait_for("approval", str, on_timeout="give_up")  # wrong
saga: Saga[int, int] = Saga("x", pay, result=pay)  # wrong
call("ship")  # wrong
first_of("card", pay)  # wrong
each(lambda order: order, "pay")  # wrong
each(lambda order: order, pay, limit="3")  # wrong
Accepted(calls)  # wrong
Accepted(poll="calls")  # wrong
Accepted(every=[1])  # wrong


@dataclass
class Order:
    total: int


class Model(BaseModel):
    total: int


@attrs.define
class Parcel:
    number: str


@step
async def ship(order: Order) -> Parcel:
    return Parcel(str(order.total))


typed = Saga("typed", ship, input=Order, result=ship)
explicit: Saga[Model, Parcel] = Saga("explicit", ship, result=ship)
other_result: Saga[Order, Order] = Saga("other", ship, result=ship)  # wrong
other_input: Saga[Model, Parcel] = Saga("other", ship, input=Order, result=ship)  # wrong


async def starts(orchestrator: Orchestrator) -> None:
    await orchestrator.start(typed, Model(total=1))  # wrong
    await orchestrator.start(typed, {"total": 1})  # wrong
    await orchestrator.start(typed)  # wrong
    await orchestrator.start(explicit, Order(1))  # wrong
    await orchestrator.start(explicit, Parcel("p"))  # wrong
    saga = await orchestrator.start(typed, Order(1))
    order: Order = await saga.result()  # wrong
    del (await saga.result()).total  # wrong
    del order
    typed.encode_input(Model(total=1))  # wrong


KeyRing({"a": 5}, active="a")  # wrong
Orchestrator(encryption="a key")  # wrong
