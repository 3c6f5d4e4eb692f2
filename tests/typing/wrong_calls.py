"""Mistakes that a type checker must find: each marked line has an error, and no other line has."""

from __future__ import annotations

from amends import Accepted, Context, Retry, Saga, call, each, first_of, step, wait_for


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
