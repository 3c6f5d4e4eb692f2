"""Mails go out when the end is certain."""

from participants import Bank, Courier, Order, Receipt, recorded, ship

from amends import Context, Saga, step


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    return await bank.charge(ctx.idempotency_key)


@pay.compensation
async def refund(bank: Bank, ctx: Context) -> None:
    await bank.refund(ctx.action_key)


@step
async def thank(order: Order, courier: Courier, ctx: Context) -> None:
    await courier.book(ctx.idempotency_key)


sorry = thank.named("sorry")
sell = Saga("sell", pay, ship, input=Order, resources=[Bank, Courier], on_completed=[thank], on_compensated=[sorry])
case = recorded()
