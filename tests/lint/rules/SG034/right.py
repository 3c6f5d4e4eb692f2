from dataclasses import dataclass

from amends import Context, Retry, Saga, step


@dataclass
class Order:
    order_id: str
    total: int


@step(pivot=True, retry=Retry(attempts=5))
async def capture(order: Order, ctx: Context) -> None: ...


sell = Saga("sell", capture)
