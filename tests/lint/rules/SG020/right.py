from dataclasses import dataclass

from amends import Context, Saga, step


@dataclass
class Order:
    order_id: str
    total: int


@step
async def lock_account(order: Order, ctx: Context) -> None: ...


@lock_account.compensation
async def unlock_account(order: Order, ctx: Context) -> None: ...


@step(pivot=True)
async def capture(order: Order, ctx: Context) -> None: ...


@step(retriable=True)
async def unlock_at_the_end(order: Order, ctx: Context) -> None: ...


sell = Saga("sell", lock_account, capture, unlock_at_the_end.named("unlock_account"))
