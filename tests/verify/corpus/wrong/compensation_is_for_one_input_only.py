# expect: all or nothing
"""The compensation looks at the order, and leaves out the small ones."""

from participants import Bank, Courier, Order, Receipt, ship

from amends import Context, Saga, step
from amends.testing import Case


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    return await bank.charge(ctx.idempotency_key)


@pay.compensation
async def refund(order: Order, bank: Bank, ctx: Context) -> None:
    if order.total > 10:
        await bank.refund(ctx.action_key)


sell = Saga("sell", pay, ship, input=Order, resources=[Bank, Courier])
case = Case(Order("o-1"), Order("o-2", total=5), resources=[Bank, Courier])
