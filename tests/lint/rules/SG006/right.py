from dataclasses import dataclass

from amends import Context, Saga, sleep, step


@dataclass
class Order:
    order_id: str
    total: int


@step(pivot=True)
async def capture(order: Order, ctx: Context) -> None: ...


@step(retriable=True)
async def remind(order: Order, ctx: Context) -> None: ...


sell = Saga("sell", capture, sleep("14d"), remind, deadline="30d")
