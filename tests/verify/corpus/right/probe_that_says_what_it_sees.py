"""The probe says None for what it does not see."""

from participants import Bank, Courier, Order, Receipt, recorded, ship

from amends import Context, Saga, step


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    return await bank.charge(ctx.idempotency_key)


@pay.compensation
async def refund(bank: Bank, ctx: Context) -> None:
    await bank.refund(ctx.action_key)


@pay.probe
async def find(bank: Bank, ctx: Context) -> Receipt | None:
    return await bank.find(ctx.idempotency_key)


sell = Saga("sell", pay, ship, input=Order, resources=[Bank, Courier])
case = recorded()
