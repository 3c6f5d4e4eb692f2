"""A machine's wall clock: virtual time plus what an administrator, or a broken NTP server, did to it."""

from __future__ import annotations

import asyncio
from random import Random

EPOCH_MS = 1_790_000_000_000


class SimulatedClock:
    """Implements `runtime.clock.Clock`.

    Parameters:
        loop: whose time it shows.
        rng: where entropy comes from.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, rng: Random) -> None:
        self._loop = loop
        self._rng = rng
        self.offset_ms = 0

    def now_ms(self) -> int:
        """Wall time, milliseconds since the epoch."""
        return EPOCH_MS + self.offset_ms + int(self._loop.time() * 1_000)

    def entropy(self, size: int) -> bytes:
        """`size` bytes that the seed decides."""
        return self._rng.randbytes(size)

    def step(self, by_ms: int) -> None:
        """Move the clock, forward or backward."""
        self.offset_ms += by_ms
