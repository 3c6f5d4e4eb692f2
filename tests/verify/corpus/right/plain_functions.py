"""Plain functions, each in a thread."""

from participants import Courier, Order, Till, ship

from amends import Saga, step
from amends.testing import Case


@step(read_only=True)
def collect(order: Order, till: Till) -> int:
    return till.free


sell = Saga("sell", collect, ship, input=Order, resources=[Till, Courier])
case = Case(Order("o-1"), resources=[Till, Courier])
