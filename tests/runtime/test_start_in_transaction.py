"""Starts inside the caller's own transaction: there if and only if it commits, whatever connection it is."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from amends import (
    Conflict,
    KeyConflict,
    NotFound,
    PayloadError,
    Saga,
    StoreError,
    UsageError,
    start_in_transaction,
    step,
)
from amends.core.events import Started, decode_frame
from amends.errors import StoreUnavailable, StoreUnusable
from tests.runtime.stage import Ground, scene, until


@dataclass
class Order:
    number: int = 1


@step
async def note(order: Order) -> int:
    return order.number


orders = Saga("orders", note, deadline="1h")
elsewhere = Saga("orders", note, note.named("again"))


@pytest.fixture
def path(file_ground: Ground) -> Path:
    """A file that an orchestrator has used once, with a table of the application's in it."""

    async def make() -> None:
        async with file_ground.orchestrator(orders, worker=False):
            pass

    asyncio.run(make())
    with closing(sqlite3.connect(file_ground.path, isolation_level=None)) as db:
        db.execute("CREATE TABLE orders (number INTEGER)")
    return file_ground.path


@contextlib.contextmanager
def connected(path: Path, **how: object) -> Iterator[sqlite3.Connection]:
    how.setdefault("isolation_level", None)
    with closing(sqlite3.connect(path, **how)) as db:
        yield db


def rows(path: Path, table: str) -> int:
    with connected(path) as db:
        return db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


TABLES = ("amends_journal", "amends_open", "amends_keys", "orders")


@scene
async def test_the_saga_exists_once_the_caller_has_committed_and_not_before(file_ground, path):
    async with file_ground.orchestrator(orders) as orchestrator:
        with connected(path) as db:
            db.execute("BEGIN IMMEDIATE")
            db.execute("INSERT INTO orders VALUES (7)")
            handle = await orchestrator.start(orders, Order(7), key="7", transaction=db)
            with pytest.raises(NotFound):
                await handle.status()
            db.execute("COMMIT")
        assert await handle.result() == 7


@scene
async def test_a_start_that_was_rolled_back_leaves_nothing_and_its_key_is_free(file_ground, path):
    async with file_ground.orchestrator(orders) as orchestrator:
        with connected(path) as db:
            db.execute("BEGIN IMMEDIATE")
            db.execute("INSERT INTO orders VALUES (7)")
            gone = await orchestrator.start(orders, Order(7), key="7", transaction=db)
            db.execute("ROLLBACK")
        assert [rows(path, table) for table in TABLES] == [0, 0, 0, 0]
        handle = await orchestrator.start(orders, Order(8), key="7")  # another input: the key was never used
        assert handle.id != gone.id
        assert await handle.result() == 8


@scene
async def test_another_process_starts_without_an_orchestrator_and_the_leader_takes_it_up(file_ground, path):
    script = f"""
import sqlite3
from amends import start_in_transaction
from tests.runtime.test_start_in_transaction import Order, orders
with sqlite3.connect({str(path)!r}) as db:
    db.execute("INSERT INTO orders VALUES (3)")  # sqlite3's default mode begins the transaction here
    print(start_in_transaction(db, orders, Order(3), key="3"))
"""
    async with file_ground.orchestrator(orders) as orchestrator:
        run = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", script], capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr
        assert await orchestrator.handle(run.stdout.strip()).result() == 3


@scene
async def test_what_is_written_is_what_an_ordinary_start_writes(file_ground, path):
    def written(saga_id: str) -> tuple[list[tuple], list[tuple], list[tuple]]:
        with connected(path) as db:
            journal = db.execute("SELECT seq, body FROM amends_journal WHERE saga_id = ?", (saga_id,)).fetchall()
            opened = db.execute("SELECT due FROM amends_open WHERE saga_id = ?", (saga_id,)).fetchall()
            keys = db.execute("SELECT name, input_hash FROM amends_keys WHERE saga_id = ?", (saga_id,)).fetchall()
        return [(seq, *_as_if_at_once(body)) for seq, body in journal], opened, keys

    def _as_if_at_once(body: bytes) -> tuple:
        version, at, [[tag, saga_id, name, number, fingerprint, payload, deadline, *rest]] = json.loads(body)
        assert saga_id and deadline - at == 3_600_000
        return version, tag, name, number, fingerprint, payload, rest

    async with file_ground.orchestrator(orders, worker=False) as orchestrator:
        labels = {"customer": "ann"}
        plain = await orchestrator.start(orders, Order(1), key="plain", correlation=labels)
        with connected(path) as db:
            db.execute("BEGIN IMMEDIATE")
            joined = await orchestrator.start(orders, Order(1), key="joined", correlation=labels, transaction=db)
            alone = start_in_transaction(db, orders, Order(1), key="alone!", correlation=labels)
            db.execute("COMMIT")
        expected = json.loads(json.dumps(written(plain.id)).replace("plain", "KEY"))
        assert json.loads(json.dumps(written(joined.id)).replace("joined", "KEY")) == expected
        assert json.loads(json.dumps(written(alone)).replace("alone!", "KEY")) == expected
        assert expected[0][0][0] == 1 and expected[1] == [[0]]


