# expect: all or nothing SG009
"""What was tried and may be left out is undone only when it is known."""

from participants import Bank, Courier, Order, Receipt, recorded, ship

from amends import Context, Saga, step


@step(best_effort=True)
async def gift(order: Order, bank: Bank, ctx: Context) -> Receipt:
    return await bank.charge(ctx.idempotency_key)


@gift.compensation
async def no_gift(gift: Receipt | None, bank: Bank, ctx: Context) -> None:
    if gift:
        await bank.refund(ctx.action_key)


sell = Saga("sell", gift, ship, input=Order, resources=[Bank, Courier])
case = recorded()
