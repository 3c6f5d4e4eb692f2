# expect: all or nothing SG029
"""The probe takes 'not seen' for 'never'."""

from participants import Bank, Courier, Order, Receipt, recorded, ship

from amends import Context, Rejected, Saga, step


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    return await bank.charge(ctx.idempotency_key)


@pay.compensation
async def refund(bank: Bank, ctx: Context) -> None:
    await bank.refund(ctx.action_key)


@pay.probe
async def find(bank: Bank, ctx: Context) -> Receipt | None:
    found = await bank.find(ctx.idempotency_key)
    if found is None:
        raise Rejected("there is no such charge")
    return found


sell = Saga("sell", pay, ship, input=Order, resources=[Bank, Courier])
case = recorded()
