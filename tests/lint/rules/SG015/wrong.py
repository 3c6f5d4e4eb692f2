import os
from dataclasses import dataclass

from amends import Context, Saga, step


@dataclass
class Order:
    order_id: str
    total: int


@step(read_only=True)
async def look_for_fraud(order: Order) -> None: ...


@step(pivot=True)
async def capture(order: Order, ctx: Context) -> None: ...


sell = Saga("sell", *([look_for_fraud] if os.getenv("FRAUD") else []), capture, input=Order)
