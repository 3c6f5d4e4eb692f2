"""Each item has the key of its own step."""

from participants import Courier, Order, recorded, ship

from amends import Context, Saga, each, step


def lines(order: Order) -> list[str]:
    return order.skus


@step
async def reserve(item: str, courier: Courier, ctx: Context) -> str:
    return await courier.book(ctx.idempotency_key)


@reserve.compensation
async def release(item: str, courier: Courier, ctx: Context) -> None:
    await courier.cancel(ctx.action_key)


sell = Saga("sell", each(lines, reserve, item=str), ship, input=Order, resources=[Courier])
case = recorded()
