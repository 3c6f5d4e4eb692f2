# expect: all or nothing SG029
"""It charges first, and then refuses."""

from participants import Bank, Courier, Order, Receipt, recorded, ship

from amends import Context, Rejected, Saga, step


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    receipt = await bank.charge(ctx.idempotency_key)
    if order.total > 10:
        raise Rejected("too much")
    return receipt


@pay.compensation
async def refund(bank: Bank, ctx: Context) -> None:
    await bank.refund(ctx.action_key)


sell = Saga("sell", pay, ship, input=Order, resources=[Bank, Courier])
case = recorded()
