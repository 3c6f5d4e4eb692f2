# expect: state SG013
"""The compensation gives back what the action may never have taken."""

from participants import Courier, Notes, Order, Shelf, counted, ship

from amends import Context, Saga, step


@step
async def reserve(order: Order, shelf: Shelf, notes: Notes, ctx: Context) -> None:
    if await notes.get(ctx.action_key) is None:
        await notes.put(ctx.action_key, "taken")
        await shelf.take(len(order.skus))


@reserve.compensation
async def release(order: Order, shelf: Shelf, notes: Notes, ctx: Context) -> None:
    if await notes.get(ctx.idempotency_key) is None:
        await notes.put(ctx.idempotency_key, "given")
        await shelf.give(len(order.skus))


sell = Saga("sell", reserve, ship, input=Order, resources=[Shelf, Courier, Notes])
case = counted()
