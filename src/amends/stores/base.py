"""The Store protocol: the narrow waist between the runtime and a database.

A store keeps seven things:

    journal       (saga_id, seq) -> frame body; append-only; also a global position, for projections
    open sagas    the ids that recovery must load; written in the same transaction as their frames
    start keys    (saga name, key) -> saga id, input hash
    definitions   (name, version) -> fingerprint, stored structure
    inbox         commands from other processes, which the lease's holder folds in and answers
    summaries     a projection of the journal for lists: equal to the fold up to its high-water mark
    traces        of each saga that was pruned: that it was there, and how it ended

Rules of this file:
  * **Who may write.** Only the holder of the lease commits batches (where several workers share the store: the
    holder of a saga's shard, see `Shared`). Anybody may start a saga (frame 1), post a command, register a
    definition, advance the projection, and prune.
  * **Pruning** touches only a saga that is not open and whose summary holds its whole journal. For
    such a one the holder has nothing left to write but what comes late: a success after the end, a
    hold. A frame of a pruned saga has nothing to continue, so it is left out, and its batch lands.
  * **Fencing.** Every commit checks the lease's epoch in its own transaction and raises
    `LeaseLost` when it is no longer the current one. So do `renew` and `release`.
  * **Idempotent commits.** A batch has a number; a store remembers the last one it applied under
    an epoch. A batch that is sent again after its answer was lost is acknowledged, not applied twice.
  * **Errors are sorted.** `StoreUnavailable`: send the same batch again. `StoreFailed`: nothing more
    may be acknowledged. `LeaseLost`: stop. A store never raises its driver's exceptions.
  * **Bells are hints.** A process that wrote rings for those who wait; nothing depends on it, for
    whoever waits also looks by itself, if seldom.
  * **Time is an argument**, in milliseconds since the epoch.

`amends.testing.store_suite.StoreSuite` holds every backend to this; subclass it for your own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, get_args, runtime_checkable

from msgspec import Struct

from ..core.filters import Filter
from ..core.summary import Summary
from .figures import Figures

GroupBy = Literal["name", "version", "status", "hold", "step"]
GROUPS: tuple[GroupBy, ...] = get_args(GroupBy)  # what a tally groups by
Tally = list[tuple[tuple[str | int, ...], int]]  # the values of the fields -> how many

ASLEEP = 1 << 62  # the due time of a saga that only an outside command can wake
POSITION_END = 1 << 62  # after every row of a journal
KEY_OPEN = "?"  # in place of who has a start key: it is written in somebody's own transaction, which is still open


class FrameRow(Struct, frozen=True, array_like=True, gc=False):
    """One journal row. `seq` is contiguous from 1 within its saga."""

    saga_id: str
    seq: int
    body: bytes


class JournalRow(Struct, frozen=True, array_like=True, gc=False):
    """One journal row with its place among those of all sagas."""

    position: int
    saga_id: str
    seq: int
    body: bytes


class KeyRow(Struct, frozen=True, array_like=True):
    """One start key. `input_hash` is over the encoded input; the row outlives the saga's pruning."""

    name: str
    key: str
    saga_id: str
    input_hash: str


class DefinitionRow(Struct, frozen=True, array_like=True):
    """One registered definition; `structure` is what `core.graph.structure_of` made.

    `redactions`, what `core.redaction.encode_redactions` made, may change for one structure: the last one
    registered holds.
    """

    name: str
    version: int
    fingerprint: str
    structure: bytes
    redactions: bytes = b""


class Trace(Struct, frozen=True, array_like=True):
    """What is left of a pruned saga. `ended` and `pruned` are times; the start key's row stays as long."""

    saga_id: str
    name: str
    key: str
    status: str
    ended: int
    pruned: int


class OpenRow(Struct, frozen=True, array_like=True):
    """One open saga. `number` grows with every saga opened; `due` is 0 for one that is awake."""

    number: int
    saga_id: str
    due: int


