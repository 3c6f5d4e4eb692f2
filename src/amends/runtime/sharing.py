"""Several workers on one store: who runs which shards, and how they move.

Every worker reckons its share for itself: all shards divided by the workers there are, those that wait for some
among them, rounded up. Who has more lets some go; who has less takes what is free. No worker leads the others, and
none moves another's shards. What each does follows from its last renewal alone (`Standing`), and all of them come
to the same division, for a shard that is let go is free for whoever has less than his share.

    more than its share    its shards with the fewest sagas in memory are let go: nothing new begins in them, running
                           calls may end within a bound, the rest is cut and handed over, all is written; only
                           then are they given up
    less than its share    it takes free shards, and those of workers whose lease is over, and recovers their sagas
    a definition lacking   sagas of a shard are of a definition that is not here: that is written down for the shard,
                           and it is let go as soon as a worker lives that has it; nobody else takes it meanwhile

Somebody who waits, or gives up shards, rings the "lease" bell, and everybody renews at once and looks again. Without a
ring that happens at the next renewal.

Rules of this file: it never waits while the lease needs a renewal, for the moves are a task of their own.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING

from ..core.shards import shard_of
from ..errors import LeaseLost, StoreError, StoreUnavailable
from ..stores.base import Shared, Standing

if TYPE_CHECKING:
    from .engine import Engine
    from .intake import Intake

_log = logging.getLogger("amends")
_AGAIN_S = 0.1  # how soon the store is asked again, when it was out of reach
_GRACE = 1 / 3  # of the lease: how long calls of shards that are let go may run on


class Sharing:
    """One term's part in the division of shards.

    Parameters:
        engine: what runs the sagas.
        intake: what recovers those of new shards.
        shared: the store.
        ttl_s: how long a lease lasts.
    """

    def __init__(self, engine: Engine, intake: Intake, shared: Shared, ttl_s: float) -> None:
        self._engine = engine
        self._intake = intake
        self._shared = shared
        self._grace_s = ttl_s * _GRACE
        self._moving: asyncio.Task[None] | None = None

    def look(self) -> None:
        """Move shards if the last renewal says so; at once, unless a move is under way."""
        if self._moving is not None and not self._moving.done():
            return
        standing = self._shared.standing
        if standing is None or self._engine.stopped or self._engine.draining:
            return
        stray = standing.mine - frozenset(self._engine.shards)
        surplus = len(standing.mine) > max(standing.share, len(standing.needed))
        if stray or surplus or standing.misplaced or self._engine.lacks or self._may_take(standing):
            self._moving = self._engine.loop.create_task(self._move(standing), name="amends-shards")

    def _may_take(self, standing: Standing) -> bool:
        # Also with a whole share: it grows when a lease is over, which must be written first; and what is free while
        # everybody has his share needs a definition that perhaps only this worker has.
        over = standing.some_gone or 0 < standing.next_end <= self._engine.clock.now_ms()
        return over or bool(standing.free)

    async def _move(self, standing: Standing) -> None:
        try:
            if self._engine.lacks:
                lacks, self._engine.lacks = self._engine.lacks, {}
                await self._shared.need(lacks)
                self._engine.look_soon()  # the next renewal tells whether another has what is lacking
            if stray := standing.mine - frozenset(self._engine.shards):
                await self._run(stray)  # they were given to us, and the answer was lost
            elif standing.misplaced:
                await self._let_go(standing.misplaced)
            elif len(standing.mine) > max(standing.share, len(standing.needed)):
                await self._let_go(self._least_busy(standing))
            elif self._may_take(standing):
                await self._take()
        except LeaseLost as error:
            self._engine.fail(error)
        except StoreError as error:
            _log.warning("shards were not moved yet: %s", error)

    def _least_busy(self, standing: Standing) -> frozenset[int]:
        """Those that are too many: with the fewest sagas in memory, and none that not everybody could run."""
        load = Counter(shard_of(saga_id) for saga_id in self._engine.actors)
        free_to_go = [shard for shard in self._engine.shards if shard not in standing.needed]
        count = len(standing.mine) - standing.share
        return frozenset(sorted(free_to_go, key=lambda shard: (load[shard], shard))[:count])

    async def _let_go(self, going: frozenset[int]) -> None:
        engine = self._engine
        await engine.let_shards_go(going, self._grace_s)
        while not engine.stopped:  # nobody runs them until the store knows: ask it until it says so
            try:
                await self._shared.give(engine.lease, going)
            except StoreUnavailable as error:
                _log.warning("shards were not given up yet: %s", error)
                await asyncio.sleep(_AGAIN_S)
            else:
                _log.info("%d shards were given up for other workers", len(going))
                return

    async def _take(self) -> None:
        engine = self._engine
        new = await self._shared.take(engine.lease, now=engine.clock.now_ms())
        if new and not engine.stopped:
            await self._run(new)

    async def _run(self, new: frozenset[int]) -> None:
        self._engine.take_over(new)
        _log.info("%d shards were taken over", len(new))
        await self._intake.take_over(new)

    async def stop(self) -> None:
        """Move nothing any more."""
        if self._moving is not None:
            self._moving.cancel()
            await asyncio.gather(self._moving, return_exceptions=True)
