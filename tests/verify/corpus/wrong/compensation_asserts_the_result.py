# expect: ends SG009
"""The compensation takes it that there is a receipt."""

from participants import Bank, Courier, Order, Receipt, recorded, ship

from amends import Context, Saga, step


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    return await bank.charge(ctx.idempotency_key)


@pay.compensation
async def refund(receipt: Receipt | None, bank: Bank, ctx: Context) -> None:
    assert receipt is not None, "what to refund?"
    await bank.refund(ctx.action_key)


sell = Saga("sell", pay, ship, input=Order, resources=[Bank, Courier])
case = recorded()
