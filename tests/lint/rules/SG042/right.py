from dataclasses import dataclass

from amends import Context, Saga, step


@dataclass
class Order:
    order_id: str
    total: int


class Bank:
    async def hold(self, total: int, key: str) -> str: ...
    async def release(self, hold: str) -> None: ...


@step
async def reserve(order: Order, bank: Bank, ctx: Context) -> str:
    return await bank.hold(order.total, key=ctx.idempotency_key)


@reserve.compensation
async def release(reserve: str | None, bank: Bank, ctx: Context) -> None:
    await bank.release(reserve or ctx.action_key)


@step(pivot=True)
async def capture(order: Order, ctx: Context) -> None: ...


sell = Saga("sell", reserve, capture, resources=[Bank])
