import logging
from dataclasses import dataclass

from amends import Context, Saga, step


@dataclass
class Order:
    order_id: str
    total: int


class Stock:
    async def release(self, key: str) -> None: ...


@step
async def reserve(order: Order, ctx: Context) -> None: ...


@reserve.compensation
async def release(order: Order, stock: Stock, ctx: Context) -> None:
    try:
        await stock.release(ctx.action_key)
    except Exception:
        logging.exception("could not release %s", order.order_id)


@step(pivot=True)
async def capture(order: Order, ctx: Context) -> None: ...


sell = Saga("sell", reserve, capture, resources=[Stock])
