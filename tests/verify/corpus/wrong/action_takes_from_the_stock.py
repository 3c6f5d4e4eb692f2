# expect: state SG011
"""Each attempt takes once more."""

from participants import Courier, Order, Shelf, counted, ship

from amends import Saga, step


@step
async def reserve(order: Order, shelf: Shelf) -> None:
    await shelf.take(len(order.skus))


@reserve.compensation
async def release(order: Order, shelf: Shelf) -> None:
    await shelf.set(10)


sell = Saga("sell", reserve, ship, input=Order, resources=[Shelf, Courier])
case = counted()
