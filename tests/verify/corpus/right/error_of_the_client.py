"""The functions look at the client's own error."""

from participants import Bank, Courier, Order, Receipt, ship

from amends import Context, Saga, step
from amends.testing import Case


class Lost(Exception):
    """What this client raises when it hears nothing."""


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    try:
        return await bank.charge(ctx.idempotency_key)
    except Lost:
        found = await bank.find(ctx.idempotency_key)
        if found is None:
            raise
        return found


@pay.compensation
async def refund(bank: Bank, ctx: Context) -> None:
    await bank.refund(ctx.action_key)


sell = Saga("sell", pay, ship, input=Order, resources=[Bank, Courier])
case = Case(Order("o-1"), resources=[Bank, Courier], error=lambda: Lost("nothing came"))
