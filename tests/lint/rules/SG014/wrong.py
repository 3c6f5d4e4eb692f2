import sqlite3
from dataclasses import dataclass

import httpx2

from amends import Context, Saga, step


@dataclass
class Order:
    order_id: str
    total: int


@step(atomic=True)
def record(order: Order, db: sqlite3.Connection, ctx: Context) -> None:
    db.execute("INSERT INTO orders VALUES (?, ?)", (order.order_id, order.total))
    httpx2.post("http://mail/receipts", headers=ctx.headers(), timeout=5).raise_for_status()


@record.compensation
def strike_out(order: Order, db: sqlite3.Connection) -> None:
    db.execute("DELETE FROM orders WHERE order_id = ?", (order.order_id,))


sell = Saga("sell", record)
