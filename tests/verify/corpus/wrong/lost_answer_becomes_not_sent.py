# expect: all or nothing SG029
"""A lost answer is turned into NotSent."""

from participants import Bank, Courier, Order, Receipt, recorded, ship

from amends import Context, NotSent, Saga, step


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    try:
        return await bank.charge(ctx.idempotency_key)
    except ConnectionError as error:
        raise NotSent("the bank did not answer") from error


@pay.compensation
async def refund(bank: Bank, ctx: Context) -> None:
    await bank.refund(ctx.action_key)


sell = Saga("sell", pay, ship, input=Order, resources=[Bank, Courier])
case = recorded()
