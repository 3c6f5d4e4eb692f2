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
def put_back(order: Order, ctx: Context) -> None:
    with sqlite3.connect("stock.db") as db:
        done = db.execute("INSERT OR IGNORE INTO put_back (key) VALUES (?)", (ctx.action_key,))
        if done.rowcount:  # the first call of this key
            db.execute("UPDATE stock SET free = free + 1 WHERE sku = ?", (order.order_id,))


@step(pivot=True)
async def capture(order: Order, ctx: Context) -> None: ...


sell = Saga("sell", reserve, capture)
