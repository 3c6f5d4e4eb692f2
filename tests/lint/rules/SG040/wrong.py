import sqlite3
from dataclasses import dataclass

from amends import Saga, step


@dataclass
class Order:
    order_id: str
    total: int


@step(atomic=True)
def debit(order: Order, db: sqlite3.Connection) -> None: ...


@debit.compensation
def undo_debit(order: Order, db: sqlite3.Connection) -> None: ...


@step(atomic=True)
def credit(order: Order, db: sqlite3.Connection) -> None: ...


pay = Saga("pay", debit, credit)
