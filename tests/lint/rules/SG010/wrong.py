from dataclasses import dataclass

from amends import Context, Saga, step


@dataclass
class Order:
    order_id: str
    total: int
    email: str


@dataclass
class Label:
    number: str


@step
async def reserve(order: Order, ctx: Context) -> None: ...


@reserve.compensation
async def release(order: Order, print_label: Label | None, ctx: Context) -> None: ...


@step(pivot=True)
async def print_label(order: Order, ctx: Context) -> Label: ...


sell = Saga("sell", reserve, print_label)
