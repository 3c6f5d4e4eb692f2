from dataclasses import dataclass

from amends import Context, Saga, step


@dataclass
class Order:
    order_id: str


@step
async def lock_stock(order: Order, ctx: Context) -> None: ...


@lock_stock.compensation
async def unlock_stock(order: Order, ctx: Context) -> None: ...


@step
async def lock_account(order: Order, ctx: Context) -> None: ...


@lock_account.compensation
async def unlock_account(order: Order, ctx: Context) -> None: ...


@step(pivot=True)
async def capture(order: Order, ctx: Context) -> None: ...


@step(retriable=True)
async def release_stock(order: Order, ctx: Context) -> None: ...


@step(retriable=True)
async def release_account(order: Order, ctx: Context) -> None: ...


sell = Saga("sell", lock_stock, lock_account, capture, release_stock, release_account)
take_back = Saga("take_back", lock_stock, lock_account, capture, release_stock, release_account)
