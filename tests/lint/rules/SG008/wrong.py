from dataclasses import dataclass

from amends import Context, Retry, Saga, step


@dataclass
class Order:
    order_id: str
    total: int


@step
async def reserve(order: Order, ctx: Context) -> None: ...


@reserve.compensation(retry=Retry(attempts=3))
async def release(order: Order, ctx: Context) -> None: ...


@step(pivot=True)
async def capture(order: Order, ctx: Context) -> None: ...


sell = Saga("sell", reserve, capture)
