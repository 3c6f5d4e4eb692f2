"""What the conformance suites of stores share: a new store for each test, and a few helpers.

Rules of this file: a test's body is a coroutine that gets the store; `run` gives it a loop of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from ..core.filters import Filter
from ..errors import AmendsError
from ..stores.base import ASLEEP, Lease, Owner, Store
from .journals import NOW

TTL = 10_000
EVERYTHING = Filter()

_Error = TypeVar("_Error", bound=AmendsError)


def owner(name: str) -> Owner:
    """An owner that no process on this host is."""
    return Owner(name, "another-host", "another-boot", 4_711, 1)


async def refused(kind: type[_Error], call: Awaitable[Any]) -> _Error:
    """The error of the given kind that the call must raise."""
    try:
        answer = await call
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised; the answer was {answer!r}")


async def leading(store: Store, name: str = "first", now: int = NOW) -> Lease:
    """The store's lease, which must be free."""
    lease = await store.acquire(owner(name), ttl_ms=TTL, now=now)
    assert lease is not None
    return lease


async def ids(store: Store, which: Filter = EVERYTHING, before: str = "", limit: int = 100) -> list[str]:
    """The ids of a page of the list."""
    return [summary.saga_id for summary in await store.summaries(which, before=before, limit=limit)]


async def open_ids(store: Store, *, due_from: int = 0, due_before: int = ASLEEP + 1) -> list[str]:
    """The ids of the open set, by number."""
    rows = await store.open_sagas(after=0, due_from=due_from, due_before=due_before, limit=1_000)
    return [row.saga_id for row in rows]


class StoreStage:
    """The base of the suites. Override `make`."""

    async def make(self, tmp_path: Path) -> Store:
        """A new, empty, opened store."""
        raise AssertionError("override make")

    def run(self, tmp_path: Path, body: Callable[[Store], Awaitable[None]]) -> None:
        """Run a test's body on a new store, and close it."""

        async def main() -> None:
            store = await self.make(tmp_path)
            try:
                await body(store)
            finally:
                store.close()

        asyncio.run(main())
