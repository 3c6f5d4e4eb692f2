import sqlite3
from dataclasses import dataclass

from amends import Context, Saga, step


@dataclass
class Order:
    order_id: str
    total: int


@step
def reserve(order: Order, ctx: Context) -> None: ...


@reserve.compensation
def put_back(order: Order) -> None:
    with sqlite3.connect("stock.db") as db:
        db.execute("UPDATE stock SET free = free + 1 WHERE sku = ?", (order.order_id,))


@step(pivot=True)
async def capture(order: Order, ctx: Context) -> None: ...


sell = Saga("sell", reserve, capture)
