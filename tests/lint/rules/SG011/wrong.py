from dataclasses import dataclass
from uuid import uuid4

from amends import Saga, step


@dataclass
class Order:
    order_id: str
    total: int
    email: str


class Bank:
    async def charge(self, total: int, idempotency_key: str) -> None: ...


@step(pivot=True)
async def charge(order: Order, bank: Bank) -> None:
    await bank.charge(order.total, idempotency_key=str(uuid4()))


sell = Saga("sell", charge, resources=[Bank])
