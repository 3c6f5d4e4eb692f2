"""Probe says not seen."""

import logging
from dataclasses import dataclass

import httpx2

from amends import Context, Orchestrator, Rejected, Saga, step

log = logging.getLogger(__name__)


@dataclass
class Order:
    order_id: str
    customer: str
    total: int
    skus: list[str]


@dataclass
class Hold:
    hold_id: str


class Bank:
    async def hold(self, total: int, *, key: str = "") -> Hold: ...
    async def capture(self, hold_id: str, *, key: str = "") -> None: ...
    async def charge(self, customer: str, total: int, *, key: str = "") -> Hold: ...
    async def refund(self, customer: str, total: int, *, key: str = "") -> None: ...
    async def release(self, hold_id: str) -> None: ...
    async def release_by_key(self, key: str) -> None: ...


class Stock:
    async def reserve(self, sku: str, *, key: str) -> None: ...
    async def release(self, sku: str, *, key: str) -> None: ...
    async def look(self, sku: str) -> int: ...


ALL = [Bank, Stock, httpx2.AsyncClient, Orchestrator]


@step
async def reserve(order: Order, stock: Stock, ctx: Context) -> None:
    await stock.reserve(order.skus[0], key=ctx.idempotency_key)


@reserve.compensation
async def release(order: Order, stock: Stock, ctx: Context) -> None:
    await stock.release(order.skus[0], key=ctx.action_key)


@step(pivot=True)
async def capture(order: Order, bank: Bank, ctx: Context) -> None:
    await bank.capture(order.order_id, key=ctx.idempotency_key)


@step(retriable=True)
async def ship(order: Order, ctx: Context) -> None: ...


@step
async def hold(order: Order, bank: Bank, ctx: Context) -> None:
    await bank.hold(order.total, key=ctx.idempotency_key)


@hold.compensation
async def unhold(order: Order, bank: Bank, ctx: Context) -> None:
    await bank.release_by_key(ctx.action_key)


@hold.probe
async def find(order: Order, http: httpx2.AsyncClient, ctx: Context) -> bool:
    answer = await http.get(f"/holds/{ctx.action_key}")
    if answer.status_code == 404:
        return False
    if answer.status_code == 410:
        raise Rejected("it was refused for good")
    answer.raise_for_status()
    return True


sell = Saga("sell", hold, capture, resources=ALL)
