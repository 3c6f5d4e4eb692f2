"""The refund is accepted, and is polled until it is done."""

from participants import Bank, Courier, Order, Receipt, recorded, ship

from amends import Accepted, Context, Saga, step


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    return await bank.charge(ctx.idempotency_key)


@pay.compensation
async def refund(bank: Bank, ctx: Context) -> Accepted | None:
    if ctx.accepted is None:
        return Accepted(every="1m", until="1h", token="t-1")
    await bank.refund(ctx.action_key)
    return None


sell = Saga("sell", pay, ship, input=Order, resources=[Bank, Courier])
case = recorded()
