from dataclasses import dataclass

from amends import Context, Saga, step, wait_for


@dataclass
class Order:
    order_id: str
    total: int


@step(expires="7d")
async def authorize(order: Order, ctx: Context) -> None: ...


@authorize.compensation
async def release(order: Order, ctx: Context) -> None: ...


@step(pivot=True)
async def capture(order: Order, ctx: Context) -> None: ...


sell = Saga("sell", authorize, wait_for("packed", bool, timeout="5d"), capture)
