"""An event loop whose time is virtual and whose order is a seed's.

Nothing waits: when no callback is ready, time jumps to the next timer. A `Machine` is a simulated
process: every callback belongs to the one in whose context it was scheduled, so a machine can be
killed (its callbacks never run again, not even a `finally`) or stopped for a while, as by SIGSTOP.

What a seed may reorder, and what not:
  * callbacks of one machine keep their order, for asyncio promises it and code may rely on it;
  * those of different machines interleave freely, as on different hosts;
  * timers that are due together fire in any order; each turn of the loop takes a little time.

Rules of this file: no threads and no real time; no order that comes from a memory address.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
_TURN_MAX_S = 0.000_05  # how long one turn of the loop takes, at most


class Stalled(Exception):
    """Nothing is ready and no timer is armed: what is awaited will never come."""


class Machine:
    """A simulated process: a name, and whether its callbacks run."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.killed = False
        self.stopped_handles: list[asyncio.Handle] | None = None
        self.context = contextvars.copy_context()
        self.context.run(_MACHINE.set, self)

    @property
    def stopped(self) -> bool:
        """Whether it gets no turns at present."""
        return self.stopped_handles is not None


_MACHINE: contextvars.ContextVar[Machine | None] = contextvars.ContextVar("amends_simulated_machine", default=None)


def this_machine() -> Machine | None:
    """The machine whose callback runs now; None for the world outside of all machines."""
    return _MACHINE.get()


class SimulatedLoop(asyncio.BaseEventLoop):
    """An asyncio event loop on virtual time.

    Parameters:
        rng: decides what may be reordered.
    """

    # BaseEventLoop's own, declared for the type checker.
    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self, rng: Random) -> None:
        super().__init__()
        self._rng = rng
        self._now = 0.0
        self._over = False
        self._tasks: list[asyncio.Task[Any]] = []
        self.set_task_factory(self._make_task)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def on(self, machine: Machine | None, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine on a machine, or in the world outside (None)."""
        context = contextvars.Context() if machine is None else machine.context.copy()
        return self.create_task(coroutine, context=context)

    def stop_machine(self, machine: Machine) -> None:
        """SIGSTOP: no callback of it runs until `continue_machine`; time goes on."""
        if machine.stopped_handles is None:
            machine.stopped_handles = []

    def continue_machine(self, machine: Machine) -> None:
        """SIGCONT: everything that became ready meanwhile runs now."""
        handles, machine.stopped_handles = machine.stopped_handles, None
        self._ready.extend(handles or ())

    def _make_task(self, loop: Any, coroutine: Any, **named: Any) -> asyncio.Task[Any]:
        # A reference to every task: the garbage collector must not run a killed machine's `finally`
        # blocks in the middle of a run, at a moment that no seed decides.
        task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=self, **named)
        self._tasks.append(task)
        return task

    # --- what BaseEventLoop leaves to its subclasses -------------------------------------------------

    def _run_once(self) -> None:
        scheduled = self._scheduled
        while scheduled and scheduled[0].cancelled():
            heapq.heappop(scheduled)._scheduled = False  # type: ignore[attr-defined]
        if not self._ready:
            if not scheduled:
                raise Stalled("nothing is ready, and no timer is armed")
            self._now = max(self._now, scheduled[0].when())
        self._now += self._rng.random() * _TURN_MAX_S
        due: list[asyncio.Handle] = []
        while scheduled and scheduled[0].when() <= self._now:
            timer = heapq.heappop(scheduled)
            timer._scheduled = False  # type: ignore[attr-defined]
            due.append(timer)
        if len(due) > 1:
            self._rng.shuffle(due)
        self._ready.extend(due)
        for handle in self._in_some_order():
            if not handle.cancelled():
                handle._run()

    def _in_some_order(self) -> list[asyncio.Handle]:
        """What is ready now, machine by machine; callbacks of killed and stopped machines are taken out."""
        by_machine: dict[Machine | None, list[asyncio.Handle]] = {}
        while self._ready:
            handle = self._ready.popleft()
            machine = handle._context.get(_MACHINE)  # type: ignore[attr-defined]
            if machine is not None and machine.killed:
                continue
            if machine is not None and machine.stopped_handles is not None:
                machine.stopped_handles.append(handle)
            else:
                by_machine.setdefault(machine, []).append(handle)
        groups = list(by_machine.values())
        if len(groups) > 1:
            self._rng.shuffle(groups)
        return [handle for group in groups for handle in group]

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """There is one thread."""
        return self.call_soon(callback, *args, context=context)

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """As asyncio's; when the run is over nothing is scheduled any more."""
        if self._over:
            return asyncio.Handle(callback, args, self, context)
        return super().call_soon(callback, *args, context=context)

    def _process_events(self, event_list: Any) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """There is nobody to wake."""

    def end(self) -> None:
        """Close, and let the abandoned tasks go without a word."""
        self._over = True
        for task in self._tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                task.get_coro().close()
        self._tasks.clear()
        self._ready.clear()
        self._scheduled.clear()
        self.close()
