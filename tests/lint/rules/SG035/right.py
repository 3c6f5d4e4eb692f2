from dataclasses import dataclass

from amends import Context, Saga, each, step


@dataclass
class Order:
    skus: list[str]


class Stock:
    async def release(self, sku: str, key: str) -> None: ...


def skus(order: Order) -> list[str]:
    return order.skus


@step
async def reserve(item: str, ctx: Context) -> None: ...


@reserve.compensation
async def release(item: str, stock: Stock, ctx: Context) -> None:
    await stock.release(item, key=ctx.action_key)


@step(pivot=True)
async def capture(order: Order, ctx: Context) -> None: ...


sell = Saga("sell", each(skus, reserve), capture, resources=[Stock])
