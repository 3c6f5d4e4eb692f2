from dataclasses import dataclass

from amends import Context, Saga, step


@dataclass
class Order:
    order_id: str
    total: int


@step
async def reserve_stock(order: Order, ctx: Context) -> None: ...


@reserve_stock.compensation
async def release_courier(order: Order, ctx: Context) -> None: ...


@step
async def book_courier(order: Order, ctx: Context) -> None: ...


@book_courier.compensation
async def release_goods(order: Order, ctx: Context) -> None: ...


sell = Saga("sell", reserve_stock, book_courier)
