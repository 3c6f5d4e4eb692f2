"""It refuses before it has done anything."""

from participants import Bank, Courier, Order, Receipt, ship

from amends import Context, Rejected, Saga, step
from amends.testing import Case


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    if order.total > 1_000:
        raise Rejected("too much")
    return await bank.charge(ctx.idempotency_key)


@pay.compensation
async def refund(bank: Bank, ctx: Context) -> None:
    await bank.refund(ctx.action_key)


sell = Saga("sell", pay, ship, input=Order, resources=[Bank, Courier])
case = Case(Order("o-1"), Order("o-2", total=2_000), resources=[Bank, Courier])
