"""The barrier on Python's own `sqlite3`.

Rules of this file:
  * **BEGIN IMMEDIATE first.** The write lock is taken before the first insert, so two calls of one
    step never run side by side: the second waits and then sees what the first committed. A deferred
    transaction would find out at its first write, with SQLITE_BUSY and no way to wait.
  * **The connection is ours to drive.** `sqlite3` in its legacy mode begins transactions late and
    commits them in surprising places, so `isolation_level=None` is demanded, not set behind the
    caller's back. Nothing is imported here but `sqlite3`; the same steps serve any other driver.
  * **A savepoint stands between our rows and the business writes.** A refusal rolls back to it and
    commits the rest. That it is still there at the end proves that the caller neither committed nor
    rolled back inside the block (`with connection:` and `executescript` do, silently).
"""

from __future__ import annotations

import sqlite3
import time
from importlib import resources
from types import TracebackType
from typing import Final, Literal, Self

from ..errors import UsageError
from ..policies.durations import Duration, milliseconds
from .barrier import EMPTY, LATE, SEALED, Decision, Go, Op, Probe, Row, State, decide, sighting_of

_INSERT: Final = (
    "INSERT OR IGNORE INTO amends_barrier (saga_id, step, op, name, reason, state, status, body, created_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_SELECT: Final = "SELECT state, status, body FROM amends_barrier WHERE saga_id = ? AND step = ? AND op = ? AND name = ?"
_ANSWER: Final = (
    "UPDATE amends_barrier SET state = ?, status = ?, body = ? WHERE saga_id = ? AND step = ? AND op = ? AND name = ?"
)
_PURGE: Final = (
    "DELETE FROM amends_barrier WHERE saga_id IN"
    " (SELECT saga_id FROM amends_barrier GROUP BY saga_id HAVING max(created_at) < ? LIMIT ?)"
)


class SqliteGo(Go):
    """A guarded block as a context manager; made by `Guard.sqlite3`."""

    __slots__ = ("_connection", "_name", "_op", "_saga_id", "_step", "_used")

    def __init__(
        self, connection: sqlite3.Connection, saga_id: str, step: str, op: Op, name: str, used: set[str]
    ) -> None:
        super().__init__()
        _check(connection)
        self._connection = connection
        self._saga_id, self._step, self._op, self._name = saga_id, step, op, name
        self._used = used

    def __enter__(self) -> Self:
        _check(self._connection)
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self.decision = self._decide()
            self._connection.execute("SAVEPOINT amends_business")
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        try:
            if kind is None:
                self._finish()
        finally:
            # Reached with an open transaction after an exception, a refused compensation or a failed commit.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        return False

    def _decide(self) -> Decision:
        action = None
        if self._op is Op.COMPENSATION:
            # The origin's row goes first: if it is ours, the action has not run and never will.
            self._insert(Op.ACTION, State.VOID, 409, LATE)
            action = self._row(Op.ACTION)
        inserted = self._insert(self._op, State.APPLIED, 200, EMPTY)
        own = self._row(self._op)
        decision, known = decide(self._op, inserted, own, action or own)
        if decision is not Decision.RUN:
            self._status, self._body = known.status, own.body
        return decision

    def _finish(self) -> None:
        execute = self._connection.execute
        try:
            if self._refused:
                execute("ROLLBACK TO amends_business")
            execute("RELEASE amends_business")
        except sqlite3.OperationalError as error:
            raise UsageError(
                f"{self._saga_id}/{self._step}/{self._op}: the transaction was committed or rolled back inside the "
                "guarded block, so the barrier vouches for nothing; leave that to the block (beware of "
                "`with connection:`, connection.commit() and executescript())",
                code="AM2403",
            ) from error
        if self._refused and self._op is Op.COMPENSATION:
            return  # not kept, see `barrier`; `__exit__` rolls back
        if self.run:
            state = State.REFUSED if self._refused else State.APPLIED
            execute(_ANSWER, (state, self._status, self._body, self._saga_id, self._step, self._op, self._name))
        execute("COMMIT")
        self._used.add(self._name)

    def _insert(self, op: Op, state: State, status: int, body: str) -> bool:
        row = (self._saga_id, self._step, op, self._name, self._op, state, status, body, _now_ms())
        return self._connection.execute(_INSERT, row).rowcount == 1

    def _row(self, op: Op) -> Row:
        row = _row(self._connection, self._saga_id, self._step, op, self._name)
        if row is None:  # impossible inside our transaction; said loudly, for the barrier would guess otherwise
            raise UsageError("the barrier's row is gone; does a trigger write to amends_barrier?", code="AM2403")
        return row


def probe(connection: sqlite3.Connection, saga_id: str, step: str, name: str, seal: bool) -> Probe:
    """See `Guard.probe`."""
    if seal:
        _check(connection)
        row = (saga_id, step, Op.ACTION, name, Op.PROBE, State.VOID, 409, SEALED, _now_ms())
        connection.execute(_INSERT, row)
    return sighting_of(_row(connection, saga_id, step, Op.ACTION, name))


def create_schema(connection: sqlite3.Connection) -> None:
    """Create the barrier's table if it is not there; the statements are packaged as `barrier.sql`.

    Raises:
        UsageError: inside a transaction, which the script would commit.
    """
    _check(connection)
    connection.executescript(resources.files(__package__).joinpath("barrier.sql").read_text(encoding="utf-8"))


def forget(connection: sqlite3.Connection, saga_id: str) -> int:
    """Delete a saga's rows, once its orchestrator is done with it; how many there were."""
    return connection.execute("DELETE FROM amends_barrier WHERE saga_id = ?", (saga_id,)).rowcount


def purge(
    connection: sqlite3.Connection, *, older_than: Duration = "30d", now_ms: int | None = None, sagas: int = 1_000
) -> int:
    """Delete the rows of sagas that have not called for `older_than`; how many rows there were.

    A saga's rows go together or stay together: an action's row without its compensation's, or the
    other way round, would let a late call through.

    Parameters:
        older_than: longer than the longest saga, its retries and what an operator may still ask for.
        now_ms: milliseconds since the epoch; the clock's when left out.
        sagas: at most so many in one call, so that a big table is not locked for long.

    Raises:
        UsageError: `older_than` is no duration.
    """
    age_ms = milliseconds(older_than, what="older_than")
    before = (_now_ms() if now_ms is None else now_ms) - age_ms
    return connection.execute(_PURGE, (before, sagas)).rowcount


def _row(connection: sqlite3.Connection, saga_id: str, step: str, op: Op, name: str) -> Row | None:
    cursor = connection.execute(_SELECT, (saga_id, step, op, name))
    cursor.row_factory = None  # the caller's connection may make dicts or objects of its rows
    found = cursor.fetchone()
    return None if found is None else Row(State(found[0]), found[1], found[2])


def _check(connection: sqlite3.Connection) -> None:
    autocommit = getattr(connection, "autocommit", -1)  # Python 3.12 and later; -1 is the legacy mode
    if autocommit is False or (autocommit is not True and connection.isolation_level is not None):
        raise UsageError(
            "the connection begins transactions by itself; open it with sqlite3.connect(path, isolation_level=None)",
            code="AM2403",
        )
    if connection.in_transaction:
        raise UsageError(
            "the connection is inside a transaction; the guarded block must begin and end its own (one connection "
            "serves one block at a time)",
            code="AM2403",
        )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
