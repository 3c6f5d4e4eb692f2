import sqlite3
from dataclasses import dataclass

import httpx2

from amends import Context, Saga, step


@dataclass
class Order:
    order_id: str
    total: int


@step(pivot=True)
def capture(order: Order, ctx: Context) -> None:
    httpx2.post("http://bank/captures", headers=ctx.headers(), timeout=5).raise_for_status()
    with sqlite3.connect("shop.db") as db:
        db.execute("INSERT INTO captures VALUES (?, ?)", (order.order_id, order.total))


sell = Saga("sell", capture)