def test_a_key_that_was_used_with_the_same_input_gives_the_saga_that_has_it(path):
    with connected(path) as db:
        db.execute("BEGIN")
        first = start_in_transaction(db, orders, Order(1), key="k")
        assert start_in_transaction(db, orders, Order(1), key="k") == first  # in the same transaction
        db.execute("COMMIT")
        db.execute("BEGIN")
        assert start_in_transaction(db, orders, Order(1), key="k") == first
        db.execute("COMMIT")
    assert rows(path, "amends_journal") == rows(path, "amends_open") == 1


def test_a_key_that_was_used_with_another_input_is_refused_and_the_transaction_goes_on(path):
    with connected(path) as db:
        db.execute("BEGIN")
        start_in_transaction(db, orders, Order(1), key="k")
        db.execute("COMMIT")
        db.execute("BEGIN")
        db.execute("INSERT INTO orders VALUES (2)")
        with pytest.raises(KeyConflict, match="another input"):
            start_in_transaction(db, orders, Order(2), key="k")
        db.execute("INSERT INTO orders VALUES (3)")
        db.execute("COMMIT")
    assert (rows(path, "orders"), rows(path, "amends_journal"), rows(path, "amends_open")) == (2, 1, 1)


def test_the_same_input_is_what_todays_type_makes_of_both_and_not_what_was_hashed_once(path):
    with connected(path) as db:
        db.execute("BEGIN")
        first = start_in_transaction(db, orders, Order(1), key="k")
        db.execute("UPDATE amends_keys SET input_hash = 'of an older type'")
        assert start_in_transaction(db, orders, Order(1), key="k") == first
        db.execute("ROLLBACK")


def test_the_key_of_a_pruned_saga_still_compares_its_input(path):
    with connected(path) as db:
        db.execute("BEGIN")
        first = start_in_transaction(db, orders, Order(1), key="k")
        db.execute("INSERT INTO amends_meta VALUES ('pruning', 1)")
        db.execute("DELETE FROM amends_journal")
        db.execute("DELETE FROM amends_meta WHERE name = 'pruning'")
        assert start_in_transaction(db, orders, Order(1), key="k") == first
        with pytest.raises(KeyConflict):
            start_in_transaction(db, orders, Order(2), key="k")
        db.execute("COMMIT")


def test_a_connection_without_a_transaction_is_refused_and_told_how_to_begin_one(path):
    for how in ({}, {"isolation_level": ""}):
        with connected(path, **how) as db, pytest.raises(UsageError, match="BEGIN IMMEDIATE") as refused:
            start_in_transaction(db, orders, Order(1))
        assert refused.value.code == "AM2231"
    assert rows(path, "amends_journal") == 0


@pytest.mark.parametrize("isolation_level", [None, "", "DEFERRED", "IMMEDIATE", "EXCLUSIVE"])
def test_every_way_of_beginning_transactions_serves(path, isolation_level):
    with connected(path, isolation_level=isolation_level) as db:
        if isolation_level is None:
            db.execute("BEGIN")
        db.execute("INSERT INTO orders VALUES (1)")
        start_in_transaction(db, orders, Order(1))
        assert db.in_transaction
        db.rollback()
        assert rows(path, "amends_journal") == 0
        if isolation_level is None:
            db.execute("BEGIN")
        db.execute("INSERT INTO orders VALUES (1)")
        start_in_transaction(db, orders, Order(1))
        db.commit()
    assert rows(path, "amends_journal") == rows(path, "orders") == 1


