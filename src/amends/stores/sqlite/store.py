"""SQLiteStore: the Store protocol on one file.

Rules of this file: no SQL and no threads of its own; it hands each verb to the writer's thread or to
the reader's, and knows which of the two it belongs to.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from ...core.filters import Filter
from ...core.summary import Summary
from ..base import (
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
from ..figures import Figures
from ..gathering import Gathering
from ..messages import refuse_nul, store_closed
from ..posting import Posting
from ..thread import ConnectionThread
from .doorbell import Belfry
from .forking import closed, opened
from .reader import Reader
from .schema import FileSchema
from .writer import Writer

T = TypeVar("T")

_PROJECT_FRAMES = 2_000  # frames folded per step when a list brings the projection up


class SQLiteStore:
    """A Store in an SQLite file: WAL, `synchronous=FULL`, one writer thread, one reader thread.

    Parameters:
        path: the database file; it is made when there is none.
        busy_ms: how long to wait for another program's lock before StoreUnavailable, milliseconds. A lock is
            held while its holder flushes, and a disk that others keep busy may take seconds for that.
    """

    def __init__(self, path: str | Path, *, busy_ms: int = 30_000) -> None:
        self.path = Path(path)
        self.address = f"sqlite:///{self.path}"
        self._writer = Writer(self.path, busy_ms / 1_000)
        self._reader = Reader(self.path, busy_ms / 1_000)
        self._posting = Posting(lambda posts: self._write(lambda db: self._writer.post(db, posts)))
        self._belfry = Belfry(self.path)
        self._starts = Gathering(lambda starts: self._write(lambda db: self._writer.start(db, starts)))
        self._writing: ConnectionThread[sqlite3.Connection] | None = None
        self._reading: ConnectionThread[sqlite3.Connection] | None = None

    async def open(self) -> None:
        """Connect, check and migrate.

        Raises:
            StoreUnusable, StoreUnavailable, StoreFailed: the file is not to be had.
            UsageError: this process was forked off one with an open store; see forking.py.
        """
        opened(self)
        if self._writing is not None:
            return
        self._writing = ConnectionThread("amends-sqlite-writer", self._writer.connect, self._writer.disconnect)
        self._reading = ConnectionThread("amends-sqlite-reader", self._reader.connect, sqlite3.Connection.close)
        try:
            await self._writing.open()
            await self._reading.open()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Finish what was handed over, and give connections, threads and bells back. May be called twice."""
        self._belfry.close()
        for thread in (self._reading, self._writing):
            if thread is not None:
                thread.close()
        self._writing = self._reading = None
        closed(self)

    async def _write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        if self._writing is None:
            raise store_closed(self.address)
        return await self._writing.run(job)

    async def _read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        if self._reading is None:
            raise store_closed(self.address)
        return await self._reading.run(job)

    # -- the lease's holder ----------------------------------------------------------------------

    async def acquire(self, owner: Owner, *, ttl_ms: int, now: int) -> Lease | None:
        """The lease with the next epoch, or None while a living holder's has not expired."""
        return await self._write(lambda db: self._writer.acquire(db, owner, ttl_ms, now))

    async def renew(self, lease: Lease, *, ttl_ms: int, now: int) -> Lease:
        """The same epoch with a later `expires`. Raises LeaseLost."""
        return await self._write(lambda db: self._writer.renew(db, lease, ttl_ms, now))

    async def release(self, lease: Lease) -> None:
        """Give the lease up, so that another may take it at once. Raises LeaseLost."""
        await self._write(lambda db: self._writer.release(db, lease))
        self._belfry.ring("lease")

    async def holder(self, *, now: int) -> Lease | None:
        """The lease in force, or None when nobody holds a live one."""
        return await self._read(lambda db: self._reader.holder(db, now))

    async def owner(self, *, now: int) -> tuple[Owner, int] | None:
        """Whose lease is in force and when it expires; see Store.owner."""
        return await self._read(lambda db: self._reader.owner(db, now))

    async def commit(self, lease: Lease, batch: Batch) -> dict[str, str]:
        """Apply a batch durably; see Store.commit. The batch must not change until this returns."""
        if batch.keys:
            refuse_nul(batch.keys)
        taken = await self._write(lambda db: self._writer.commit(db, lease, batch))
        self._belfry.ring("news")
        return taken

    driver = "sqlite3"

    async def transact(
        self, lease: Lease, batch: Batch, body: Callable[[sqlite3.Connection], FrameRow], *, limit_ms: int
    ) -> tuple[dict[str, str], BaseException | None]:
        """Commit an author's writes, their frame and a batch together; see Transacting.transact."""
        if batch.keys:
            refuse_nul(batch.keys)
        answer = await self._write(lambda db: self._writer.transact(db, lease, batch, body, limit_ms))
        self._belfry.ring("news")
        return answer

    # -- anybody ---------------------------------------------------------------------------------

    async def start(self, frame: FrameRow, key: KeyRow | None) -> str:
        """Append a saga's frame 1 and open it, without a lease; see Store.start."""
        if key is not None:
            refuse_nul([key])
        holder = await self._starts.start(frame, key)
        if not holder:
            self._belfry.ring("work")
        return holder

    async def post(self, saga_id: str, body: bytes, *, now: int) -> int:
        """Put a command into the inbox; its id."""
        number = await self._posting.post((saga_id, body, now))
        self._belfry.ring("work")
        return number

    async def command(self, command_id: int) -> CommandRow | None:
        """A command with its answer, if it has one."""
        return await self._read(lambda db: self._reader.command(db, command_id))

    async def unanswered(self, command_ids: Sequence[int]) -> set[int]:
        """Those of these commands that wait for their answer still."""
        return await self._read(lambda db: self._reader.unanswered(db, command_ids))

    async def register(self, rows: Sequence[DefinitionRow]) -> None:
        """Remember definitions. Raises Conflict when a (name, version) has another fingerprint."""
        await self._write(lambda db: self._writer.register(db, rows))

    async def prunable(self, which: Filter, *, limit: int) -> list[str]:
        """Sagas that have ended with nothing left to do; see Store.prunable."""
        await self._bring_up()
        return await self._read(lambda db: self._reader.prunable(db, which, limit))

    async def count_prunable(self, which: Filter) -> int:
        """How many `prunable` has without a limit."""
        await self._bring_up()
        return await self._read(lambda db: self._reader.count_prunable(db, which))

    async def prune(self, saga_ids: Sequence[str], *, now: int) -> int:
        """Remove those of the sagas that may be removed; see Store.prune."""
        return await self._write(lambda db: self._writer.prune(db, saga_ids, now))

    async def trace(self, saga_id: str) -> Trace | None:
        """What is left of a pruned saga; see Store.trace."""
        return await self._read(lambda db: self._reader.trace(db, saga_id))

    async def forget(self, *, pruned_before: int, posted_before: int, limit: int) -> int:
        """Remove old traces with their keys, and answered commands; see Store.forget."""
        return await self._write(lambda db: self._writer.forget(db, pruned_before, posted_before, limit))

    async def shrink(self) -> int:
        """Give free space back: the file is written anew; see Store.shrink."""
        return await self._write(self._writer.shrink)

    def schema(self) -> FileSchema:
        """The file's schema, whether the store is open or not."""
        return FileSchema(self.path)

    async def synchronous(self) -> int:
        """How each commit is flushed: 2 is FULL, as `PRAGMA synchronous` says it of the connection that writes."""
        return int(await self._write(lambda db: db.execute("PRAGMA synchronous").fetchone()[0]))

    def bell(self, what: Ring) -> Bell:
        """A bell of one's own; see Store.bell and doorbell.py."""
        if self._writing is None:
            raise store_closed(self.address)
        return self._belfry.hang(what)

    def ring(self, what: Ring) -> None:
        """Ring the bells of all processes; see Store.ring."""
        self._belfry.ring(what)

    # -- reading ---------------------------------------------------------------------------------

    async def changed(self) -> bool:
        """Whether another connection than this store's wrote since the last call."""
        return await self._write(self._writer.changed)

    async def commands(self, *, limit: int) -> list[CommandRow]:
        """The oldest unanswered commands."""
        return await self._read(lambda db: self._reader.commands(db, limit))

    async def open_sagas(self, *, after: int, due_from: int, due_before: int, limit: int) -> list[OpenRow]:
        """Open sagas with number > `after` and `due_from` <= due < `due_before`, by number."""
        return await self._read(lambda db: self._reader.open_sagas(db, after, due_from, due_before, limit))

    async def frames(self, saga_ids: Sequence[str]) -> dict[str, list[FrameRow]]:
        """The journals of these sagas, each by seq; a saga without one is left out."""
        return await self._read(lambda db: self._reader.frames(db, saga_ids))

    async def journal(self, *, after: int, limit: int) -> list[JournalRow]:
        """The first rows with a position > `after`. One writer at a time gives positions out, so none comes late."""
        return await self._read(lambda db: self._reader.journal(db, after, limit))

    async def journal_end(self, *, before: int, limit: int) -> list[JournalRow]:
        """The last rows with a position < `before`, oldest first."""
        return await self._read(lambda db: self._reader.journal_end(db, before, limit))

    async def later_frames(self, after: Mapping[str, int]) -> dict[str, list[FrameRow]]:
        """Of each saga the frames behind the given seq; one that has none is left out."""
        return await self._read(lambda db: self._reader.later_frames(db, after))

    async def key(self, name: str, key: str) -> KeyRow | None:
        """The start key's row."""
        return await self._read(lambda db: self._reader.key(db, name, key))

    async def definitions(self) -> list[DefinitionRow]:
        """All registered definitions."""
        return await self._read(self._reader.definitions)

    async def project(self, *, limit: int) -> int:
        """Advance the summaries by at most `limit` frames; how many it folded."""
        while True:
            folded = await self._read(lambda db: self._reader.unprojected(db, limit))
            if folded.frames == 0 or await self._write(partial(self._writer.project, folded=folded)):
                return folded.frames

    async def rebuild(self) -> None:
        """Fold all summaries anew from the journal."""
        await self._write(self._writer.clear_projection)
        await self._bring_up()

    async def summaries(self, which: Filter, *, before: str, limit: int, fresh: bool = True) -> list[Summary]:
        """Summaries with saga_id < `before` ("" for the newest), newest first; see Store.summaries."""
        if fresh:
            await self._bring_up()
        return await self._read(lambda db: self._reader.summaries(db, which, before, limit))

    async def count(self, which: Filter) -> int:
        """How many summaries match; brings the projection up first."""
        await self._bring_up()
        return await self._read(lambda db: self._reader.count(db, which))

    async def tally(self, which: Filter, by: Sequence[GroupBy]) -> Tally:
        """How many summaries match, by the values of these fields; brings the projection up first."""
        await self._bring_up()
        return await self._read(lambda db: self._reader.tally(db, which, by))

    async def figures(self, which: Filter, *, since: int) -> list[Figures]:
        """What became of sagas, by definition and version; brings the projection up first."""
        await self._bring_up()
        return await self._read(lambda db: self._reader.figures(db, which, since))

    async def _bring_up(self) -> None:
        # Up to where the journal ends now, and no further: a busy writer must not hold a list up for ever.
        target = await self._read(self._reader.position)
        while await self._read(self._reader.projected) < target:
            await self.project(limit=_PROJECT_FRAMES)
