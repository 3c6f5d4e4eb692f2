from dataclasses import dataclass

from amends import Context, Saga, step


@dataclass
class Order:
    order_id: str
    card_number: str


@step(pivot=True)
async def capture(order: Order, ctx: Context) -> None: ...


sell = Saga("sell", capture)
