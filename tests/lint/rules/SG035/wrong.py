from dataclasses import dataclass

from amends import Context, Saga, step


@dataclass
class Order:
    skus: list[str]


class Stock:
    async def release(self, sku: str, key: str) -> None: ...


@step
async def reserve(order: Order, ctx: Context) -> None: ...


@reserve.compensation
async def release(order: Order, stock: Stock, ctx: Context) -> None:
    for sku in order.skus:
        await stock.release(sku, key=ctx.action_key)


@step(pivot=True)
async def capture(order: Order, ctx: Context) -> None: ...


sell = Saga("sell", reserve, capture, resources=[Stock])
