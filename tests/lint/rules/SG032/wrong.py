from dataclasses import dataclass

from amends import Context, Saga, step, wait_for


@dataclass
class Order:
    order_id: str
    total: int


@step
async def reserve(order: Order, ctx: Context) -> None: ...


@reserve.compensation
async def release(order: Order, ctx: Context) -> None: ...


@step(pivot=True)
async def capture(order: Order, ctx: Context) -> None: ...


sell = Saga("sell", reserve, wait_for("approval", bool), capture)
