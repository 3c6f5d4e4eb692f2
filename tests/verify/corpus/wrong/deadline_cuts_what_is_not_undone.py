# expect: all or nothing SG009
"""What the deadline cuts has no result, and so is not undone."""

from participants import Bank, Courier, Order, Receipt, recorded, ship

from amends import Context, Saga, step


@step(timeout=5)
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    return await bank.charge(ctx.idempotency_key)


@pay.compensation
async def refund(receipt: Receipt | None, bank: Bank, ctx: Context) -> None:
    if receipt:
        await bank.refund(ctx.action_key)


sell = Saga("sell", pay, ship, input=Order, resources=[Bank, Courier], deadline="1h")
case = recorded()
