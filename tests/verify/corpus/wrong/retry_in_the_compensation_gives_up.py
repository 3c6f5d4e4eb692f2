# expect: all or nothing SG016
"""The compensation tries three times by itself, and then says it is done."""

from participants import Bank, Courier, Order, Receipt, recorded, ship

from amends import Context, Saga, step


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    return await bank.charge(ctx.idempotency_key)


@pay.compensation
async def refund(bank: Bank, ctx: Context) -> None:
    for _ in range(1):
        try:
            await bank.refund(ctx.action_key)
            return
        except ConnectionError:
            continue


sell = Saga("sell", pay, ship, input=Order, resources=[Bank, Courier])
case = recorded()
