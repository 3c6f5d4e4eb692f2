# expect: state SG011
"""A plain function that is called again takes once more."""

from participants import Courier, Order, Till, ship

from amends import Saga, step
from amends.testing import Case


@step
def collect(order: Order, till: Till) -> None:
    till.move(order.total)


@collect.compensation
def pay_out(order: Order, till: Till) -> None:
    till.free = 10


sell = Saga("sell", collect, ship, input=Order, resources=[Till, Courier])
case = Case(Order("o-1"), resources=[Till, Courier])


@case.state
def in_the_till(till: Till) -> int:
    return till.free
