# expect: state SG018
"""Between reading and writing, another saga writes."""

from participants import Notes, Order, Shelf, counted

from amends import Context, Saga, step


@step(pivot=True)
async def reserve(order: Order, shelf: Shelf, notes: Notes, ctx: Context) -> None:
    if await notes.get(ctx.action_key) is None:
        free = await shelf.look()
        await shelf.set(free - len(order.skus))
        await notes.put(ctx.action_key, "taken")


sell = Saga("sell", reserve, input=Order, resources=[Shelf, Notes])
case = counted()
