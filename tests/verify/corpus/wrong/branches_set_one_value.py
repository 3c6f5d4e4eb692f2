# expect: state
"""Two branches set the same value, and the slower one wins."""

from participants import Courier, Order, Shelf, counted, ship

from amends import Saga, parallel, step


@step(retriable=True)
async def discount(order: Order, shelf: Shelf) -> None:
    await shelf.set(8)


@step(retriable=True)
async def surcharge(order: Order, shelf: Shelf) -> None:
    await shelf.set(12)


sell = Saga("sell", ship, parallel(discount, surcharge), input=Order, resources=[Shelf, Courier])
case = counted()