if sys.version_info >= (3, 12):  # before it, sqlite3 has no such attribute

    @pytest.mark.parametrize("autocommit", [True, False])
    def test_the_autocommit_attribute_serves(path, autocommit):
        with closing(sqlite3.connect(path, autocommit=autocommit)) as db:
            if autocommit:
                db.execute("BEGIN")
            start_in_transaction(db, orders, Order(1))
            if autocommit:
                db.execute("COMMIT")
            else:
                db.commit()
        assert rows(path, "amends_journal") == 1


def test_factories_converters_and_an_odd_cursor_of_the_caller_disturb_nothing(path):
    class Stubborn(sqlite3.Connection):
        def cursor(self, *_: object) -> sqlite3.Cursor:
            raise AssertionError("the caller's own cursors are not for us")

    for declared in ("TEXT", "BLOB", "INTEGER"):
        sqlite3.register_converter(declared, lambda _: "converted")
    try:
        how = {"detect_types": sqlite3.PARSE_DECLTYPES | sqlite3.PARSE_COLNAMES, "factory": Stubborn}
        with connected(path, **how) as db:
            db.row_factory = lambda cursor, row: {"n": len(row)}
            db.text_factory = bytes
            db.isolation_level = None
            sqlite3.Connection.cursor(db).execute("BEGIN")
            first = start_in_transaction(db, orders, Order(1), key="k")
            assert start_in_transaction(db, orders, Order(1), key="k") == first
            with pytest.raises(KeyConflict):
                start_in_transaction(db, orders, Order(2), key="k")
            db.commit()
            assert db.text_factory is bytes
    finally:
        sqlite3.converters.clear()
    with connected(path) as db:
        (body,) = db.execute("SELECT body FROM amends_journal").fetchone()
    assert isinstance(decode_frame(body).events[0], Started)


def test_a_connection_of_another_thread_is_refused_by_name(path):
    found: list[BaseException] = []
    with connected(path) as db:
        db.execute("BEGIN")

        def use() -> None:
            try:
                start_in_transaction(db, orders, Order(1))
            except UsageError as error:
                found.append(error)

        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        assert found[0].code == "AM2232" and "thread" in str(found[0])
        start_in_transaction(db, orders, Order(1))  # and its own thread goes on
        db.execute("COMMIT")


@scene
async def test_a_connection_on_another_file_or_in_memory_is_refused(file_ground, path, tmp_path):
    async with file_ground.orchestrator(orders, worker=False) as orchestrator:
        with connected(tmp_path / "other.db") as other, connected(":memory:") as memory:
            other.execute("ATTACH ? AS store", (str(path),))  # a commit over two files is not one commit
            for db in (other, memory):
                db.execute("BEGIN")
                with pytest.raises(UsageError, match="cannot span"):
                    await orchestrator.start(orders, Order(1), transaction=db)
                assert db.in_transaction
        hard_link = tmp_path / "the-same.db"
        hard_link.hardlink_to(path)
        with connected(hard_link) as db:  # another name of the same file
            db.execute("BEGIN")
            await orchestrator.start(orders, Order(1), transaction=db)
            db.execute("ROLLBACK")


@scene
async def test_a_store_in_memory_has_no_transaction_to_join():
    async with Ground(None).orchestrator(orders) as orchestrator:
        with connected(":memory:") as db, pytest.raises(UsageError, match="no file"):
            db.execute("BEGIN")
            await orchestrator.start(orders, Order(1), transaction=db)


def test_what_is_no_connection_is_refused(path):
    with pytest.raises(UsageError, match="AM2230"):
        start_in_transaction("sqlite:///orders.db", orders, Order(1))
    with connected(path) as db, pytest.raises(UsageError, match="give the Saga"):
        start_in_transaction(db, "orders", Order(1))


def test_a_file_without_the_tables_says_how_to_get_them(tmp_path):
    with connected(tmp_path / "empty.db") as db:
        db.execute("BEGIN")
        with pytest.raises(StoreUnusable, match="open an Orchestrator"):
            start_in_transaction(db, orders, Order(1))
        assert db.in_transaction


def test_a_file_of_another_release_is_refused(path):
    with connected(path) as db:
        db.execute("BEGIN")
        db.execute("INSERT INTO amends_migrations VALUES (9000, 'post', 'later')")
        with pytest.raises(StoreUnusable, match="newer release"):
            start_in_transaction(db, orders, Order(1))
        db.execute("DELETE FROM amends_migrations")
        with pytest.raises(StoreUnusable, match="older release"):
            start_in_transaction(db, orders, Order(1))
        db.execute("COMMIT")
    assert rows(path, "amends_journal") == 0


