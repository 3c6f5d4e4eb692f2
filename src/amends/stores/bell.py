"""A bell within one process: who waits for a change of the store, and who tells of one.

Rules of this file: a ring is a hint and nothing more. Whoever is woken looks at the store, and whoever
is not woken looks after a while all the same; so a ring may come for nothing, twice, or never. Rings
that come while nobody waits are kept as one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .base import Ring


class LocalBell:
    """Implements `Bell` for rings of this process; one task at a time waits for it.

    Parameters:
        closed: called once, with the bell, when it is taken down.
    """

    works = True

    def __init__(self, closed: Callable[[LocalBell], None] | None = None) -> None:
        self._closed = closed
        self._rung = False
        self._waiting: asyncio.Future[None] | None = None

    async def wait(self, timeout_s: float) -> bool:
        """Until it was rung since the last call, at most so long; whether it was."""
        if not self._rung and timeout_s > 0:
            loop = asyncio.get_running_loop()
            self._waiting = loop.create_future()
            timer = loop.call_later(timeout_s, self._answer)
            try:
                await self._waiting
            finally:
                timer.cancel()
                self._waiting = None
        rung, self._rung = self._rung, False
        return rung

    def ring(self) -> None:
        """Wake who waits, or who will wait next."""
        self._rung = True
        self._answer()

    def _answer(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def close(self) -> None:
        """Take it down; who waits is woken."""
        closed, self._closed = self._closed, None
        if closed is not None:
            closed(self)
        self.ring()


class LocalBells:
    """All bells of one store object, by what they ring for."""

    def __init__(self) -> None:
        self._bells: dict[Ring, list[LocalBell]] = {}

    def hang(self, what: Ring) -> LocalBell:
        """Another bell."""
        bell = LocalBell(lambda gone: self.remove(what, gone))
        self.add(what, bell)
        return bell

    def add(self, what: Ring, bell: LocalBell) -> None:
        """Have a bell rung from now on."""
        self._bells.setdefault(what, []).append(bell)

    def remove(self, what: Ring, bell: LocalBell) -> None:
        """Ring it no more."""
        self._bells[what].remove(bell)

    def ring(self, what: Ring) -> None:
        """Ring all of them."""
        for bell in self._bells.get(what, ()):
            bell.ring()

    def close(self) -> None:
        """Take all of them down."""
        for bells in self._bells.values():
            for bell in list(bells):
                bell.close()
