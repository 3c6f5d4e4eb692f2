# expect: each_is_reserved
"""Items are reserved under one key, so only the first one is."""

from participants import Courier, Order, recorded

from amends import Context, Saga, each, step
from amends.runtime.views import SagaView


def lines(order: Order) -> list[str]:
    return order.skus


@step
async def reserve(order: Order, item: str, courier: Courier, ctx: Context) -> str:
    return await courier.book(f"{ctx.saga_id}/reserve")


@reserve.compensation
async def release(order: Order, item: str, courier: Courier, ctx: Context) -> None:
    await courier.cancel(f"{ctx.saga_id}/reserve")


sell = Saga("sell", each(lines, reserve, item=str), input=Order, resources=[Courier])
case = recorded()


@case.invariant
def each_is_reserved(order: Order, courier: Courier, view: SagaView) -> None:
    if view.status == "completed":
        assert len(courier.recorder.standing) >= len(order.skus)
