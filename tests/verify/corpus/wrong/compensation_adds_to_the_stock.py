# expect: state SG012
"""Each call of the compensation gives once more."""

from participants import Courier, Order, Shelf, counted, ship

from amends import Saga, step


@step
async def reserve(order: Order, shelf: Shelf) -> None:
    await shelf.set(8)


@reserve.compensation
async def release(order: Order, shelf: Shelf) -> None:
    await shelf.give(len(order.skus))


sell = Saga("sell", reserve, ship, input=Order, resources=[Shelf, Courier])
case = counted()
