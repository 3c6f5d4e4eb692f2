"""A participant's own table keeps repetitions and late actions out."""

from participants import Courier, Order, ship

from amends import Context, Saga, step
from amends.testing import Case


class Books:
    """A participant with a database: a row per key says what became of it."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}
        self.booked = 0

    async def book(self, key: str, amount: int) -> None:
        if key not in self.rows:
            self.rows[key] = "booked"
            self.booked += amount

    async def unbook(self, key: str, amount: int) -> None:
        before, self.rows[key] = self.rows.get(key), "undone"
        if before == "booked":
            self.booked -= amount


@step
async def book(order: Order, books: Books, ctx: Context) -> None:
    await books.book(ctx.action_key, order.total)


@book.compensation
async def unbook(order: Order, books: Books, ctx: Context) -> None:
    await books.unbook(ctx.action_key, order.total)


sell = Saga("sell", book, ship, input=Order, resources=[Books, Courier])
case = Case(Order("o-1"), resources=[Books, Courier])


@case.state
def booked(books: Books) -> int:
    return books.booked
