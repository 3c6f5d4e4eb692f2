"""Two atomic steps write to the store's database, each with its own frame."""

import sqlite3

from participants import Courier, Order, ship

from amends import Saga, step
from amends.testing import Case


@step(atomic=True)
def book(order: Order, connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE books SET total = total + ?", (order.total,))


@book.compensation
def unbook(order: Order, connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE books SET total = total - ?", (order.total,))


def doubles() -> list[object]:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE books (total INTEGER)")
    connection.execute("INSERT INTO books VALUES (0)")
    connection.commit()
    return [connection, Courier()]


sell = Saga("sell", book, ship, input=Order, resources=[Courier])
case = Case(Order("o-1"), resources=doubles)


@case.state
def booked(connection: sqlite3.Connection) -> int:
    return connection.execute("SELECT total FROM books").fetchone()[0]
