import sqlite3
from dataclasses import dataclass

import httpx2

from amends import Context, Saga, step


@dataclass
class Order:
    order_id: str
    total: int


@step(atomic=True)
def record(order: Order, db: sqlite3.Connection) -> None:
    db.execute("INSERT INTO orders VALUES (?, ?)", (order.order_id, order.total))


@record.compensation
def strike_out(order: Order, db: sqlite3.Connection) -> None:
    db.execute("DELETE FROM orders WHERE order_id = ?", (order.order_id,))


@step
def send_receipt(order: Order, ctx: Context) -> None:
    httpx2.post("http://mail/receipts", headers=ctx.headers(), timeout=5).raise_for_status()


sell = Saga("sell", record, on_completed=[send_receipt])
