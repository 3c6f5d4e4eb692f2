"""Branches that have nothing to do with each other."""

from participants import Bank, Courier, Order, Receipt, recorded, ship

from amends import Context, Saga, parallel, step


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    return await bank.charge(ctx.idempotency_key)


@pay.compensation
async def refund(bank: Bank, ctx: Context) -> None:
    await bank.refund(ctx.action_key)


@step
async def book(order: Order, courier: Courier, ctx: Context) -> str:
    return await courier.book(ctx.idempotency_key)


@book.compensation
async def cancel(courier: Courier, ctx: Context) -> None:
    await courier.cancel(ctx.action_key)


sell = Saga("sell", parallel(pay, book), ship, input=Order, resources=[Bank, Courier])
case = recorded()
