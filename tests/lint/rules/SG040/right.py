import sqlite3
from dataclasses import dataclass

from amends import Saga, step


@dataclass
class Order:
    order_id: str
    total: int


@step(atomic=True)
def debit_and_credit(order: Order, db: sqlite3.Connection) -> None: ...


pay = Saga("pay", debit_and_credit)
