from dataclasses import dataclass

from amends import Context, Saga, step


@dataclass
class Order:
    order_id: str
    total: int


@step(read_only=True)
async def apply_discount(order: Order) -> int:
    return order.total - 5


@step(pivot=True)
async def capture(order: Order, apply_discount: int, ctx: Context) -> None: ...


sell = Saga("sell", apply_discount, capture)
