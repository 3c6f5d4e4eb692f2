"""An author's writes and a frame of the journal in one transaction: what an atomic step needs.

    BEGIN IMMEDIATE ─▶ is the lease ours? ─▶ the body's writes ─▶ its frame, with the batch ─▶ COMMIT
                                             │ it raised, or took too long
                                             ▼
                                          ROLLBACK ─▶ the batch alone

Rules of this file:
  * **A connection of their own.** Bodies share one that serves nothing else, in the writer's thread, where
    nobody can use one that was kept. What an author did to it (a pragma, a temporary table) reaches no
    other body: it is closed behind a body that failed or left something on it.
  * **The transaction is ours.** An authorizer refuses whatever would begin or end one, and whatever comes
    after SQLite itself has rolled it back (a full disk, an interrupt, `INSERT OR ROLLBACK`): a write
    behind it would be committed by itself.
  * **Foreign keys are enforced,** as most applications do on their own connections.
  * Time is bounded: SQLite's own work is interrupted; Python's cannot be, and is rolled back behind it.
  * A body never makes the store fail: what it does wrong is its own failure, and without effect.

Codes:
    AM2240  the body tried to end the transaction, or went on behind its end
    AM2241  the body attached another file
    AM2243  the body tried to close the connection, or to take the guards off it
    AM6016  the file could not be opened once more for a body; it is tried again
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import StoreUnavailable, UsageError
from ...policies.durations import human
from ..base import FrameRow
from .schema import configure

_OPCODES_BETWEEN_LOOKS = 100_000  # of SQLite's machine, a few milliseconds; each look waits for the interpreter
# Errors that are the disk's, and not the body's, wherever they turn up.
_STORE_FAULTS = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_READONLY}
)
_LEAVE_SOMETHING = frozenset(
    {
        sqlite3.SQLITE_PRAGMA, sqlite3.SQLITE_CREATE_TEMP_TABLE, sqlite3.SQLITE_CREATE_TEMP_INDEX,
        sqlite3.SQLITE_CREATE_TEMP_TRIGGER, sqlite3.SQLITE_CREATE_TEMP_VIEW,
    }
)  # fmt: skip
_ENDS = (
    "the transaction of an atomic step is ended by Amends, together with the step's frame: leave out commit(), "
    "rollback(), BEGIN, COMMIT, ROLLBACK, `with connection:` and executescript() (a savepoint is fine)"
)
_KEPT = (
    "the connection of an atomic step is lent to it, with its guards: leave out close(), `with closing(connection)`, "
    "set_authorizer() and set_progress_handler()"
)


class _Lent(sqlite3.Connection):
    """The connection as a body has it: what would take it from its owner is refused."""

    def close(self) -> None:
        raise UsageError(_KEPT, code="AM2243")

    def set_authorizer(self, *_: object, **__: object) -> None:
        raise UsageError(_KEPT, code="AM2243")

    def set_progress_handler(self, *_: object, **__: object) -> None:
        raise UsageError(_KEPT, code="AM2243")


class Undone(Exception):
    """The body failed, and its transaction was rolled back; the cause is what it raised."""


class Bench:
    """The connection that bodies work on, one after the other.

    Parameters:
        path: the database file.
        busy_s: how long a body waits for another program's lock, in seconds.
        equip: prepares a connection to take a batch.
    """

    def __init__(self, path: Path, busy_s: float, equip: Callable[[sqlite3.Connection], None]) -> None:
        self._path = path
        self._busy_s = busy_s
        self._equip = equip
        self._db: sqlite3.Connection | None = None
        self._worn = False

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection as new, for one body; it is closed behind one that failed or left something on it."""
        db, self._db = self._db or self._connected(), None
        self._worn = False
        try:
            yield db
        except BaseException:
            self._worn = True
            raise
        finally:
            if self._worn:
                sqlite3.Connection.close(db)
            else:
                self._db = db

    def close(self) -> None:
        """Close the connection."""
        if self._db is not None:
            sqlite3.Connection.close(self._db)

    def run(self, db: sqlite3.Connection, body: Callable[[sqlite3.Connection], FrameRow], limit_ms: int) -> FrameRow:
        """The frame that the body made; its writes are in the open transaction.

        Raises:
            Undone: it failed. The transaction is still to be rolled back.
        """
        watch = _Watch(db, limit_ms)
        try:
            with watch:
                row = body(db)
            watch.check()
        except BaseException as error:
            raise Undone from (watch.fault or error)
        db.row_factory = None  # the frame is written on the same connection
        db.text_factory = str
        self._worn = watch.worn or db.isolation_level is not None
        return row

    def _connected(self) -> sqlite3.Connection:
        # No cached statements: the authorizer is asked when a statement is prepared.
        try:
            db = sqlite3.connect(
                self._path, timeout=self._busy_s, isolation_level=None, cached_statements=0, factory=_Lent
            )
        except sqlite3.OperationalError as error:  # perhaps this process has too many files open
            raise StoreUnavailable(
                f"{self._path} could not be opened for an atomic step: {error}. Nothing was written; it is tried again",
                code="AM6016",
            ) from error
        try:
            configure(db, self._busy_s)
            db.execute("PRAGMA foreign_keys = ON")
            self._equip(db)
        except BaseException:
            sqlite3.Connection.close(db)
            raise
        return db


