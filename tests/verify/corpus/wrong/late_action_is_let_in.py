# expect: state SG013
"""Nothing keeps out an action that comes after its compensation."""

from participants import Courier, Order, Shelf, counted, ship

from amends import Saga, step


@step
async def reserve(order: Order, shelf: Shelf) -> None:
    await shelf.set(8)


@reserve.compensation
async def release(order: Order, shelf: Shelf) -> None:
    await shelf.set(10)


sell = Saga("sell", reserve, ship, input=Order, resources=[Shelf, Courier])
case = counted()
