import sqlite3
from dataclasses import dataclass

from amends import Context, Saga, step


@dataclass
class Order:
    order_id: str
    total: int


def account() -> sqlite3.Connection:
    return sqlite3.connect("bank.db")


@step(read_only=True)
async def look(order: Order) -> None: ...


@step
def take_price(order: Order, ctx: Context) -> None:
    with account() as db:
        db.execute("UPDATE accounts SET price = ? WHERE key = ?", (order.total, ctx.idempotency_key))


@take_price.compensation
def give_price_back(order: Order, ctx: Context) -> None: ...


@step
def take_fee(order: Order, ctx: Context) -> None:
    with account() as db:
        db.execute("UPDATE accounts SET fee = 1 WHERE key = ?", (ctx.idempotency_key,))


@take_fee.compensation
def give_fee_back(order: Order, ctx: Context) -> None: ...


sell = Saga("sell", look, take_price, take_fee)
