from dataclasses import dataclass
from typing import Annotated

from amends import Context, Redacted, Saga, step


@dataclass
class Order:
    order_id: str
    card_number: Annotated[str, Redacted]


@step(pivot=True)
async def capture(order: Order, ctx: Context) -> None: ...


sell = Saga("sell", capture)
