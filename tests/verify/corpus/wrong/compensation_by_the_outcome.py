# expect: all or nothing SG009
"""Only what succeeded for certain is undone."""

from participants import Bank, Courier, Order, Receipt, recorded, ship

from amends import Context, Saga, step


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    return await bank.charge(ctx.idempotency_key)


@pay.compensation
async def refund(bank: Bank, ctx: Context) -> None:
    if ctx.outcome == "succeeded":
        await bank.refund(ctx.action_key)


sell = Saga("sell", pay, ship, input=Order, resources=[Bank, Courier])
case = recorded()
