# expect: all or nothing SG009
"""The compensation of a called saga's step needs what may be lost."""

from participants import Bank, Courier, Order, Receipt, recorded, ship

from amends import Context, Saga, call, step


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    return await bank.charge(ctx.idempotency_key)


@pay.compensation
async def refund(receipt: Receipt | None, bank: Bank, ctx: Context) -> None:
    if receipt is not None:
        await bank.refund(ctx.action_key)


payment = Saga("payment", pay, input=Order, resources=[Bank])
sell = Saga("sell", call(payment), ship, input=Order, resources=[Bank, Courier])
case = recorded()
