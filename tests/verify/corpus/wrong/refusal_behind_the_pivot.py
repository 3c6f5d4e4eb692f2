# expect: ends SG001
"""A step behind the pivot says no, where nobody can turn back."""

from participants import Bank, Courier, Order, Receipt, recorded, ship

from amends import Context, Rejected, Saga, step


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    return await bank.charge(ctx.idempotency_key)


@pay.compensation
async def refund(bank: Bank, ctx: Context) -> None:
    await bank.refund(ctx.action_key)


@step(retriable=True)
async def invoice(order: Order, courier: Courier, ctx: Context) -> str:
    if order.total > 10:
        raise Rejected("no invoice of so much")
    return await courier.book(ctx.idempotency_key)


sell = Saga("sell", pay, ship, invoice, input=Order, resources=[Bank, Courier])
case = recorded()
