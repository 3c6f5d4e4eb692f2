# expect: nothing twice SG011
"""The key has the time in it."""

import time

from participants import Bank, Courier, Order, Receipt, recorded, ship

from amends import Context, Saga, step


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    return await bank.charge(f"{order.id}/{time.monotonic_ns()}")


@pay.compensation
async def refund(order: Order, bank: Bank) -> None:
    for key in [key for key in bank.recorder.effects if key.startswith(f"{order.id}/")]:
        await bank.refund(key)


sell = Saga("sell", pay, ship, input=Order, resources=[Bank, Courier])
case = recorded()
