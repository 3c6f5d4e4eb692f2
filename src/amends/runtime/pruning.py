"""Retention: what has ended long ago is removed, a little at a time.

    await orchestrator.prune(older="30d", status="completed")       # by hand, from any process
    Orchestrator(..., retention="30d", key_retention="90d")         # by whoever leads, all the time

Of a saga that goes, journal and line in the lists go. A trace stays (its name, its end, when it was pruned),
and so does its start key, for `key_retention` after that: a start under it is told apart, and who asks for the
saga is told what became of it. Commands of the inbox that are answered go when they are as old.

Kept, unless they are asked for: sagas with an anomaly, and those whose follow-ups failed. Always kept: what has
not ended, and what has follow-ups to do.

    AM2050  the age, limit or batch of a pruning is no length of time, or out of range

Rules of this file: small transactions, and as long a pause after each as it took, so that those who commit
beside it wait for one of them at most. Each is whole: whatever ends a pruning, what was removed by then was
removed entirely.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from ..core.filters import Compare, Filter, Match, Value
from ..errors import UsageError
from ..limits import PRUNE_BATCH, PRUNE_BATCH_MAX
from ..policies.durations import Duration, milliseconds
from ..stores.base import Store
from .archiving import Archive
from .clock import Clock

_ANSWERS_KEPT_MS = 3_600_000  # who asked for a command may still be waiting for its answer


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a pruning came to.

    Attributes:
        sagas: how many were removed; with `dry_run`, how many would be.
        rows: how many traces (with their start keys) and answered commands were removed.
        more: whether `limit` kept it from removing all that fits.
    """

    sagas: int = 0
    rows: int = 0
    more: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning:
    """Which sagas are old enough, and how many go at a time; lengths in milliseconds.

    Attributes:
        which: what they must be besides.
        older_ms: how long ago they ended.
        key_ms: how long traces and start keys outlive them.
        anomalous, followup_failed: whether those go too.
        limit: at most so many; None for all.
        batch: how many in one transaction.
    """

    which: Filter
    older_ms: int
    key_ms: int
    anomalous: bool = False
    followup_failed: bool = False
    limit: int | None = None
    batch: int = PRUNE_BATCH

    def filter_at(self, now: int) -> Filter:
        """The whole filter, at a moment."""
        kept = [Match("is", (Value(flag),), negated=True) for flag in self._kept()]
        old = Compare("ended", "<=", now - self.older_ms, "time")
        return Filter((*self.which.terms, old, *kept), now)

    def _kept(self) -> list[str]:
        flags = {"anomalous": self.anomalous, "followup_failed": self.followup_failed}
        return [name for name, too in flags.items() if not too]


def pruning_of(
    which: Filter, older: Duration, key_retention: Duration, *, anomalous: bool = False, followup_failed: bool = False,
    limit: int | None = None, batch: int = PRUNE_BATCH,
) -> Pruning:  # fmt: skip
    """A pruning as it was asked for, checked. Raises UsageError."""
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise UsageError(f"prune(limit={limit!r}): give a whole number of at least 1, or None for all", code="AM2050")
    if isinstance(batch, bool) or not isinstance(batch, int) or not 1 <= batch <= PRUNE_BATCH_MAX:
        raise UsageError(f"prune(batch={batch!r}): give a whole number from 1 to {PRUNE_BATCH_MAX}", code="AM2050")
    return Pruning(
        which=which, older_ms=milliseconds(older, what="prune(older=)"),
        key_ms=milliseconds(key_retention, what="prune(key_retention=)"),
        anomalous=anomalous, followup_failed=followup_failed, limit=limit, batch=batch,
    )  # fmt: skip


async def count(store: Store, clock: Clock, pruning: Pruning) -> Pruned:
    """What `prune` would remove, and nothing removed."""
    found = await store.count_prunable(pruning.filter_at(clock.now_ms()))
    wanted = found if pruning.limit is None else min(found, pruning.limit)
    return Pruned(wanted, 0, found > wanted)


async def prune(
    store: Store, clock: Clock, pruning: Pruning, told: Callable[[int], None] | None = None,
    archive: Archive | None = None,
) -> Pruned:  # fmt: skip
    """Remove all that is old enough, the oldest first; `told` is called with the number so far.

    What goes is durable in the `archive` before, if there is one.

    Raises:
        StoreError: what was removed by then is removed.
    """
    sagas, rows = 0, 0
    left = pruning.limit
    loop = asyncio.get_running_loop()
    while left is None or left > 0:
        began = loop.time()
        now = clock.now_ms()
        most = pruning.batch if left is None else min(left, pruning.batch)
        ids = await store.prunable(pruning.filter_at(now), limit=most)
        if not ids:
            break
        if archive is not None:
            await archive.keep(ids)
        gone = await store.prune(ids, now=now)
        if not gone:
            break  # each of them has moved since it was looked for
        sagas += gone
        left = None if left is None else left - gone
        if told is not None:
            told(sagas)
        await asyncio.sleep(loop.time() - began)
    while True:
        began = loop.time()
        removed = await _forget(store, clock, pruning)
        rows += removed
        if removed < pruning.batch:
            break
        await asyncio.sleep(loop.time() - began)
    more = left == 0 and bool(await store.prunable(pruning.filter_at(clock.now_ms()), limit=1))
    return Pruned(sagas, rows, more)


async def _forget(store: Store, clock: Clock, pruning: Pruning) -> int:
    now = clock.now_ms()
    posted_before = now - max(pruning.older_ms, _ANSWERS_KEPT_MS)
    return await store.forget(pruned_before=now - pruning.key_ms, posted_before=posted_before, limit=pruning.batch)
