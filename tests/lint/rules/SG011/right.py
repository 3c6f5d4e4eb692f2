from dataclasses import dataclass

from amends import Context, Saga, step


@dataclass
class Order:
    order_id: str
    total: int
    email: str


class Bank:
    async def charge(self, total: int, idempotency_key: str) -> None: ...


@step(pivot=True)
async def charge(order: Order, bank: Bank, ctx: Context) -> None:
    await bank.charge(order.total, idempotency_key=ctx.idempotency_key)


sell = Saga("sell", charge, resources=[Bank])
