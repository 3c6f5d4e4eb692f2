# expect: all or nothing SG016
"""Two undos run at once, and what they raise is thrown away."""

import asyncio

from participants import Bank, Courier, Order, Receipt, recorded, ship

from amends import Context, Saga, step


@step
async def pay(order: Order, bank: Bank, courier: Courier, ctx: Context) -> Receipt:
    await courier.book(f"{ctx.saga_id}/pay/parcel")
    return await bank.charge(ctx.idempotency_key)


@pay.compensation
async def undo(bank: Bank, courier: Courier, ctx: Context) -> None:
    await asyncio.gather(
        bank.refund(ctx.action_key), courier.cancel(f"{ctx.saga_id}/pay/parcel"), return_exceptions=True
    )


sell = Saga("sell", pay, ship, input=Order, resources=[Bank, Courier])
case = recorded()
