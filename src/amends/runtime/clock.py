"""Time and chance, injected: the only module of the package that asks the machine for them.

Wall time (milliseconds since the epoch) is what journals hold. Durations are measured by the event
loop's own clock, which no administrator can step. A simulated loop brings its own of both.
"""

from __future__ import annotations

import os
import time
from typing import Protocol


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
