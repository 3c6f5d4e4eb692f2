"""A body's writes, its frame and the batch beside it are one transaction of the SQLite store."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from amends import UsageError
from amends.core.events import Began, Started, encode_frame
from amends.errors import LeaseLost, StoreFailed, StoreUnavailable
from amends.stores.base import Batch, FrameRow, Lease, Owner, Transacting
from amends.stores.memory import MemoryStore
from amends.stores.sqlite import SQLiteStore, transacting

NOW = 1_000
BODY = encode_frame(NOW, [Began()])
FIRST = encode_frame(NOW, [Started("s", "n", 1, "f", b"1")])
OURS = FrameRow("s", 2, BODY)


class Site:
    """A store with a saga `s` in it, a lease, and a table of the application's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = SQLiteStore(path, busy_ms=200)
        self.loop = asyncio.Runner()
        self.number = 1
        self.loop.run(self._open())

    async def _open(self) -> None:
        await self.store.open()
        lease = await self.store.acquire(Owner("me"), ttl_ms=60_000, now=NOW)
        assert lease is not None
        self.lease = lease
        await self.store.commit(lease, Batch(1, frames=[FrameRow("s", 1, FIRST)], opened=["s"]))
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            db.executescript(
                "CREATE TABLE t (x INTEGER PRIMARY KEY);"
                "CREATE TABLE child (t INTEGER REFERENCES t (x));"
                "CREATE TABLE late (t INTEGER REFERENCES t (x) DEFERRABLE INITIALLY DEFERRED);"
            )

    def transact(
        self, body: Callable[[sqlite3.Connection], Any], *frames: FrameRow, limit_ms: int = 5_000,
        lease: Lease | None = None, **more: Any,
    ) -> tuple[dict[str, str], BaseException | None]:  # fmt: skip
        def run(db: sqlite3.Connection) -> FrameRow:
            body(db)
            return OURS

        self.number += 1
        batch = Batch(self.number, frames=list(frames), **more)
        return self.loop.run(self.store.transact(lease or self.lease, batch, run, limit_ms=limit_ms))

    def forget_frame(self) -> None:
        """Make room for our frame once more."""
        with contextlib.closing(sqlite3.connect(self.path)) as db, db:
            db.execute("INSERT INTO amends_meta VALUES ('pruning', 1)")
            db.execute("DELETE FROM amends_journal WHERE saga_id = 's' AND seq = 2")
            db.execute("DELETE FROM amends_meta WHERE name = 'pruning'")

    def rows(self, table: str) -> list[Any]:
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            return [row[0] for row in db.execute(f"SELECT * FROM {table}")]

    @property
    def journal(self) -> list[tuple[str, int]]:
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            return db.execute("SELECT saga_id, seq FROM amends_journal ORDER BY position").fetchall()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "t.db")
    yield site
    site.store.close()
    site.loop.close()


def write(*numbers: int) -> Callable[[sqlite3.Connection], None]:
    def body(db: sqlite3.Connection) -> None:
        for number in numbers:
            db.execute("INSERT INTO t VALUES (?)", (number,))

    return body


OTHER = FrameRow("o", 1, FIRST)


def test_the_writes_the_frame_and_the_batch_land_together_and_in_order(site):
    assert site.transact(write(1, 2), OTHER, opened=["o"]) == ({}, None)
    assert site.rows("t") == [1, 2]
    assert site.journal == [("s", 1), ("o", 1), ("s", 2)]


def test_of_a_body_that_raised_nothing_is_left_and_the_batch_lands_without_it(site):
    def body(db: sqlite3.Connection) -> None:
        write(1)(db)
        raise LookupError("no")

    _, error = site.transact(body, OTHER, opened=["o"])
    assert isinstance(error, LookupError)
    assert site.rows("t") == []
    assert site.journal == [("s", 1), ("o", 1)]
    assert site.transact(write(3))[1] is None  # the next one has a sound connection
    assert site.rows("t") == [3]


def test_a_body_under_a_lost_lease_does_not_run(site):
    ran = []
    with pytest.raises(LeaseLost):
        site.transact(ran.append, OTHER, opened=["o"], lease=Lease(site.lease.epoch - 1, "me", 0))
    assert not ran
    assert site.journal == [("s", 1)]


