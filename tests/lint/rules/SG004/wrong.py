from dataclasses import dataclass

from amends import Context, Saga, step


@dataclass
class Order:
    order_id: str
    total: int
    email: str


@step
async def capture(order: Order, ctx: Context) -> None: ...


sell = Saga("sell", capture)
