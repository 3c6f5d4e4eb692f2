from dataclasses import dataclass

from amends import Context, Saga, step


@dataclass
class Order:
    order_id: str
    total: int
    email: str


@dataclass
class Hold:
    number: str


class Bank:
    async def hold(self, total: int, key: str) -> Hold: ...
    async def release(self, number: str) -> None: ...
    async def release_by_key(self, key: str) -> None: ...


@step
async def reserve(order: Order, bank: Bank, ctx: Context) -> Hold:
    return await bank.hold(order.total, key=ctx.idempotency_key)


@reserve.compensation
async def release(hold: Hold, bank: Bank) -> None:
    await bank.release(hold.number)


@step(pivot=True)
async def capture(order: Order, ctx: Context) -> None: ...


sell = Saga("sell", reserve, capture, resources=[Bank])
