# expect: all or nothing SG036
"""What is undone is what was noted, and it is noted after it was done."""

from participants import Bank, Courier, Notes, Order, Receipt, recorded, ship

from amends import Context, Saga, step


@step
async def pay(order: Order, bank: Bank, notes: Notes, ctx: Context) -> Receipt:
    receipt = await bank.charge(ctx.idempotency_key)
    await notes.put(order.id, ctx.idempotency_key)
    return receipt


@pay.compensation
async def refund(order: Order, bank: Bank, notes: Notes) -> None:
    key = await notes.get(order.id)
    if key is not None:
        await bank.refund(key)


sell = Saga("sell", pay, ship, input=Order, resources=[Bank, Courier, Notes])
case = recorded()
