from dataclasses import dataclass

from amends import Saga, step


@dataclass
class Order:
    order_id: str
    total: int
    email: str


@step(read_only=True)
async def look(order: Order) -> None: ...


sell = Saga("sell", look, look.named("look_again"))
