"""Two inputs lead through both branches."""

from participants import Bank, Courier, Order, Receipt, ship

from amends import Context, Saga, choose, step, when
from amends.testing import Case


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    return await bank.charge(ctx.idempotency_key)


@pay.compensation
async def refund(bank: Bank, ctx: Context) -> None:
    await bank.refund(ctx.action_key)


@step
async def wrap(order: Order, courier: Courier, ctx: Context) -> str:
    return await courier.book(ctx.idempotency_key)


@wrap.compensation
async def unwrap(courier: Courier, ctx: Context) -> None:
    await courier.cancel(ctx.action_key)


def is_large(order: Order) -> bool:
    return order.total > 10


sell = Saga("sell", pay, choose(when(is_large, wrap), otherwise=()), ship, input=Order, resources=[Bank, Courier])
case = Case(Order("o-1"), Order("o-2", total=5), resources=[Bank, Courier])
