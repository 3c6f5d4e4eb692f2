"""What the runtime's tests share: a scene runner, a clock moved by hand, stores that fail on request."""

from __future__ import annotations

import asyncio
import functools
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from amends import Orchestrator
from amends.stores.base import Store
from amends.stores.memory import MemoryStore
from amends.stores.sqlite import SQLiteStore

FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="THIS SYSTEM DOES NOT FORK: the test of forking was not run")
LIMIT_S = 30.0  # a scene that takes longer hangs


def scene(function: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """An async test as one that pytest runs; a hang is a failure."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(asyncio.wait_for(function(*args, **kwargs), LIMIT_S))

    return run


async def until(happened: Callable[[], Any], what: str = "what was waited for", limit_s: float = 5.0) -> None:
    """Let the loop go on until `happened()` (which may be a coroutine function) is true."""
    give_up = time.monotonic() + limit_s
    while True:
        seen = happened()
        if asyncio.iscoroutine(seen):
            seen = await seen
        if seen:
            return
        assert time.monotonic() < give_up, f"{what} did not happen"
        await asyncio.sleep(0.002)


async def ignore_cancellation(awaitable: Awaitable[Any]) -> Any:
    """Wait for it, whoever cancels."""
    future = asyncio.ensure_future(awaitable)
    while not future.done():
        try:
            await asyncio.shield(future)
        except asyncio.CancelledError:
            continue
    return future.result()


class HandClock:
    """Wall time that moves when it is told to; otherwise it runs with the machine's."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead_ms

    def entropy(self, size: int) -> bytes:
        return os.urandom(size)


class Ground:
    """One journal that orchestrators come and go on: memory or a file."""

    def __init__(self, path: Any) -> None:
        self.path = path
        self.memory = MemoryStore() if path is None else None

    def store(self) -> Store:
        """Another connection to it (in memory, the same store)."""
        return self.memory if self.memory is not None else SQLiteStore(self.path)

    def orchestrator(self, *sagas: Any, **more: Any) -> Orchestrator:
        more.setdefault("grace", 0)
        return Orchestrator(more.pop("store", None) or self.store(), sagas=sagas, **more)


class FaultyStore:
    """A store with scripted faults in front of it.

    `faults[verb]` is called before the verb (with its arguments) and may raise, or be a coroutine
    function that takes its time; None lets everything through.
    """

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.faults: dict[str, Callable[..., Any]] = {}
        self.calls: list[str] = []

    @property
    def address(self) -> str:
        return self._inner.address

    def close(self) -> None:
        self._inner.close()

    def bell(self, what: Any) -> Any:
        return self._inner.bell(what)

    def ring(self, what: Any) -> None:
        self._inner.ring(what)

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._inner, name)
        if isinstance(verb, str):
            return verb

        async def faulty(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            fault = self.faults.get(name)
            if fault is not None:
                seen = fault(*args, **kwargs)
                if asyncio.iscoroutine(seen):
                    await seen
            return await verb(*args, **kwargs)

        return faulty


async def events_of(orchestrator: Orchestrator, saga_id: str, step: str | None = None) -> list[str]:
    """The names of a saga's events, or of one step's."""
    return [entry.event for entry in await orchestrator.history(saga_id) if step in (None, entry.step)]


async def kill(orchestrator: Orchestrator) -> None:
    """End an orchestrator as a crash does: nothing more is written, and the lease is only taken over."""
    leader = orchestrator._leader
    assert leader is not None and leader.engine is not None
    engine = leader.engine
    engine.committer._task.cancel()
    from amends.errors import StoreUnavailable

    leader._task.cancel()
    await leader._intake.stop()
    engine.abandon(StoreUnavailable("killed"))
    await engine.close()
    leader.engine = None
    await orchestrator._store.release(engine.lease)
    orchestrator._leader = None
    orchestrator._open = False
    orchestrator._store.close()
