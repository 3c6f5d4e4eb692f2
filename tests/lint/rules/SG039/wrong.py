import asyncio
from dataclasses import dataclass

from amends import Context, Saga, step


@dataclass
class Order:
    order_id: str
    total: int


class Bank:
    async def capture(self, total: int, key: str) -> None: ...


@step(pivot=True)
async def capture(order: Order, bank: Bank, ctx: Context) -> None:
    asyncio.create_task(bank.capture(order.total, key=ctx.idempotency_key))


sell = Saga("sell", capture, resources=[Bank])
