import time
from dataclasses import dataclass

from amends import Context, Saga, step


@dataclass
class Order:
    order_id: str
    total: int


class Bank:
    def capture(self, total: int, key: str) -> bool: ...


@step(pivot=True)
async def capture(order: Order, bank: Bank, ctx: Context) -> None:
    while not bank.capture(order.total, key=ctx.idempotency_key):
        time.sleep(1)


sell = Saga("sell", capture, resources=[Bank])
