"""The compensation tries again by itself, and raises when that did not help."""

from participants import Bank, Courier, Order, Receipt, recorded, ship

from amends import Context, Saga, step


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    return await bank.charge(ctx.idempotency_key)


@pay.compensation
async def refund(bank: Bank, ctx: Context) -> None:
    for attempt in range(3):
        try:
            await bank.refund(ctx.action_key)
            return
        except ConnectionError:
            if attempt == 2:
                raise


sell = Saga("sell", pay, ship, input=Order, resources=[Bank, Courier])
case = recorded()
