# expect: all or nothing SG009
"""The compensation returns when it finds no receipt."""

from participants import Bank, Courier, Order, Receipt, recorded, ship

from amends import Context, Saga, step


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    return await bank.charge(ctx.idempotency_key)


@pay.compensation
async def refund(receipt: Receipt | None, bank: Bank, ctx: Context) -> None:
    if not receipt:
        return
    await bank.refund(ctx.action_key)


sell = Saga("sell", pay, ship, input=Order, resources=[Bank, Courier])
case = recorded()
