"""What is to be undone is noted before it is done."""

from participants import Bank, Courier, Notes, Order, Receipt, recorded, ship

from amends import Context, Saga, step


@step
async def pay(order: Order, bank: Bank, notes: Notes, ctx: Context) -> Receipt:
    await notes.put(order.id, ctx.idempotency_key)
    return await bank.charge(ctx.idempotency_key)


@pay.compensation
async def refund(order: Order, bank: Bank, ctx: Context) -> None:
    await bank.refund(ctx.action_key)


sell = Saga("sell", pay, ship, input=Order, resources=[Bank, Courier, Notes])
case = recorded()
