"""A called saga is undone with the one around it."""

from participants import Bank, Courier, Order, Receipt, recorded, ship

from amends import Context, Saga, call, step


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    return await bank.charge(ctx.idempotency_key)


@pay.compensation
async def refund(bank: Bank, ctx: Context) -> None:
    await bank.refund(ctx.action_key)


payment = Saga("payment", pay, input=Order, resources=[Bank])
sell = Saga("sell", call(payment), ship, input=Order, resources=[Bank, Courier])
case = recorded()
