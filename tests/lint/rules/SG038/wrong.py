from dataclasses import dataclass

from amends import Context, Saga, step


@dataclass
class Order:
    order_id: str
    total: int


class Stock:
    async def reserve(self, order_id: str, key: str) -> bool: ...


@step(read_only=True)
async def look_at_stock(order: Order, stock: Stock, ctx: Context) -> None:
    await stock.reserve(order.order_id, key=ctx.idempotency_key)


@step(pivot=True)
async def capture(order: Order, ctx: Context) -> None: ...


sell = Saga("sell", look_at_stock, capture, resources=[Stock])
