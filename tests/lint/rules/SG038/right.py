from dataclasses import dataclass

from amends import Context, Rejected, Saga, step


@dataclass
class Order:
    order_id: str
    total: int


class Stock:
    async def is_there(self, order_id: str) -> bool: ...


@step(read_only=True)
async def look_at_stock(order: Order, stock: Stock) -> None:
    if not await stock.is_there(order.order_id):
        raise Rejected("out of stock")


@step(pivot=True)
async def capture(order: Order, ctx: Context) -> None: ...


sell = Saga("sell", look_at_stock, capture, resources=[Stock])