def test_a_body_that_must_wait_for_another_writer_does_not_run(site):
    ran = []
    with contextlib.closing(sqlite3.connect(site.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable):
            site.transact(ran.append)
        other.execute("ROLLBACK")
    assert not ran
    assert site.transact(write(1))[1] is None


def test_a_file_that_cannot_be_opened_once_more_makes_the_body_wait_and_the_store_go_on(site, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("unable to open database file")

    ran = []
    with monkeypatch.context() as patch:
        patch.setattr(transacting.sqlite3, "connect", refuse)
        with pytest.raises(StoreUnavailable, match="AM6016"):
            site.transact(ran.append)
    assert not ran
    assert site.transact(write(1))[1] is None


def test_a_frame_that_exists_takes_the_writes_back_with_it(site):
    site.transact(write(1))
    with pytest.raises(Exception, match="AM4101"):  # frame 2 of `s` is there already
        site.transact(write(2))
    assert site.rows("t") == [1]


def test_a_batch_that_was_applied_before_runs_no_body_again(site):
    site.transact(write(1))
    site.number -= 1
    with pytest.raises(StoreFailed, match="applied before"):
        site.transact(write(2))
    assert site.rows("t") == [1]


def ends(statement: str) -> Callable[[sqlite3.Connection], None]:
    def body(db: sqlite3.Connection) -> None:
        write(1)(db)
        db.execute(statement)

    return body


def commits_by_context(db: sqlite3.Connection) -> None:
    with db:
        write(1)(db)


def goes_on_behind_a_rollback(db: sqlite3.Connection) -> None:
    write(1)(db)
    with contextlib.suppress(sqlite3.Error):
        db.execute("INSERT OR ROLLBACK INTO t VALUES (1)")
    with contextlib.suppress(sqlite3.Error):
        db.execute("WITH n AS (SELECT 2) INSERT INTO t SELECT * FROM n")  # it would be committed by itself
    with contextlib.suppress(sqlite3.Error):
        write(1)(db)  # as would this, whose text was prepared before


ENDS = {
    "COMMIT": ends("COMMIT"),
    "ROLLBACK": ends("ROLLBACK"),
    "END": ends("END"),
    "BEGIN": ends("BEGIN"),
    "commit()": lambda db: db.commit(),
    "rollback()": lambda db: db.rollback(),
    "executescript()": lambda db: db.executescript("INSERT INTO t VALUES (1)"),
    "isolation_level": lambda db: setattr(db, "isolation_level", None),
    "with": commits_by_context,
    "behind a rollback": goes_on_behind_a_rollback,
}


@pytest.mark.parametrize("how", ENDS)
def test_a_body_that_ends_the_transaction_is_refused_and_told_why(site, how):
    for body in (ENDS[how], lambda db: suppressed(ENDS[how], db)):  # also when it goes on as if nothing were
        _, error = site.transact(body)
        assert isinstance(error, UsageError)
        assert error.code == "AM2240" and "executescript" in str(error)
        assert site.rows("t") == []
    assert site.journal == [("s", 1)]


def suppressed(body: Callable[[sqlite3.Connection], None], db: sqlite3.Connection) -> None:
    with contextlib.suppress(sqlite3.Error):
        body(db)


def test_a_savepoint_of_the_bodys_own_is_fine(site):
    def body(db: sqlite3.Connection) -> None:
        write(1)(db)
        db.execute("SAVEPOINT mine")
        write(2)(db)
        db.execute("ROLLBACK TO mine")
        db.execute("RELEASE mine")

    assert site.transact(body)[1] is None
    assert site.rows("t") == [1]


def test_another_file_cannot_be_attached(site, tmp_path):
    _, error = site.transact(lambda db: db.execute("ATTACH ? AS other", (str(tmp_path / "other.db"),)))
    assert error.code == "AM2241"


@pytest.mark.parametrize("table", ["child", "late"])
def test_foreign_keys_are_enforced_at_once_and_at_the_commit(site, table):
    _, error = site.transact(lambda db: db.execute(f"INSERT INTO {table} VALUES (7)"), OTHER, opened=["o"])
    assert isinstance(error, sqlite3.IntegrityError)
    assert site.rows(table) == []
    assert site.journal == [("s", 1), ("o", 1)]  # the batch lands all the same
    assert site.transact(write(7))[1] is None


def test_a_returning_that_was_not_read_to_its_end_is_the_bodys_failure_and_not_the_stores(site):
    kept = []

    def body(db: sqlite3.Connection) -> None:
        kept.append(db.execute("INSERT INTO t VALUES (1), (2), (3) RETURNING x"))

    _, error = site.transact(body)
    assert isinstance(error, sqlite3.OperationalError)
    assert site.rows("t") == []
    assert site.transact(write(7))[1] is None


def test_a_query_that_runs_too_long_is_interrupted(site):
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"

    def body(db: sqlite3.Connection) -> None:
        write(1)(db)
        db.execute(endless)

    _, error = site.transact(body, limit_ms=100)
    assert isinstance(error, TimeoutError)
    assert site.rows("t") == []


def test_python_code_that_took_too_long_is_rolled_back_behind_it(site):
    def body(db: sqlite3.Connection) -> None:
        write(1)(db)
        threading.Event().wait(0.02)

    _, error = site.transact(body, limit_ms=10)
    assert isinstance(error, TimeoutError)
    assert site.rows("t") == []


def test_what_a_body_leaves_on_its_connection_reaches_no_other(site):
    def factories(db: sqlite3.Connection) -> None:
        db.row_factory = lambda cursor, row: {"row": row}
        db.text_factory = bytes

    def leave(db: sqlite3.Connection) -> None:
        db.execute("CREATE TEMP TABLE left_behind (x)")

    def configure(db: sqlite3.Connection) -> None:
        db.execute("PRAGMA case_sensitive_like = ON")

    seen = []

    def look(db: sqlite3.Connection) -> None:
        seen.append(db.execute("SELECT 'a' LIKE 'A', 'text'").fetchone())
        seen.append(db.execute("SELECT count(*) FROM temp.sqlite_schema WHERE name = 'left_behind'").fetchone())
        raise LookupError

    for body in (factories, leave, configure):
        assert site.transact(body)[1] is None
        site.transact(look)
        site.forget_frame()
    assert seen == [(1, "text"), (0,)] * 3


def test_a_connection_that_was_kept_is_of_no_use_elsewhere(site):
    kept: list[sqlite3.Connection] = []
    site.transact(kept.append)
    with pytest.raises(sqlite3.ProgrammingError, match="thread"):
        kept[0].execute("INSERT INTO t VALUES (1)")


def test_only_stores_with_a_database_are_transacting():
    assert isinstance(SQLiteStore("x.db"), Transacting)
    assert not isinstance(MemoryStore(), Transacting)
