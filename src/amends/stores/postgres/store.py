"""PostgresStore: the Store protocol on a PostgreSQL database.

Four connections, each with a thread of its own, made when they are needed:

    writer   the worker's batches and its lease
    keeper   what may take long: the projection, pruning
    outside  starts and commands of this process for others, definitions, notifications
    reader   everything that is looked up
    atomic   (only if there are atomic steps) their functions' own

Rules of this file: no SQL and no threads of its own; it hands each verb to the connection that it belongs to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from ...core.filters import Filter
from ...core.shards import SHARDS, shard_of
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
    Standing,
    Tally,
    Trace,
    definition_text,
)  # fmt: skip
from ..figures import Figures
from ..gathering import Gathering
from ..messages import refuse_nul, store_closed
from ..posting import Posting
from ..thread import ConnectionThread
from . import inspecting, membership, projecting, reading, writing
from .inspecting import Facts
from .listening import Listener
from .schema import DatabaseSchema, prepare
from .session import Address, Connection, Session, connect
from .sql import query
from .transacting import Bench

T = TypeVar("T")
_PROJECT_FRAMES = 20_000  # frames folded per step when a list brings the projection up
_SLOW_POLL_S = 60.0  # how often others' work is looked for without a notification
_ASK_AGAIN_S = 10.0  # how often those who run sagas are told that somebody waits
_CONNECTIONS = ("writer", "keeper", "outside", "reader")
_ALL = range(SHARDS)


class PostgresStore:
    """A Store in a PostgreSQL database, for many workers.

    Parameters:
        address: a URL as libpq reads it, `postgresql://user@host:5432/database`; several hosts and all of libpq's
            parameters may stand in it. Amends' tables are made in the first schema of the `search_path`.

        make: whether `open` may make the tables where there are none.

    Raises:
        UsageError: the address cannot be read.
    """

    def __init__(self, address: str, *, make: bool = True) -> None:
        self._make = make
        self._address = Address(address)
        self.address = self._address.shown
        self._threads: dict[str, ConnectionThread[Session]] = {}
        self._able: set[str] = set()  # the definitions that were registered through this object
        self._mine: frozenset[int] = frozenset()
        self._standing: Standing | None = None
        self._projection = projecting.Projection()
        self._starts = Gathering(lambda starts: self._on("outside", partial(self._start_together, starts)))
        self._posting = Posting(lambda posts: self._on("outside", lambda db: writing.post(db, posts)))
        self._bodies: ConnectionThread[Bench] | None = None  # made for the first atomic step
        self._listener: Listener | None = None
        self._look_again = self._ask_again = 0.0
        self._unclaimed: Connection | None = None  # made for the listener, and not handed over yet

    async def open(self) -> None:
        """Connect, check and migrate.

        Raises:
            StoreUnusable, StoreUnavailable, StoreFailed: the database is not to be had.
        """
        if self._threads:
            return
        for name in _CONNECTIONS:
            self._threads[name] = ConnectionThread(
                f"amends-postgres-{name}", partial(self._session, name), Session.close
            )
        try:
            for thread in self._threads.values():
                await thread.open()
            await self._on("outside", lambda db: prepare(db, self._address, make=self._make))
            if await self._on("reader", lambda db: bool((db.execute(query("select_outdated")).fetchone() or [0])[0])):
                await self.rebuild()
        except BaseException:
            self.close()
            raise
        self._listener = Listener(self._begin_to_listen, self._notify)

    async def facts(self) -> Facts:
        """What `amends doctor` asks of the server and of what waits."""
        return await self._on("reader", inspecting.facts)

    def schema(self) -> DatabaseSchema:
        """The database's schema, whether the store is open or not."""
        return DatabaseSchema(self._address)

    def _session(self, name: str) -> Session:
        return Session(self._address, name)

    def close(self) -> None:
        """Finish what was handed over, and give connections, threads and bells back. May be called twice."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        threads, self._threads = self._threads, {}
        bodies, self._bodies = self._bodies, None
        for thread in threads.values():
            thread.close()
        if bodies is not None:
            bodies.close()
        if self._unclaimed is not None:
            self._unclaimed.close()

    async def _on(self, name: str, job: Callable[[Connection], T]) -> T:
        thread = self._threads.get(name)
        if thread is None:
            raise store_closed(self.address)
        return await thread.run(lambda session: session.use(job))

    # -- the lease's holder ----------------------------------------------------------------------

    async def acquire(self, owner: Owner, *, ttl_ms: int, now: int) -> Lease | None:
        """A lease with the next epoch on the shards that are free, or on what of them is this worker's share.

        None while each shard has a living holder: those see that somebody waits, and give some up.
        """
        able = sorted(self._able)
        joined = await self._on("writer", lambda db: membership.join(db, owner, ttl_ms, now, able))
        if joined is None:
            self._say_that_one_waits()
            return None
        lease, self._mine = joined
        return lease

    def _say_that_one_waits(self) -> None:
        """Those who have shards look at their next renewal anyway; told, they look now."""
        now = asyncio.get_running_loop().time()
        if self._listener is not None and now >= self._ask_again:
            self._ask_again = now + _ASK_AGAIN_S
            self._listener.tell("lease")

    async def renew(self, lease: Lease, *, ttl_ms: int, now: int) -> Lease:
        """The same epoch with a later `expires`; what it learned of the others is in `standing`. Raises LeaseLost."""
        renewed, self._standing = await self._on(
            "writer", lambda db: membership.renew(db, self._address, lease, ttl_ms, now, sorted(self._able))
        )
        return renewed

    async def release(self, lease: Lease) -> None:
        """Give the lease and its shards up. Raises LeaseLost."""
        await self._on("writer", lambda db: membership.leave(db, self._address, lease))
        self._mine = frozenset()
        if self._listener is not None:
            await self._listener.ring_now("lease")

    async def holder(self, *, now: int) -> Lease | None:
        """A lease in force, or None when nobody holds a live one."""
        found = await self._on("reader", lambda db: membership.in_force(db, now, None))
        return None if found is None else found[0]

    async def owner(self, *, now: int) -> tuple[Owner, int] | None:
        """Whose lease is in force and when it expires; see Store.owner."""
        found = await self._on("reader", lambda db: membership.in_force(db, now, None))
        return None if found is None else (found[1], found[0].expires)

    async def commit(self, lease: Lease, batch: Batch) -> dict[str, str]:
        """Apply a batch durably; see Store.commit. The batch must not change until this returns."""
        if batch.keys:
            refuse_nul(batch.keys)
        taken = await self._on("writer", lambda db: writing.commit(db, self._address, lease, batch))
        self.ring("news")
        return taken

    driver = "psycopg"

    async def transact(
        self, lease: Lease, batch: Batch, body: Callable[[Any], FrameRow], *, limit_ms: int
    ) -> tuple[dict[str, str], BaseException | None]:
        """Commit an author's writes, their frame and a batch together; see Transacting.transact."""
        if batch.keys:
            refuse_nul(batch.keys)
        if not self._threads:
            raise store_closed(self.address)
        if self._bodies is None:
            bench = Bench(self._address)
            self._bodies = ConnectionThread("amends-postgres-atomic", lambda: bench, Bench.close)
            await self._bodies.open()
        answer = await self._bodies.run(lambda bench: bench.transact(lease, batch, body, limit_ms))
        self.ring("news")
        return answer

    # -- sharing ---------------------------------------------------------------------------------

    @property
    def held(self) -> frozenset[int]:
        """The shards of this process's lease."""
        return self._mine

    @property
    def standing(self) -> Standing | None:
        """What the last renewal told of the others."""
        return self._standing

    async def take(self, lease: Lease, *, now: int) -> frozenset[int]:
        """Take free shards up to one's share; those that are new."""
        try:
            new = await self._on("writer", lambda db: membership.take(db, lease, now, sorted(self._able)))
        finally:
            self._standing = None  # as of before: only the next renewal tells what is so now
        self._mine |= new
        return new

    async def need(self, needs: Mapping[int, Iterable[str]]) -> None:
        """Say what sagas of some shards need, and this worker lacks."""
        listed = {shard: sorted(definitions) for shard, definitions in needs.items()}
        await self._on("outside", lambda db: membership.need(db, listed))

    async def time(self) -> int:
        """The server's wall clock, in milliseconds."""
        return await self._on("reader", lambda db: int((db.execute(query("select_time")).fetchone() or [0])[0]))

    async def identity(self) -> int:
        """The number that the store was given when it was made."""
        return await self._on("reader", lambda db: int((db.execute(query("select_identity")).fetchone() or [0])[0]))

    async def holder_of(self, saga_id: str, *, now: int) -> Lease | None:
        """The lease in force on a saga's shard, or None."""
        found = await self._on("reader", lambda db: membership.in_force(db, now, shard_of(saga_id)))
        return None if found is None else found[0]

    async def settled(self) -> int:
        """The number before which the open set is complete; see Shared.settled."""
        return await self._on("reader", reading.settled)

    async def open_of(
        self, shards: Iterable[int], *, after: int, due_from: int, due_before: int, limit: int, outside: bool = False
    ) -> list[OpenRow]:
        """As `open_sagas`, of some shards; see Shared.open_of."""
        among = list(shards)
        return await self._on(
            "reader", lambda db: reading.open_sagas(db, among, after, due_from, due_before, limit, outside=outside)
        )

    async def commands_of(self, shards: Iterable[int], *, limit: int) -> list[CommandRow]:
        """As `commands`, of some shards."""
        among = list(shards)
        return await self._on("reader", lambda db: reading.commands(db, among, limit))

    async def give(self, lease: Lease, shards: Iterable[int]) -> None:
        """Let shards go. Nothing of theirs may be under way any more."""
        going = frozenset(shards)
        self._mine -= going
        try:
            await self._on("writer", lambda db: membership.give(db, lease, going))
        finally:
            self._standing = None
        if self._listener is not None:
            await self._listener.ring_now("lease")

    # -- anybody ---------------------------------------------------------------------------------

    async def start(self, frame: FrameRow, key: KeyRow | None) -> str:
        """Append a saga's frame 1 and open it, without a lease; see Store.start."""
        if key is not None:
            refuse_nul([key])
        holder = await self._starts.start(frame, key)
        if not holder:
            self.ring("work")
        return holder

    async def post(self, saga_id: str, body: bytes, *, now: int) -> int:
        """Put a command into the inbox; its id."""
        number = await self._posting.post((saga_id, body, now))
        self.ring("work")
        return number

    async def command(self, command_id: int) -> CommandRow | None:
        """A command with its answer, if it has one."""
        return await self._on("reader", lambda db: reading.command(db, command_id))

    async def unanswered(self, command_ids: Sequence[int]) -> set[int]:
        """Those of these commands that wait for their answer still."""
        return await self._on("reader", lambda db: reading.unanswered(db, command_ids))

    async def register(self, rows: Sequence[DefinitionRow]) -> None:
        """Remember definitions. Raises Conflict when a (name, version) has another fingerprint."""
        await self._on("outside", lambda db: writing.register(db, rows))
        self._able.update(definition_text(row.name, row.version, row.fingerprint) for row in rows)

    async def prunable(self, which: Filter, *, limit: int) -> list[str]:
        """Sagas that have ended with nothing left to do; see Store.prunable."""
        await self._bring_up()
        return await self._on("reader", lambda db: reading.prunable(db, which, limit))

    async def count_prunable(self, which: Filter) -> int:
        """How many `prunable` has without a limit."""
        await self._bring_up()
        return await self._on("reader", lambda db: reading.count_prunable(db, which))

    async def prune(self, saga_ids: Sequence[str], *, now: int) -> int:
        """Remove those of the sagas that may be removed; see Store.prune."""
        return await self._on("keeper", lambda db: writing.prune(db, saga_ids, now))

    async def trace(self, saga_id: str) -> Trace | None:
        """What is left of a pruned saga; see Store.trace."""
        return await self._on("reader", lambda db: reading.trace(db, saga_id))

    async def forget(self, *, pruned_before: int, posted_before: int, limit: int) -> int:
        """Remove old traces with their keys, and answered commands; see Store.forget."""
        return await self._on("keeper", lambda db: writing.forget(db, pruned_before, posted_before, limit))

    async def shrink(self) -> int:
        """PostgreSQL's autovacuum makes the space of what was removed usable again; nothing is done here."""
        if not self._threads:
            raise store_closed(self.address)
        return 0

    def bell(self, what: Ring) -> Bell:
        """A bell of one's own; see Store.bell and listening.py."""
        if self._listener is None:
            raise store_closed(self.address)
        return self._listener.hang(what)

    def ring(self, what: Ring) -> None:
        """Ring the bells of all processes; see Store.ring."""
        if self._listener is not None:
            self._listener.ring(what)

    async def _notify(self, payload: str) -> None:
        await self._on("outside", lambda db: db.execute(query("notify"), (payload,)) and None)

    async def _begin_to_listen(self) -> Connection:
        def listening(session: Connection) -> None:
            db = connect(self._address, "listener")
            try:
                row = session.execute(query("channel")).fetchone()
                assert row is not None
                db.execute(f"LISTEN {row[0]}")
            except BaseException:
                db.close()
                raise
            self._unclaimed = db

        await self._on("outside", listening)
        db, self._unclaimed = self._unclaimed, None
        assert db is not None
        return db

    def _start_together(self, starts: Sequence[tuple[FrameRow, KeyRow | None]], db: Connection) -> dict[str, str]:
        return writing.start(db, self._address, starts)

    # -- reading ---------------------------------------------------------------------------------

    async def changed(self) -> bool:
        """Whether another process has rung for work since the last call, or nobody could; costs no query."""
        loop = asyncio.get_running_loop()
        told = self._listener is not None and self._listener.take_rang()
        if told or self._listener is None or not self._listener.listens or loop.time() >= self._look_again:
            self._look_again = loop.time() + _SLOW_POLL_S
            return True
        return False

    async def commands(self, *, limit: int) -> list[CommandRow]:
        """The oldest unanswered commands."""
        return await self.commands_of(_ALL, limit=limit)

    async def open_sagas(self, *, after: int, due_from: int, due_before: int, limit: int) -> list[OpenRow]:
        """Open sagas with number > `after` and `due_from` <= due < `due_before`, by number."""
        return await self.open_of(_ALL, after=after, due_from=due_from, due_before=due_before, limit=limit)

    async def frames(self, saga_ids: Sequence[str]) -> dict[str, list[FrameRow]]:
        """The journals of these sagas, each by seq; a saga without one is left out."""
        return await self._on("reader", lambda db: reading.frames(db, saga_ids))

    async def journal(self, *, after: int, limit: int) -> list[JournalRow]:
        """The first rows with a position > `after`, as far as no smaller one can still appear."""
        return await self._on("reader", lambda db: reading.journal(db, after, limit))

    async def journal_end(self, *, before: int, limit: int) -> list[JournalRow]:
        """The last rows with a position < `before`, oldest first."""
        return await self._on("reader", lambda db: reading.journal_end(db, before, limit))

    async def later_frames(self, after: Mapping[str, int]) -> dict[str, list[FrameRow]]:
        """Of each saga the frames behind the given seq; one that has none is left out."""
        return await self._on("reader", lambda db: reading.later_frames(db, after))

    async def key(self, name: str, key: str) -> KeyRow | None:
        """The start key's row."""
        return await self._on("reader", lambda db: reading.key(db, name, key))

    async def definitions(self) -> list[DefinitionRow]:
        """All registered definitions."""
        return await self._on("reader", projecting.definitions)

    async def project(self, *, limit: int) -> int:
        """Advance the summaries of this worker's shards, or of all, by at most `limit` frames; how many it folded."""
        return await self._project(self._mine or _ALL, limit)

    async def _project(self, shards: Iterable[int], limit: int) -> int:
        among = list(shards)
        while True:
            folded = await self._on("keeper", lambda db: self._projection.step(db, among, limit))
            if folded.frames == 0 or await self._on("keeper", partial(writing.project, folded=folded)):
                return folded.frames

    async def rebuild(self) -> None:
        """Fold all summaries anew from the journal."""
        await self._on("keeper", writing.clear_projection)
        await self._bring_up()

    async def summaries(self, which: Filter, *, before: str, limit: int, fresh: bool = True) -> list[Summary]:
        """Summaries with saga_id < `before` ("" for the newest), newest first; see Store.summaries."""
        if fresh:
            await self._bring_up()
        return await self._on("reader", lambda db: reading.summaries(db, which, before, limit))

    async def count(self, which: Filter) -> int:
        """How many summaries match; brings the projection up first."""
        await self._bring_up()
        return await self._on("reader", lambda db: reading.count(db, which))

    async def tally(self, which: Filter, by: Sequence[GroupBy]) -> Tally:
        """How many summaries match, by the values of these fields; brings the projection up first."""
        await self._bring_up()
        return await self._on("reader", lambda db: reading.tally(db, which, by))

    async def figures(self, which: Filter, *, since: int) -> list[Figures]:
        """What became of sagas, by definition and version; brings the projection up first."""
        await self._bring_up()
        return await self._on("reader", lambda db: reading.figures(db, which, since))

    async def _bring_up(self) -> None:
        # Up to where each shard ends now, and no further: a busy worker must not hold a list up for ever.
        targets = await self._on("reader", lambda db: projecting.behind(db, _ALL))
        while targets:
            await self._project(targets, _PROJECT_FRAMES)
            marks = await self._on("reader", partial(projecting.marks, shards=list(targets)))
            targets = {shard: end for shard, end in targets.items() if marks[shard] < end}
