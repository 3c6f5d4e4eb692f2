from dataclasses import dataclass

from amends import Context, Saga, step


@dataclass
class Order:
    order_id: str
    total: int


class Bank:
    async def hold(self, total: int, key: str) -> str: ...
    async def release(self, hold: str) -> None: ...


holds: dict[str, str] = {}


@step
async def reserve(order: Order, bank: Bank, ctx: Context) -> None:
    holds[order.order_id] = await bank.hold(order.total, key=ctx.idempotency_key)


@reserve.compensation
async def release(order: Order, bank: Bank) -> None:
    await bank.release(holds[order.order_id])


@step(pivot=True)
async def capture(order: Order, ctx: Context) -> None: ...


sell = Saga("sell", reserve, capture, resources=[Bank])
