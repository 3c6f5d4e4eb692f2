# expect: nothing twice SG011
"""Each attempt charges under a key of its own."""

import uuid

from participants import Bank, Courier, Order, Receipt, recorded, ship

from amends import Saga, step


@step
async def pay(order: Order, bank: Bank) -> Receipt:
    return await bank.charge(str(uuid.uuid4()))


@pay.compensation
async def refund(order: Order, bank: Bank) -> None:
    for key, effect in bank.recorder.effects.items():
        if effect.result == Receipt("r-1"):
            await bank.refund(key)


sell = Saga("sell", pay, ship, input=Order, resources=[Bank, Courier])
case = recorded()
