# expect: all or nothing SG009
"""The next alternative is tried while the effect of the first may stand."""

from participants import Courier, Order, recorded

from amends import Context, Saga, first_of, step


@step
async def by_air(order: Order, courier: Courier, ctx: Context) -> str:
    return await courier.book(ctx.idempotency_key)


@by_air.compensation
async def not_by_air(by_air: str | None, courier: Courier, ctx: Context) -> None:
    if by_air:
        await courier.cancel(ctx.action_key)


@step
async def by_road(order: Order, courier: Courier, ctx: Context) -> str:
    return await courier.book(ctx.idempotency_key)


@by_road.compensation
async def not_by_road(courier: Courier, ctx: Context) -> None:
    await courier.cancel(ctx.action_key)


sell = Saga("sell", first_of(by_air, by_road, name="carrier"), input=Order, resources=[Courier])
case = recorded()
