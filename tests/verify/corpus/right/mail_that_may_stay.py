"""A mail is best effort, and may stay."""

from participants import Bank, Courier, Order, Receipt, recorded, ship

from amends import Context, Saga, step


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    return await bank.charge(ctx.idempotency_key)


@pay.compensation
async def refund(bank: Bank, ctx: Context) -> None:
    await bank.refund(ctx.action_key)


@step(best_effort=True)
async def tell(order: Order, courier: Courier, ctx: Context) -> None:
    await courier.book(ctx.idempotency_key)


sell = Saga("sell", pay, tell, ship, input=Order, resources=[Bank, Courier])
case = recorded()