def test_a_version_with_another_structure_is_refused_and_an_unknown_one_is_registered(path):
    with connected(path) as db:
        db.execute("BEGIN")
        with pytest.raises(Conflict, match="AM4103"):
            start_in_transaction(db, elsewhere, Order(1))
        start_in_transaction(db, Saga("orders", note, note.named("again"), version=2), Order(1))
        db.execute("COMMIT")
        assert db.execute("SELECT version FROM amends_definitions ORDER BY version").fetchall() == [(1,), (2,)]
    assert rows(path, "amends_journal") == 1


def test_a_transaction_that_began_to_read_too_early_is_told_to_begin_immediate(path):
    with connected(path) as db, connected(path) as other:
        db.execute("BEGIN")
        db.execute("SELECT * FROM orders").fetchall()
        other.execute("INSERT INTO orders VALUES (1)")
        with pytest.raises(StoreUnavailable, match="BEGIN IMMEDIATE"):
            start_in_transaction(db, orders, Order(1))
        db.execute("ROLLBACK")


def test_a_transaction_that_has_not_read_yet_waits_for_another_writer(path):
    with connected(path) as db, connected(path, check_same_thread=False) as other:
        other.execute("BEGIN IMMEDIATE")
        db.execute("BEGIN")
        ends = threading.Timer(0.1, lambda: other.execute("COMMIT"))
        ends.start()
        start_in_transaction(db, orders, Order(1))
        ends.join()
        db.execute("COMMIT")
    assert rows(path, "amends_journal") == 1


def test_input_key_and_correlation_are_checked_before_anything_is_written(path):
    with connected(path) as db:
        db.execute("BEGIN")
        with pytest.raises(PayloadError):
            start_in_transaction(db, orders, "no order")
        with pytest.raises(UsageError, match="AM2014"):
            start_in_transaction(db, orders, Order(1), key="")
        with pytest.raises(UsageError, match="AM2016"):
            start_in_transaction(db, orders, Order(1), correlation={"": "x"})
        assert db.total_changes == 0


def test_a_connection_that_may_not_write_is_refused_and_stays_usable(path):
    with connected(path) as db:
        db.execute("PRAGMA query_only = ON")
        db.execute("BEGIN")
        with pytest.raises(StoreError, match="AM6025"):
            start_in_transaction(db, orders, Order(1))
        assert db.in_transaction


def test_sqlalchemy_connections_and_sessions_are_taken_for_what_they_wrap(path):
    import sqlalchemy
    from sqlalchemy.orm import Session

    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("INSERT INTO orders VALUES (1)"))
        start_in_transaction(connection, orders, Order(1))
    with Session(engine) as session:
        session.execute(sqlalchemy.text("INSERT INTO orders VALUES (2)"))
        start_in_transaction(session.connection(), orders, Order(2))
        session.rollback()
        with pytest.raises(UsageError, match="session.connection()"):
            start_in_transaction(session, orders, Order(2))
    engine.dispose()
    assert (rows(path, "orders"), rows(path, "amends_journal")) == (1, 1)


@scene
async def test_look_takes_a_committed_start_up_in_whatever_process_leads(file_ground, path, monkeypatch):
    monkeypatch.setattr("amends.runtime.intake._SOON_S", 3_600)  # nobody looks without being told
    monkeypatch.setattr("amends.stores.sqlite.joining.ring_once", lambda *_: None)
    async with (
        file_ground.orchestrator(orders, poll="1h") as orchestrator,
        file_ground.orchestrator(orders, worker=False) as other,
    ):
        await until(orchestrator._leader._intake.recovered.done)
        await asyncio.sleep(0.05)
        with connected(path) as db:
            db.execute("BEGIN IMMEDIATE")
            saga_id = start_in_transaction(db, orders, Order(1))
            db.execute("COMMIT")
        other.look()
        await asyncio.wait_for(orchestrator.handle(saga_id).result(), 10)


@scene
async def test_a_start_in_a_transaction_makes_who_leads_look_more_often(file_ground, path):
    async with file_ground.orchestrator(orders, poll="1h") as orchestrator:
        await asyncio.sleep(0.5)  # by now it waits longer between two looks
        with connected(path) as db:
            db.execute("BEGIN IMMEDIATE")
            saga_id = start_in_transaction(db, orders, Order(1))
            await asyncio.sleep(0.05)
            db.execute("COMMIT")
        await asyncio.wait_for(orchestrator.handle(saga_id).result(), 10)
