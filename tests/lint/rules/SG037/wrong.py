from dataclasses import dataclass

import httpx2

from amends import Context, Saga, choose, step, when


@dataclass
class Order:
    order_id: str
    total: int


def is_new_customer(order: Order) -> bool:
    return bool(httpx2.get("http://customers/new", params={"order": order.order_id}).json())


@step(read_only=True)
async def look_closer(order: Order) -> None: ...


@step(pivot=True)
async def capture(order: Order, ctx: Context) -> None: ...


sell = Saga("sell", choose(when(is_new_customer, look_closer)), capture, input=Order)