@contextmanager
def committing() -> Iterator[None]:
    """Around the COMMIT: what the body's writes are to blame for is its failure, all else is the store's.

    That is a deferred foreign key that is broken, or a `RETURNING` that was not read to its end.
    """
    try:
        yield
    except sqlite3.Error as error:
        if (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _STORE_FAULTS:
            raise
        raise Undone from error


class _Watch:
    """Looks after a connection while a body has it."""

    def __init__(self, db: sqlite3.Connection, limit_ms: int) -> None:
        self._db = db
        self._limit_ms = limit_ms
        self._until = time.monotonic() + limit_ms / 1_000
        self.fault: Exception | None = None  # what it did wrong, also when it went on as if nothing were
        self.worn = False  # it left something on the connection

    def __enter__(self) -> None:
        sqlite3.Connection.set_authorizer(self._db, self._allow)
        sqlite3.Connection.set_progress_handler(self._db, self._too_late, _OPCODES_BETWEEN_LOOKS)

    def __exit__(self, *_: object) -> None:
        sqlite3.Connection.set_progress_handler(self._db, None, 0)
        sqlite3.Connection.set_authorizer(self._db, None)

    def check(self) -> None:
        """Whether all is as it should be behind the body."""
        if self._too_late() and self.fault is None:
            self.fault = TimeoutError(f"no answer within {human(self._limit_ms)}")
        if self.fault is None and not self._db.in_transaction:
            self.fault = UsageError(f"SQLite rolled the transaction back, and the step went on: {_ENDS}", code="AM2240")
        if self.fault is not None:
            raise self.fault

    def _too_late(self) -> bool:
        late = time.monotonic() >= self._until
        if late and self.fault is None:
            self.fault = TimeoutError(f"no answer within {human(self._limit_ms)}")
        return late

    def _allow(self, action: int, first: str | None, *_: object) -> int:
        if action == sqlite3.SQLITE_TRANSACTION or not self._db.in_transaction:
            self.fault = self.fault or UsageError(_ENDS, code="AM2240")
            return sqlite3.SQLITE_DENY
        if action in (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH):
            self.fault = self.fault or UsageError(
                "an atomic step writes to the store's own file only: a commit over two files is not one commit; "
                "leave out ATTACH and DETACH",
                code="AM2241",
            )
            return sqlite3.SQLITE_DENY
        self.worn = self.worn or action in _LEAVE_SOMETHING
        return sqlite3.SQLITE_OK
