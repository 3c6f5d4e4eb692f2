"""Orchestrators on a memory store, in virtual time, for tests that do not await.

    orchestrator = Orchestrators()                           # what the fixture of that name gives
    amends = orchestrator(sell_tickets, resources=[bank])
    saga = amends.start(sell_tickets, Order("ada", 2))
    orchestrator.time.advance("24h")

Rules of this file:
  * **Time passes in `advance`, and while an answer is awaited that needs it** (`result`, say). It jumps from one timer
    to the next, so a day costs what happens in it.
  * **Every verb runs on to rest:** when it returns, all has happened that can happen without time passing. So a test
    never waits for "a moment".
  * Time stands still while a thread works, for nobody knows how long that would take.
  * A fixed seed: ids and the order of things are the same in each run.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future as ThreadFuture, ThreadPoolExecutor
from datetime import datetime
from queue import SimpleQueue
from random import Random
from typing import Any, ParamSpec, Self, TypeVar, TypeVarTuple, Unpack

from ..core.definition import Saga
from ..policies.durations import Duration, milliseconds
from ..runtime.sync import SyncOrchestrator
from ..runtime.views import when
from .simulation.clock import SimulatedClock
from .simulation.loop import SimulatedLoop

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

PATIENCE_DAYS = 366  # of virtual time: whoever waits longer for an answer waits for something that does not come
# Nobody competes for the lease, and nobody else writes to the store. So nothing of the runtime needs to happen by the
# clock, and time can jump straight to what happens to the sagas.
ALONE: dict[str, Any] = {"lease": "3650d", "poll": "3650d", "horizon": "3650d", "grace": 0}


class VirtualLoop(SimulatedLoop):
    """A simulated loop that knows when it is at rest, and that waits for threads."""

    def __init__(self, rng: Random) -> None:
        super().__init__(rng)
        self._from_threads: SimpleQueue[asyncio.Handle] = SimpleQueue()
        self._working = 0
        self._rest: asyncio.Future[None] | None = None

    def until_rest(self) -> None:
        """Run until nothing is left to do but to let time pass."""
        self._rest = self.create_future()
        self.run_until_complete(self._rest)

    def _run_once(self) -> None:
        while not self._from_threads.empty():
            self._ready.append(self._from_threads.get())
        while not self._ready and self._working:
            self._ready.append(self._from_threads.get())
        due = bool(self._scheduled) and self._scheduled[0].when() <= self._now
        if self._rest is not None and not self._ready and not due:
            self._rest.set_result(None)
            self._rest = None
        super()._run_once()

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Here there are threads."""
        handle = asyncio.Handle(callback, args, self, context)
        self._from_threads.put(handle)
        return handle

    def run_in_executor(self, executor: Any, func: Callable[[Unpack[Ts]], T], *args: *Ts) -> asyncio.Future[T]:
        """As asyncio's, for `asyncio.to_thread` in the functions under test."""
        future = super().run_in_executor(executor, func, *args)
        self._working += 1
        future.add_done_callback(lambda _: self.thread_ended())
        return future

    def thread_begins(self) -> None:
        """Let time stand still."""
        self._working += 1

    def thread_ended(self) -> None:
        """And go on."""
        self._working -= 1


class _Threads(ThreadPoolExecutor):
    """What sync functions run in; the loop is told of each."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__(thread_name_prefix="amends-step")
        self._loop = loop

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> ThreadFuture[T]:
        self._loop.thread_begins()
        future = super().submit(fn, *args, **kwargs)
        future.add_done_callback(lambda _: self._loop.call_soon_threadsafe(self._loop.thread_ended))
        return future


class VirtualTime:
    """The time of one test."""

    def __init__(self) -> None:
        rng = Random(0)  # noqa: S311 -- it repeats a run
        self._loop = VirtualLoop(rng)
        self._clock = SimulatedClock(self._loop, rng)

    @property
    def now(self) -> datetime:
        """What the clock shows, as an aware time."""
        return when(self._clock.now_ms())

    def advance(self, by: Duration) -> None:
        """Let time pass, with everything that happens meanwhile: waits, sleeps, deadlines, backoffs, timeouts.

        Parameters:
            by: seconds, or a text such as `"24h"`.

        Raises:
            UsageError: it is no length of time.
        """
        self._loop.run_until_complete(asyncio.sleep(milliseconds(by, what="advance") / 1_000))
        self._loop.until_rest()


class _Asked:
    """What a `SyncOrchestrator` asks: here the loop runs in the caller's thread, and only while somebody asks."""

    def __init__(self, time: VirtualTime) -> None:
        self._loop = time._loop

    def ask(self, begin: Callable[[], Awaitable[T]], timeout: float | None = None) -> T:
        """What `begin()` gives. Raises TimeoutError."""

        async def asked() -> T:
            return await begin()

        task = self._loop.on(None, asked())  # in an empty context, as in a thread of its own
        limit_s = PATIENCE_DAYS * 86_400 if timeout is None else timeout
        self._loop.run_until_complete(asyncio.wait([task], timeout=limit_s))
        answered = task.done()
        if not answered:
            task.cancel()
        self._loop.until_rest()
        if answered:
            return task.result()
        limit = f"{PATIENCE_DAYS} days" if timeout is None else f"{timeout:g} s"
        raise TimeoutError(
            f"no answer within {limit} of virtual time: does the saga wait for a signal or a verb that the test has to "
            "give?"
        )

    def call(self, function: Callable[[], None]) -> None:
        """Call it, and let what follows happen."""
        self._loop.call_soon(function)
        self._loop.until_rest()

    def stop(self) -> None:
        """Nothing: the loop serves the whole test."""


class VirtualOrchestrator(SyncOrchestrator):
    """A `SyncOrchestrator` on a memory store and in virtual time.

    Each verb returns when all has happened that can happen without time passing; `result`, and whatever else waits,
    lets time pass until the answer is there, at most 366 days.

    Parameters:
        sagas, resources, settings: as `Orchestrator` takes them.
        time: its time.
    """

    def __init__(
        self, *sagas: Saga[Any, Any], resources: Iterable[object] = (), time: VirtualTime, **settings: Any
    ) -> None:
        super().__init__(
            "sqlite://", sagas=sagas, resources=resources, clock=time._clock, **{**ALONE, **settings}
        )  # fmt: skip
        self.time = time

    def _begin_loop(self) -> _Asked:
        return _Asked(self.time)

    def open(self) -> Self:
        """Open it."""
        super().open()
        leader = self._inner._leader
        assert leader is not None
        assert leader.engine is not None
        leader.engine.executor._threads = _Threads(self.time._loop)
        return self


class Orchestrators:
    """What the fixture `orchestrator` gives: call it with the sagas under test.

    `orchestrator(saga, ..., resources=[double], **settings)` takes what `Orchestrator` takes, and gives a
    `VirtualOrchestrator`, open, on a memory store of its own. At the end of the test it is closed.

    Attributes:
        time: the virtual time that all orchestrators of a test share.
    """

    def __init__(self) -> None:
        self.time = VirtualTime()
        self._made: list[VirtualOrchestrator] = []

    def __call__(
        self, *sagas: Saga[Any, Any], resources: Iterable[object] = (), **settings: Any
    ) -> VirtualOrchestrator:
        """An open orchestrator. Raises DefinitionError, UsageError."""
        made = VirtualOrchestrator(*sagas, resources=resources, time=self.time, **settings)
        self._made.append(made)
        return made.open()

    def close(self) -> None:
        """Close what was made; calls that still run are cut."""
        try:
            for made in reversed(self._made):
                made.close()
        finally:
            self.time._loop.end()
