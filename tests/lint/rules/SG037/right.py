from dataclasses import dataclass

import httpx2

from amends import Context, Saga, choose, step, when


@dataclass
class Order:
    order_id: str
    total: int


@step(read_only=True)
def ask_for_customer(order: Order) -> bool:
    return bool(httpx2.get("http://customers/new", params={"order": order.order_id}).json())


def is_new_customer(ask_for_customer: bool) -> bool:
    return ask_for_customer


@step(read_only=True)
async def look_closer(order: Order) -> None: ...


@step(pivot=True)
async def capture(order: Order, ctx: Context) -> None: ...


sell = Saga("sell", ask_for_customer, choose(when(is_new_customer, look_closer)), capture)
