# expect: nothing twice SG011
"""The thanks are sent under another key each time."""

import uuid

from participants import Bank, Courier, Order, Receipt, recorded, ship

from amends import Context, Saga, step


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    return await bank.charge(ctx.idempotency_key)


@pay.compensation
async def refund(bank: Bank, ctx: Context) -> None:
    await bank.refund(ctx.action_key)


@step
async def thank(order: Order, courier: Courier) -> None:
    await courier.book(str(uuid.uuid4()))


sell = Saga("sell", pay, ship, input=Order, resources=[Bank, Courier], on_completed=[thank])
case = recorded()