class CommandRow(Struct, frozen=True, array_like=True):
    """One command in the inbox; `body` is JSON. `done` and `error` are its answer."""

    id: int
    saga_id: str
    body: bytes
    done: bool = False
    error: str = ""


@dataclass(slots=True)
class Batch:
    """What one transaction writes. The committer gathers it; a store applies all of it or nothing.

    Attributes:
        number: grows by one per batch under one lease, from 1; a batch sent again keeps its number.
        frames: rows to append; those of one saga in the order of their seq.
        opened: ids of sagas that begin with a frame of this batch.
        keys: start keys of sagas in `opened`. One that is taken removes its saga from the batch.
        closed: ids that are no longer open.
        due: open saga -> its next due time (0: awake; ASLEEP: only a command wakes it).
        answered: command id -> error text, "" for applied.
    """

    number: int
    frames: list[FrameRow] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)
    keys: list[KeyRow] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    due: dict[str, int] = field(default_factory=dict)
    answered: dict[int, str] = field(default_factory=dict)


class Owner(Struct, frozen=True, array_like=True):
    """Who asks for the lease: enough to tell, on the same host, whether it still lives."""

    id: str
    host: str = ""
    boot_id: str = ""
    pid: int = 0
    process_started: int = 0


class Lease(Struct, frozen=True, array_like=True):
    """The right to run sagas on this store until `expires`, for one epoch."""

    epoch: int
    owner: str
    expires: int


Ring = Literal["work", "news", "lease"]
"""What a bell rings for: a start or a command from outside; a commit; a lease that was given back."""


class Bell(Protocol):
    """Tells that the store was written to, by this object or by another process. A hint, and no more.

    A ring may come for nothing or never, so whoever waits looks at the store after each ring, and
    now and then without one. It must look once after the bell was hung: what was written before,
    nobody rings for.
    """

    @property
    def works(self) -> bool:
        """Whether rings of other processes arrive; if not, looking often is all there is."""

    async def wait(self, timeout_s: float) -> bool:
        """Until it was rung since the last call, at most so long; whether it was. One task at a time."""

    def ring(self) -> None:
        """Wake who waits in this process, or who will wait next."""

    def close(self) -> None:
        """Take it down; who waits is woken. May be called twice."""


