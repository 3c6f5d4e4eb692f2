# expect: nothing twice SG011
"""The key has the number of the attempt in it."""

from participants import Bank, Courier, Order, Receipt, recorded, ship

from amends import Context, Saga, step


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    return await bank.charge(f"{ctx.idempotency_key}/{ctx.attempt}")


@pay.compensation
async def refund(bank: Bank, ctx: Context) -> None:
    for attempt in range(1, 10):
        await bank.refund(f"{ctx.action_key}/{attempt}")


sell = Saga("sell", pay, ship, input=Order, resources=[Bank, Courier])
case = recorded()
