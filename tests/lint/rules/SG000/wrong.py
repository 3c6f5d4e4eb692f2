from dataclasses import dataclass

from amends import Saga, step


@dataclass
class Order:
    order_id: str
    total: int
    email: str


@step(read_only=True)
async def validate(order: Order, limit: int) -> None: ...


sell = Saga("sell", validate)
