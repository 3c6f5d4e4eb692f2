"""An author's writes and a frame of the journal in one transaction: what an atomic step needs.

    BEGIN ─▶ is the lease ours? ─▶ the body's writes ─▶ its frame, with the batch ─▶ COMMIT
                                   │ it raised, or took too long
                                   ▼
                                ROLLBACK ─▶ the batch alone

Rules of this file:
  * **A connection of their own.** Bodies share one that serves nothing else, in a thread of its own. It is closed
    behind a body that failed.
  * **The transaction is ours.** The connection that a body is lent refuses to commit, to roll back and to be closed;
    what it ends by a statement of SQL is found out, by a mark that only this transaction has.
  * **A COMMIT whose answer is lost is settled** by the batch's number, which the same transaction writes: whoever locks
    the worker's row sees whether it landed. A body is never run twice for one call.
  * Time is bounded: the server ends a statement that takes longer; Python's own time is looked at behind it.
  * A body never makes the store fail: what it does wrong is its own failure, and without effect.

Codes: AM2240 and AM2243, as in `stores/sqlite/transacting.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from ...errors import AmendsError, LeaseLost, StoreUnavailable, UsageError
from ...policies.durations import human
from ..base import Batch, FrameRow, Lease
from ..messages import lease_lost
from ..owner import unique
from .faults import sorted_out
from .session import Address
from .sql import query
from .writing import Taken, commit

_ENDS = (
    "the transaction of an atomic step is ended by Amends, together with the step's frame: leave out commit(), "
    "rollback(), BEGIN, COMMIT, ROLLBACK and `with connection:` (connection.transaction(), a savepoint, is fine)"
)
_KEPT = "the connection of an atomic step is lent to it: leave out close() and `with closing(connection)`"

Answer = tuple[Taken, BaseException | None]


class Lent(psycopg.Connection[Any]):
    """The connection as a body has it: what would take the transaction from its owner is refused."""

    lent = False

    def commit(self) -> None:
        """Refused while a body has it."""
        self._refuse(_ENDS, "AM2240")
        super().commit()

    def rollback(self) -> None:
        """Refused while a body has it."""
        self._refuse(_ENDS, "AM2240")
        super().rollback()

    def close(self) -> None:
        """Refused while a body has it."""
        self._refuse(_KEPT, "AM2243")
        super().close()

    def _refuse(self, said: str, code: str) -> None:
        if self.lent:
            raise UsageError(said, code=code)


class Undone(Exception):
    """The body failed, and its transaction was rolled back; the cause is what it raised."""


class Bench:
    """The connection that bodies work on, one after the other. Used in one thread.

    Parameters:
        address: the database.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._db: Lent | None = None
        self._failed: tuple[tuple[int, int], BaseException] | None = None  # a body that ran, whose batch is yet to land

    def close(self) -> None:
        """Close the connection."""
        db, self._db = self._db, None
        if db is not None:
            db.lent = False
            db.close()

    def transact(self, lease: Lease, batch: Batch, body: Callable[[Any], FrameRow], limit_ms: int) -> Answer:
        """See Transacting.transact."""
        place = (lease.epoch, batch.number)
        if self._failed is None or self._failed[0] != place:
            try:
                return self._run(lease, batch, body, limit_ms), None
            except Undone as undone:  # it left no trace: the batch goes on without it
                self._failed = (place, undone.__cause__ or undone)
        taken = self._with(lambda db: commit(db, self._address, lease, batch))
        failed, self._failed = self._failed, None
        assert failed is not None
        return taken, failed[1]

    def _run(self, lease: Lease, batch: Batch, body: Callable[[Any], FrameRow], limit_ms: int) -> Taken:
        mark = unique()
        self._with(lambda db: self._begin(db, lease, batch, mark, limit_ms))
        db = self._db
        assert db is not None
        row = self._row(db, body, mark, limit_ms)
        whole = replace(batch, frames=[*batch.frames, row])
        try:
            taken = commit(db, self._address, lease, whole)
        except AmendsError:
            self.close()  # and with it goes the transaction
            raise
        except psycopg.Error as error:
            cut = _is_cut(db)
            self.close()
            if cut:
                raise Undone from StoreUnavailable("the connection was cut before the step was committed")
            raise sorted_out(error, self._address.shown) from error
        try:
            db.execute("COMMIT")
        except psycopg.Error as error:
            cut = _is_cut(db)
            self.close()
            if cut and self._landed(lease, batch):
                return taken
            raise Undone from error
        return taken

    def _begin(self, db: Lent, lease: Lease, batch: Batch, mark: str, limit_ms: int) -> None:
        db.execute("BEGIN")
        row = db.execute(query("begin_body"), (mark, f"{limit_ms}ms", f"{limit_ms}ms", lease.epoch)).fetchone()
        applied = None if row is None else row[-1]
        if applied is None or applied >= batch.number:
            super(Lent, db).rollback()
            raise lease_lost(self._address.shown, lease)

    def _row(self, db: Lent, body: Callable[[Any], FrameRow], mark: str, limit_ms: int) -> FrameRow:
        """The frame that the body made; its writes are in the open transaction. Raises Undone."""
        began = time.monotonic()
        db.lent = True
        try:
            row = body(db)
            db.lent = False
            _check(db, mark, began, limit_ms)
        except BaseException as error:
            self.close()  # and with it goes the transaction
            raise Undone from error
        return row

    def _landed(self, lease: Lease, batch: Batch) -> bool:
        """Whether a COMMIT whose answer was lost has landed; until the server says so, one way or the other."""
        pause_s = 0.05
        while True:
            try:
                row = self._with(lambda db: db.execute(query("select_batch"), (lease.epoch,)).fetchone())
            except LeaseLost:
                return False
            except StoreUnavailable:
                time.sleep(pause_s)
                pause_s = min(pause_s * 2, 1.0)
                continue
            return row is not None and row[0] >= batch.number

    def _with(self, job: Callable[[Lent], Any]) -> Any:
        """A job on the connection, outside of a body. Raises StoreError."""
        try:
            if self._db is None:
                self._db = Lent.connect(self._address.conninfo, autocommit=True)
                self._db.execute(query("configure"), ("amends atomic",))
            return job(self._db)
        except psycopg.Error as error:
            self.close()
            raise sorted_out(error, self._address.shown) from error


def _check(db: Lent, mark: str, began: float, limit_ms: int) -> None:
    """That the body has left the transaction as it was, and in time."""
    held = None
    if db.info.transaction_status is TransactionStatus.INTRANS:
        held = db.execute("SELECT current_setting('amends.body', true)").fetchone()
    if held is None or held[0] != mark:
        raise UsageError(_ENDS, code="AM2240")
    if (time.monotonic() - began) * 1000 > limit_ms:
        raise TimeoutError(f"no answer within {human(limit_ms)}; its writes were taken back")


def _is_cut(db: Lent) -> bool:
    return db.closed or db.broken
