# expect: who_ships_is_paid SG016
"""A charge that failed is taken for done."""

from participants import Bank, Courier, Order, Receipt, recorded, ship

from amends import Context, Saga, step
from amends.runtime.views import SagaView


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    try:
        return await bank.charge(ctx.idempotency_key)
    except ConnectionError:
        return Receipt("to be looked at")


@pay.compensation
async def refund(bank: Bank, ctx: Context) -> None:
    await bank.refund(ctx.action_key)


sell = Saga("sell", pay, ship, input=Order, resources=[Bank, Courier])
case = recorded()


@case.invariant
def who_ships_is_paid(view: SagaView, bank: Bank) -> None:
    if view.status == "completed":
        assert bank.recorder.standing
