"""The store without a file: for tests, simulations and sagas that may die with their process.

Rules of this file: it keeps to the Store protocol to the letter, fencing and idempotent batches
included, because the simulator proves the runtime against it. `close` keeps everything, so that a
test can restart an orchestrator on the same store object. Nothing here awaits: every verb is atomic.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from ..core.filters import Filter
from ..core.summary import Summary
from ..errors import Conflict
from .base import (
    Batch,
    Bell,
    CommandRow,
    DefinitionRow,
    FrameRow,
    GroupBy,
    JournalRow,
    KeyRow,
    Lease,
    OpenRow,
    Owner,
    Ring,
    Tally,
    Trace,
)  # fmt: skip
from .bell import LocalBells
from .figures import Figures, figures_of
from .messages import exists_already, gap_before, lease_lost, other_definition, refuse_nul, store_closed
from .owner import is_gone
from .projection import Outlines, fold_row, group_of, matches, outlines_of


class MemoryStore:
    """A Store in this process's memory. It is gone with the process."""

    def __init__(self) -> None:
        self.address = "sqlite://"
        self._opened = False
        self._wrote_outside = False
        self._bells = LocalBells()
        self._epoch = 0
        self._batch = 0
        self._holder: Owner | None = None
        self._expires = 0
        self._journal: dict[str, list[FrameRow]] = {}
        self._log: list[FrameRow | None] = []  # None: pruned; a row's place is its position
        self._traces: dict[str, Trace] = {}
        self._keys: dict[tuple[str, str], KeyRow] = {}
        self._open: dict[str, OpenRow] = {}
        self._numbers = 0
        self._inbox: dict[int, CommandRow] = {}
        self._posted: dict[int, int] = {}
        self._commands = 0
        self._definitions: dict[tuple[str, int], DefinitionRow] = {}
        self._outlines: Outlines = {}
        self._summaries: dict[str, Summary] = {}
        self._listed: list[str] = []
        self._projected = 0

    async def open(self) -> None:
        """Nothing to connect to; a closed store is open again, with all it had."""
        self._opened = True

    def close(self) -> None:
        """Refuse further calls; what is stored stays until the object goes."""
        self._opened = False
        self._bells.close()

    # -- the lease's holder ----------------------------------------------------------------------

    async def acquire(self, owner: Owner, *, ttl_ms: int, now: int) -> Lease | None:
        """The lease with the next epoch, or None while a living holder's has not expired."""
        self._check_open()
        if self._holder is not None and self._expires > now and not is_gone(self._holder):
            return None
        self._epoch += 1
        self._batch = 0
        self._holder, self._expires = owner, now + ttl_ms
        return Lease(self._epoch, owner.id, self._expires)

    async def renew(self, lease: Lease, *, ttl_ms: int, now: int) -> Lease:
        """The same epoch with a later `expires`. Raises LeaseLost."""
        self._check_lease(lease)
        self._expires = now + ttl_ms
        return Lease(lease.epoch, lease.owner, self._expires)

    async def release(self, lease: Lease) -> None:
        """Give the lease up. Raises LeaseLost."""
        self._check_lease(lease)
        self._holder = None
        self._bells.ring("lease")

    async def holder(self, *, now: int) -> Lease | None:
        """The lease in force, or None when nobody holds a live one."""
        self._check_open()
        if self._holder is None or self._expires <= now or is_gone(self._holder):
            return None
        return Lease(self._epoch, self._holder.id, self._expires)

    async def owner(self, *, now: int) -> tuple[Owner, int] | None:
        """Whose lease is in force and when it expires; see Store.owner."""
        if self._holder is None or await self.holder(now=now) is None:
            return None
        return self._holder, self._expires

    async def commit(self, lease: Lease, batch: Batch) -> dict[str, str]:
        """Apply a batch; see Store.commit."""
        self._check_lease(lease)
        refuse_nul(batch.keys)
        taken = self._taken(batch.keys)
        if batch.number <= self._batch:
            return taken
        self._apply(batch, taken)
        self._batch = batch.number
        self._bells.ring("news")
        return taken

    def _taken(self, keys: Sequence[KeyRow]) -> dict[str, str]:
        taken: dict[str, str] = {}
        fresh: dict[tuple[str, str], str] = {}
        for row in keys:
            known = self._keys.get((row.name, row.key))
            holder = known.saga_id if known else fresh.setdefault((row.name, row.key), row.saga_id)
            if holder != row.saga_id:
                taken[row.saga_id] = holder
        return taken

    def _apply(self, batch: Batch, taken: dict[str, str]) -> None:
        left_out = taken.keys() | self._traces.keys()
        frames = [row for row in batch.frames if row.saga_id not in left_out] if left_out else batch.frames
        last: dict[str, int] = {}
        for row in frames:
            before = last.get(row.saga_id)
            if before is None:
                before = len(self._journal.get(row.saga_id, ()))
            if row.seq <= before:
                raise exists_already(row.saga_id, row.seq)
            if row.seq != before + 1:
                raise gap_before(row.saga_id, row.seq)
            last[row.saga_id] = row.seq
        for row in frames:
            self._journal.setdefault(row.saga_id, []).append(row)
        self._log.extend(frames)
        for key in batch.keys:
            if key.saga_id not in taken:
                self._keys.setdefault((key.name, key.key), key)
        for saga_id in batch.opened:
            if saga_id not in taken:
                self._numbers += 1
                self._open[saga_id] = OpenRow(self._numbers, saga_id, 0)
        for saga_id, due in batch.due.items():
            row_open = self._open.get(saga_id)
            if row_open is not None:
                self._open[saga_id] = OpenRow(row_open.number, saga_id, due)
        for saga_id in batch.closed:
            self._open.pop(saga_id, None)
        for command_id, error in batch.answered.items():
            command = self._inbox.get(command_id)
            if command is not None:
                self._inbox[command_id] = CommandRow(command_id, command.saga_id, command.body, True, error)

    # -- anybody ---------------------------------------------------------------------------------

    async def start(self, frame: FrameRow, key: KeyRow | None) -> str:
        """Append a saga's frame 1 and open it, without a lease; see Store.start."""
        self._check_open()
        keys = [key] if key else []
        refuse_nul(keys)
        taken = self._taken(keys)
        try:
            self._apply(Batch(0, frames=[frame], opened=[frame.saga_id], keys=keys), taken)
        except Conflict:
            if self._journal[frame.saga_id][0] != frame:
                raise
        self._wrote_outside = True
        self._bells.ring("work")
        return taken.get(frame.saga_id, "")

    async def post(self, saga_id: str, body: bytes, *, now: int) -> int:
        """Put a command into the inbox; its id."""
        self._check_open()
        self._commands += 1
        command_id = self._commands
        self._inbox[command_id] = CommandRow(command_id, saga_id, body)
        self._posted[command_id] = now
        self._wrote_outside = True
        self._bells.ring("work")
        return command_id

    async def command(self, command_id: int) -> CommandRow | None:
        """A command with its answer, if it has one."""
        self._check_open()
        return self._inbox.get(command_id)

    async def unanswered(self, command_ids: Sequence[int]) -> set[int]:
        """Those of these commands that wait for their answer still."""
        self._check_open()
        return {each for each in command_ids if each in self._inbox and not self._inbox[each].done}

    async def register(self, rows: Sequence[DefinitionRow]) -> None:
        """Remember definitions. Raises Conflict when a (name, version) has another fingerprint."""
        self._check_open()
        new: dict[tuple[str, int], DefinitionRow] = {}
        for row in rows:
            known = new.get((row.name, row.version)) or self._definitions.get((row.name, row.version), row)
            if known.fingerprint != row.fingerprint:
                raise other_definition(row, known.fingerprint)
            new[row.name, row.version] = row
        self._definitions.update(new)
        self._outlines.update(outlines_of(new.values()))

    async def prunable(self, which: Filter, *, limit: int) -> list[str]:
        """Sagas that have ended with nothing left to do, those that ended first."""
        found = await self._all_prunable(which)
        return [each.saga_id for each in sorted(found, key=lambda each: each.ended)[:limit]]

    async def count_prunable(self, which: Filter) -> int:
        """How many `prunable` has without a limit."""
        return len(await self._all_prunable(which))

    async def _all_prunable(self, which: Filter) -> list[Summary]:
        await self.project(limit=len(self._log))
        return [each for each in self._summaries.values() if self._prunable(each) and matches(each, which)]

    def _prunable(self, summary: Summary) -> bool:
        saga_id = summary.saga_id
        return summary.ended > 0 and saga_id not in self._open and summary.seq == len(self._journal.get(saga_id, ()))

    async def prune(self, saga_ids: Sequence[str], *, now: int) -> int:
        """Remove those of the sagas that may be removed; see Store.prune."""
        self._check_open()
        for saga_id in saga_ids:
            summary = self._summaries.get(saga_id)
            if summary is not None and self._prunable(summary):
                del self._summaries[saga_id]
                self._listed.pop(bisect_left(self._listed, saga_id))
                gone = {id(row) for row in self._journal.pop(saga_id)}
                self._log = [None if id(row) in gone else row for row in self._log]
                self._traces[saga_id] = Trace(saga_id, summary.name, summary.key, summary.status, summary.ended, now)
        return sum(saga_id in self._traces for saga_id in saga_ids)

    async def trace(self, saga_id: str) -> Trace | None:
        """What is left of a pruned saga."""
        self._check_open()
        return self._traces.get(saga_id)

    async def forget(self, *, pruned_before: int, posted_before: int, limit: int) -> int:
        """Remove old traces with their keys, and answered commands; see Store.forget."""
        self._check_open()
        old = sorted((trace for trace in self._traces.values() if trace.pruned < pruned_before), key=_age)[:limit]
        for trace in old:
            del self._traces[trace.saga_id]
            key = self._keys.get((trace.name, trace.key))
            if key is not None and key.saga_id == trace.saga_id:
                del self._keys[trace.name, trace.key]
        answered = [row.id for row in self._inbox.values() if row.done and self._posted[row.id] < posted_before][:limit]
        for command_id in answered:
            del self._inbox[command_id], self._posted[command_id]
        return len(old) + len(answered)

    async def shrink(self) -> int:
        """Memory is given back by itself."""
        self._check_open()
        return 0

    def bell(self, what: Ring) -> Bell:
        """A bell of one's own; see Store.bell."""
        self._check_open()
        return self._bells.hang(what)

    def ring(self, what: Ring) -> None:
        """Ring the bells; see Store.ring."""
        self._bells.ring(what)

    # -- reading ---------------------------------------------------------------------------------

    async def changed(self) -> bool:
        """Whether anybody started a saga or posted a command through this object since the last call."""
        self._check_open()
        changed, self._wrote_outside = self._wrote_outside, False
        return changed

    async def commands(self, *, limit: int) -> list[CommandRow]:
        """The oldest unanswered commands."""
        self._check_open()
        return [row for row in self._inbox.values() if not row.done][:limit]

    async def open_sagas(self, *, after: int, due_from: int, due_before: int, limit: int) -> list[OpenRow]:
        """Open sagas with number > `after` and `due_from` <= due < `due_before`, by number."""
        self._check_open()
        rows = [row for row in self._open.values() if row.number > after and due_from <= row.due < due_before]
        return sorted(rows, key=lambda row: row.number)[:limit]

    async def frames(self, saga_ids: Sequence[str]) -> dict[str, list[FrameRow]]:
        """The journals of these sagas, each by seq; a saga without one is left out."""
        self._check_open()
        return {saga_id: list(self._journal[saga_id]) for saga_id in saga_ids if saga_id in self._journal}

    async def journal(self, *, after: int, limit: int) -> list[JournalRow]:
        """The first rows with a position > `after`: the place in the log, from 1."""
        self._check_open()
        rows = enumerate(islice(self._log, max(after, 0), None), max(after, 0) + 1)
        return list(islice(_placed(rows), limit))

    async def journal_end(self, *, before: int, limit: int) -> list[JournalRow]:
        """The last rows with a position < `before`, oldest first."""
        self._check_open()
        end = min(max(before - 1, 0), len(self._log))
        rows = ((at, self._log[at - 1]) for at in range(end, 0, -1))
        return list(islice(_placed(rows), limit))[::-1]

    async def later_frames(self, after: Mapping[str, int]) -> dict[str, list[FrameRow]]:
        """Of each saga the frames behind the given seq; one that has none is left out."""
        self._check_open()
        found = {saga_id: self._journal.get(saga_id, [])[seq:] for saga_id, seq in after.items()}
        return {saga_id: rows for saga_id, rows in found.items() if rows}

    async def key(self, name: str, key: str) -> KeyRow | None:
        """The start key's row."""
        self._check_open()
        return self._keys.get((name, key))

    async def definitions(self) -> list[DefinitionRow]:
        """All registered definitions."""
        self._check_open()
        return list(self._definitions.values())

    async def project(self, *, limit: int) -> int:
        """Advance the summaries by at most `limit` frames; how many it folded."""
        self._check_open()
        folded = 0
        while folded < limit and self._projected < len(self._log):
            row = self._log[self._projected]
            self._projected += 1
            if row is not None:
                folded += 1
                before = self._summaries.get(row.saga_id)
                if before is None:
                    insort(self._listed, row.saga_id)
                self._summaries[row.saga_id] = fold_row(before, row, self._outlines)
        return folded

    async def rebuild(self) -> None:
        """Fold all summaries anew from the journal."""
        self._check_open()
        self._summaries, self._listed, self._projected = {}, [], 0
        await self.project(limit=len(self._log))

    async def summaries(self, which: Filter, *, before: str, limit: int, fresh: bool = True) -> list[Summary]:
        """Summaries with saga_id < `before` ("" for the newest), newest first; see Store.summaries."""
        if fresh:
            await self.project(limit=len(self._log))
        end = bisect_left(self._listed, before) if before else len(self._listed)
        found: list[Summary] = []
        for at in range(end - 1, -1, -1):
            if len(found) >= limit:
                break
            summary = self._summaries[self._listed[at]]
            if matches(summary, which):
                found.append(summary)
        return found

    async def count(self, which: Filter) -> int:
        """How many summaries match."""
        await self.project(limit=len(self._log))
        return sum(matches(summary, which) for summary in self._summaries.values())

    async def tally(self, which: Filter, by: Sequence[GroupBy]) -> Tally:
        """How many summaries match, by the values of these fields."""
        await self.project(limit=len(self._log))
        found = [summary for summary in self._summaries.values() if matches(summary, which)]
        groups = Counter(tuple(group_of(summary, field) for field in by) for summary in found)
        return sorted(groups.items())

    async def figures(self, which: Filter, *, since: int) -> list[Figures]:
        """What became of sagas, by definition and version."""
        await self.project(limit=len(self._log))
        return figures_of((summary for summary in self._summaries.values() if matches(summary, which)), since)

    # -- inside ----------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if not self._opened:
            raise store_closed(self.address)

    def _check_lease(self, lease: Lease) -> None:
        self._check_open()
        if self._holder is None or lease.epoch != self._epoch:
            raise lease_lost(self.address, lease)


def _placed(rows: Iterable[tuple[int, FrameRow | None]]) -> Iterator[JournalRow]:
    return (JournalRow(at, row.saga_id, row.seq, row.body) for at, row in rows if row is not None)


def _age(trace: Trace) -> tuple[int, str]:
    return trace.pruned, trace.saga_id
