"""Time and chance, injected: the only module of the package that asks the machine for them.

Wall time (milliseconds since the epoch) is what journals hold. Durations are measured by the event
loop's own clock, which no administrator can step. A simulated loop brings its own of both.
"""

from __future__ import annotations

import os
import time
from typing import Protocol

_EXACT_MS = 20  # clocks that are nearer to each other count as equal


class Clock(Protocol):
    """What the runtime asks of the world."""

    def now_ms(self) -> int:
        """Wall time, milliseconds since the epoch."""

    def entropy(self, size: int) -> bytes:
        """`size` random bytes, for ids."""


class SystemClock:
    """The machine's clock and the kernel's randomness."""

    def now_ms(self) -> int:
        """Wall time, milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def entropy(self, size: int) -> bytes:
        """`size` random bytes, for ids."""
        return os.urandom(size)


class StoreTime:
    """The store's wall time, by this process's clock and how far the two are apart.

    Workers of one store may have clocks that are minutes apart; leases, due times and deadlines are all told by the
    store's. A store without a clock of its own has this host's.

    Parameters:
        clock: this process's clock, and chance.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.ahead_ms = 0
        self.now_ms = clock.now_ms  # until a store tells something else, at no cost
        self.entropy = clock.entropy

    def told(self, time_ms: int, took_ms: float) -> None:
        """The store said its time, in an answer that took so long. A difference within that is none."""
        ahead = time_ms + int(took_ms / 2) - self._clock.now_ms()
        if abs(ahead - self.ahead_ms) > took_ms + _EXACT_MS:
            self.ahead_ms = ahead
            self.now_ms = self._corrected

    def _corrected(self) -> int:
        return self._clock.now_ms() + self.ahead_ms
