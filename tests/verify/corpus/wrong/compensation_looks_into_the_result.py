# expect: ends SG009
"""The compensation reads an attribute of what may be None."""

from participants import Bank, Courier, Notes, Order, Receipt, recorded, ship

from amends import Context, Saga, step


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    return await bank.charge(ctx.idempotency_key)


@pay.compensation
async def refund(receipt: Receipt | None, notes: Notes, bank: Bank, ctx: Context) -> None:
    await notes.put("refunded", receipt.id)
    await bank.refund(ctx.action_key)


sell = Saga("sell", pay, ship, input=Order, resources=[Bank, Courier, Notes])
case = recorded()
