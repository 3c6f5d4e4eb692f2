# expect: SG016
"""Decorator swallows."""

import functools
import logging
from dataclasses import dataclass

import httpx2

from amends import Context, Orchestrator, Saga, step

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


def logged(function):
    @functools.wraps(function)
    async def inner(*args, **kwargs):
        try:
            return await function(*args, **kwargs)
        except Exception:
            log.exception("it failed")
            return None

    return inner


@step
async def book(order: Order, ctx: Context) -> None: ...


@book.compensation
@logged
async def unbook(order: Order, bank: Bank, ctx: Context) -> None:
    await bank.release_by_key(ctx.action_key)


sell = Saga("sell", book, capture, resources=ALL)
