from dataclasses import dataclass

from amends import Context, Saga, choose, step, when


@dataclass
class Order:
    order_id: str
    total: int
    look_for_fraud: bool


@step(read_only=True)
async def look_for_fraud(order: Order) -> None: ...


@step(pivot=True)
async def capture(order: Order, ctx: Context) -> None: ...


sell = Saga("sell", choose(when(lambda order: order.look_for_fraud, look_for_fraud)), capture, input=Order)
