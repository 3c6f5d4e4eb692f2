"""What was released by key is not taken any more, and never twice."""

from participants import Courier, Order, ship

from amends import Context, Saga, step
from amends.testing import Case


class Desk:
    """Holds by key; what was released is not held any more."""

    def __init__(self) -> None:
        self.free = 10
        self.held: dict[str, int] = {}
        self.released: set[str] = set()

    async def hold(self, key: str, count: int) -> None:
        if key not in self.held and key not in self.released:
            self.free -= count
            self.held[key] = count

    async def release(self, key: str) -> None:
        self.released.add(key)
        self.free += self.held.pop(key, 0)


@step
async def reserve(order: Order, desk: Desk, ctx: Context) -> None:
    await desk.hold(ctx.action_key, len(order.skus))


@reserve.compensation
async def release(desk: Desk, ctx: Context) -> None:
    await desk.release(ctx.action_key)


sell = Saga("sell", reserve, ship, input=Order, resources=[Desk, Courier])
case = Case(Order("o-1"), resources=[Desk, Courier])


@case.invariant
def nothing_vanishes(desk: Desk) -> bool:
    return desk.free + sum(desk.held.values()) == 10


@case.state
def held(desk: Desk) -> int:
    return desk.free
