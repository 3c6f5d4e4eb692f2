from dataclasses import dataclass

from amends import Context, Saga, step


@dataclass
class Order:
    order_id: str
    total: int
    email: str


@step(pivot=True)
async def capture(order: Order, ctx: Context) -> None: ...


@step(retriable=True)
async def ship(order: Order, ctx: Context) -> None: ...


sell = Saga("sell", capture, ship)