class Store(Protocol):
    """What a backend offers. All verbs are coroutines but `close`, which may be called twice."""

    address: str

    async def open(self) -> None:
        """Connect, check and migrate. Raises StoreUnusable, StoreUnavailable or StoreFailed."""

    def close(self) -> None:
        """Give every connection and thread back."""

    # -- the lease's holder ----------------------------------------------------------------------

    async def acquire(self, owner: Owner, *, ttl_ms: int, now: int) -> Lease | None:
        """The lease with the next epoch, or None while a living holder's has not expired.

        A holder that is provably dead on this host loses it at once.
        """

    async def renew(self, lease: Lease, *, ttl_ms: int, now: int) -> Lease:
        """The same epoch with a later `expires`. Raises LeaseLost."""

    async def release(self, lease: Lease) -> None:
        """Give the lease up, so that another may take it at once. Raises LeaseLost."""

    async def holder(self, *, now: int) -> Lease | None:
        """The lease in force, or None when nobody holds a live one."""

    async def owner(self, *, now: int) -> tuple[Owner, int] | None:
        """Whose lease is in force and when it expires, or None: what one who stands by watches."""

    async def commit(self, lease: Lease, batch: Batch) -> dict[str, str]:
        """Apply a batch durably.

        Returns:
            the sagas left out because their start key was taken: their id -> the id that has the key, or KEY_OPEN.

        Raises:
            LeaseLost, StoreUnavailable, StoreFailed; `Conflict` when a frame's (saga_id, seq) exists.
        """

    # -- anybody ---------------------------------------------------------------------------------

    async def start(self, frame: FrameRow, key: KeyRow | None) -> str:
        """Append a saga's frame 1 and open it, without a lease.

        Returns:
            "" when it was started, or the id of the saga that has the key, or KEY_OPEN.
        """

    async def post(self, saga_id: str, body: bytes, *, now: int) -> int:
        """Put a command into the inbox; its id."""

    async def command(self, command_id: int) -> CommandRow | None:
        """A command with its answer, if it has one."""

    async def unanswered(self, command_ids: Sequence[int]) -> set[int]:
        """Those of these commands that wait for their answer still."""

    async def register(self, rows: Sequence[DefinitionRow]) -> None:
        """Remember definitions. Raises Conflict when a (name, version) has another fingerprint."""

    async def prunable(self, which: Filter, *, limit: int) -> list[str]:
        """Sagas that have ended with nothing left to do, those that ended first; brings the projection up first."""

    async def count_prunable(self, which: Filter) -> int:
        """How many `prunable` has without a limit."""

    async def prune(self, saga_ids: Sequence[str], *, now: int) -> int:
        """Remove those of the sagas that may be removed, all of it in one transaction; how many are gone.

        Journal and summary go; the start key stays, and a trace.
        """

    async def trace(self, saga_id: str) -> Trace | None:
        """What is left of a pruned saga; None when it was not pruned, or too long ago."""

    async def forget(self, *, pruned_before: int, posted_before: int, limit: int) -> int:
        """Remove traces of sagas pruned before a time, their start keys, and answered commands; how many rows.

        Of traces and of commands at most `limit` each, the oldest.
        """

    async def shrink(self) -> int:
        """Give the space of what was removed back to the file system; how many bytes.

        It may take long, and keeps everybody else from writing meanwhile.
        """

    def bell(self, what: Ring) -> Bell:
        """A bell of one's own, which rings until it or the store is closed. Needs the running loop.

        `start` and `post` ring "work"; a commit rings "news", if not each one, then each that answers a
        command or closes a saga; `release` rings "lease".
        """

    def ring(self, what: Ring) -> None:
        """Ring for a write that was made beside this object, on a connection of the caller's own."""

    # -- reading ---------------------------------------------------------------------------------

    async def changed(self) -> bool:
        """Whether *another* process wrote since the last call; cheap enough to ask often."""

    async def commands(self, *, limit: int) -> list[CommandRow]:
        """The oldest unanswered commands."""

    async def open_sagas(self, *, after: int, due_from: int, due_before: int, limit: int) -> list[OpenRow]:
        """Open sagas with number > `after` and `due_from` <= due < `due_before`, by number."""

    async def frames(self, saga_ids: Sequence[str]) -> dict[str, list[FrameRow]]:
        """The journals of these sagas, each by seq; a saga without one is left out."""

    async def journal(self, *, after: int, limit: int) -> list[JournalRow]:
        """The first rows with a position > `after`, of all sagas.

        Positions grow, are never given out twice, and need not be contiguous. A row is returned only when
        none with a smaller position can still appear: whoever goes on from the last one misses nothing.
        """

    async def journal_end(self, *, before: int, limit: int) -> list[JournalRow]:
        """The last rows with a position < `before`, oldest first; POSITION_END for the newest of all."""

    async def later_frames(self, after: Mapping[str, int]) -> dict[str, list[FrameRow]]:
        """Of each saga the frames behind the given seq; one that has none is left out."""

    async def key(self, name: str, key: str) -> KeyRow | None:
        """The start key's row."""

    async def definitions(self) -> list[DefinitionRow]:
        """All registered definitions."""

    async def project(self, *, limit: int) -> int:
        """Advance the summaries by at most `limit` frames; how many it folded."""

    async def rebuild(self) -> None:
        """Fold all summaries anew from the journal."""

    async def summaries(self, which: Filter, *, before: str, limit: int, fresh: bool = True) -> list[Summary]:
        """Summaries with saga_id < `before` ("" for the newest), newest first.

        Brings the projection up first, unless `fresh` is False: then they are as far as it is.
        """

    async def count(self, which: Filter) -> int:
        """How many summaries match; brings the projection up first."""

    async def tally(self, which: Filter, by: Sequence[GroupBy]) -> Tally:
        """How many summaries match, by the values of these fields, sorted by them; brings the projection up first."""

    async def figures(self, which: Filter, *, since: int) -> list[Figures]:
        """What became of matching sagas, by name and version, as `figures.figures_of`; brings the projection up first.

        A database computes them; it must not hand every summary out.
        """


