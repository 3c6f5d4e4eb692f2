"""One deadline heap for everything that has a time: attempt timeouts, retries, waits, deadlines.

Rules of this file: an armed timer is a heap entry, never a task; a cancelled one stays in the heap
until it is cheap to drop them all (more than half are dead); the event loop is asked for one wake-up,
the earliest.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

_COMPACT_ABOVE = 1_024


class Timer:
    """A function to call at a time of the loop's clock; `cancel` is cheap."""

    __slots__ = ("_heap", "call", "when")

    def __init__(self, when: float, call: Callable[[], None], heap: DeadlineHeap) -> None:
        self.when = when
        self.call: Callable[[], None] | None = call
        self._heap = heap

    def cancel(self) -> None:
        """Never call the function; does nothing when it was called already."""
        if self.call is not None:
            self.call = None
            self._heap.one_died()


class DeadlineHeap:
    """Parameters: loop: whose clock and wake-ups it uses."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._entries: list[tuple[float, int, Timer]] = []
        self._number = 0
        self._dead = 0
        self._handle: asyncio.TimerHandle | None = None
        self._wakes_at = 0.0

    def __len__(self) -> int:
        return len(self._entries) - self._dead

    def at(self, when: float, call: Callable[[], None]) -> Timer:
        """Call `call` at `when` on the loop's clock; calls due together come in the order they were armed."""
        timer = Timer(when, call, self)
        self._number += 1
        heapq.heappush(self._entries, (when, self._number, timer))
        if self._handle is None or when < self._wakes_at:
            self._wake_at(when)
        return timer

    def close(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._dead = 0
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def one_died(self) -> None:
        """A timer was cancelled; compact when most of the heap is dead."""
        self._dead += 1
        if self._dead > _COMPACT_ABOVE and self._dead * 2 > len(self._entries):
            self._entries = [entry for entry in self._entries if entry[2].call is not None]
            heapq.heapify(self._entries)
            self._dead = 0

    def _wake_at(self, when: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._wakes_at = when
        self._handle = self._loop.call_at(when, self._fire)

    def _fire(self) -> None:
        self._handle = None
        now = self._loop.time()
        while self._entries and self._entries[0][0] <= now:
            timer = heapq.heappop(self._entries)[2]
            call, timer.call = timer.call, None
            if call is None:
                self._dead -= 1
            else:
                call()
        if self._entries and self._handle is None:
            self._wake_at(self._entries[0][0])