def definition_text(name: str, version: int, fingerprint: str) -> str:
    """A definition as workers tell each other what they can run."""
    return f"{name} {version} {fingerprint}"


class Standing(NamedTuple):
    """How a worker stands among the others, as its last renewal found it.

    Attributes:
        mine: its shards.
        free: how many shards nobody runs.
        share: how many it should have.
        next_end: when the first lease of another runs out, 0 without others; the store's time, in milliseconds.
        some_gone: whether a holder is proven dead.
        time: the store's own wall clock, in milliseconds.
        misplaced: its shards with sagas that it lacks the definition of, while another worker has it.
        needed: its shards that need a definition which not every worker has, and this one does.
    """

    mine: frozenset[int]
    free: int
    share: int
    next_end: int
    some_gone: bool
    time: int
    misplaced: frozenset[int]
    needed: frozenset[int]


@runtime_checkable
class Shared(Protocol):
    """What a store offers besides, if several workers run its sagas at once, each those of some shards.

    `acquire` gives a lease on the shards that are free, at most on this worker's share of all, and None while there
    is none; then those who hold them see that somebody waits. All shards of a lease are lost together. A shard moves by
    itself only when its holder gives it up.
    """

    @property
    def held(self) -> frozenset[int]:
        """The shards of the lease."""

    @property
    def standing(self) -> Standing | None:
        """What the last `renew` told."""

    async def time(self) -> int:
        """The store's own wall clock, in milliseconds: what leases and due times are told by."""

    async def identity(self) -> int:
        """What tells this store from every other; never 0."""

    async def take(self, lease: Lease, *, now: int) -> frozenset[int]:
        """Take free shards, those of leases that are over among them, up to this worker's share; which are new."""

    async def need(self, needs: Mapping[int, Iterable[str]]) -> None:
        """Say which definitions (`definition_text`) sagas of some shards need, and this worker lacks."""

    async def give(self, lease: Lease, shards: Iterable[int]) -> None:
        """Let shards go. Nothing of theirs may be under way any more."""

    async def holder_of(self, saga_id: str, *, now: int) -> Lease | None:
        """The lease in force on a saga's shard, or None."""

    async def settled(self) -> int:
        """The number before which the open set is complete: no saga with a smaller one can still appear."""

    async def open_of(
        self, shards: Iterable[int], *, after: int, due_from: int, due_before: int, limit: int, outside: bool = False
    ) -> list[OpenRow]:
        """As `open_sagas`, of some shards; `outside`: only those that others than the shard's worker started."""

    async def commands_of(self, shards: Iterable[int], *, limit: int) -> list[CommandRow]:
        """As `commands`, of some shards."""


@runtime_checkable
class Transacting(Protocol):
    """What a store offers besides, if its database is one that an author's functions can write to."""

    driver: str  # the module of the connections that they take

    async def transact(
        self, lease: Lease, batch: Batch, body: Callable[[Any], FrameRow], *, limit_ms: int
    ) -> tuple[dict[str, str], BaseException | None]:
        """Run `body` on a connection to the database; commit its writes, the frame it returns, and the batch together.

        Parameters:
            body: called in the writer's thread, with a connection in an open transaction.
            limit_ms: how long it may take.

        Returns:
            what `commit` returns; and what the body failed with, or None. Of a body that failed nothing
            is left, and the batch is committed without it.

        Raises:
            LeaseLost, StoreUnavailable: the body did not run. StoreFailed, Conflict: nothing was written.
        """
