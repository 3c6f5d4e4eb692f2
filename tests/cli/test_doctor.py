"""doctor: each check, made to fail; what it says then, and the exit code."""

import asyncio
import json
import os
import shutil
import sqlite3
import sys
import time
from collections import namedtuple
from contextlib import closing

import pytest

from amends.cli import machine_checks, store_checks
from amends.core import events as ev
from amends.stores.base import Batch, FrameRow
from amends.stores.owner import this_process
from amends.stores.sqlite import SQLiteStore, schema
from amends.stores.sqlite.sql import Migration, migrations
from tests.cli.journals import completed, requires_manual, write


@pytest.fixture(autouse=True)
def sound_machine(tmp_path_factory, monkeypatch):
    """A disk as it should be: where these tests run it may be a container's, or full."""
    mounts = tmp_path_factory.mktemp("machine") / "mountinfo"
    mounts.write_text("22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n")
    monkeypatch.setattr(machine_checks, "MOUNTS", mounts)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 1 << 40))


@pytest.fixture
def store(place):
    write(place / "amends.db", completed())
    with closing(sqlite3.connect(place / "amends.db", isolation_level=None)) as db:
        db.execute("DELETE FROM amends_open")
    return place / "amends.db"


@pytest.fixture
def finding(call):
    """The findings of one check, and the exit code."""

    def found(check, *words):
        said = call("doctor", "-o", "json", *words)
        return [each for each in json.loads(said.out) if each["check"] == check], said.code

    return found


def run_sql(path, *statements):
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


def now_ms():
    return time.time_ns() // 1_000_000


def on_the_store(path, body):
    async def main():
        store = SQLiteStore(path)
        await store.open()
        try:
            await body(store)
        finally:
            store.close()

    asyncio.run(main())


def test_a_store_that_is_well_is_said_to_be_well(store, call):
    said = call("doctor")
    assert said.code == 0
    assert said.err == "all is well\n"
    assert "✓ SQLite finds the file whole" in said.out
    assert "· no worker leads this store" in said.out
    assert "    start one: `amends worker --app module:object`" in said.out
    records = json.loads(call("doctor", "-o", "json").out)
    assert {each["level"] for each in records} <= {"ok", "note"}
    assert {check.__name__ for check in (*machine_checks.MACHINE_CHECKS, *store_checks.STORE_CHECKS)} == {
        each["check"] for each in records
    }


def test_every_check_has_a_test_of_its_own():
    checks = {check.__name__ for check in (*machine_checks.MACHINE_CHECKS, *store_checks.STORE_CHECKS)}
    tested = {
        name.removeprefix("test_check_").partition("__")[0] for name in globals() if name.startswith("test_check_")
    }
    assert tested == checks


def test_a_store_that_is_not_there_is_no_fault_and_is_not_made(place, call):
    said = call("doctor")
    assert said.code == 0
    assert "there is no store amends.db yet" in said.out
    assert not (place / "amends.db").exists()


def test_a_file_that_is_no_database_cannot_be_used(place, call):
    (place / "amends.db").write_text("Dear diary, " * 1_000)
    said = call("doctor")
    assert said.code == 5
    assert "not an SQLite database" in said.out


def test_a_check_that_fails_itself_is_a_finding(store, finding, monkeypatch):
    def broken(_):
        raise OSError("the disk is gone")

    monkeypatch.setattr(shutil, "disk_usage", lambda _: pytest.fail("not reached"))
    monkeypatch.setattr(machine_checks, "file_system_of", broken)
    monkeypatch.setattr("amends.cli.doctor.MACHINE_CHECKS", (machine_checks.file_system,))
    ((found,), code) = finding("file_system")
    assert (found["level"], code) == ("error", 1)
    assert "the disk is gone" in found["what"]


# --- the machine and the file --------------------------------------------------------------------


def test_check_python__that_is_too_old(store, finding, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 9, "final", 0))
    ((found,), code) = finding("python")
    assert (found["level"], code) == ("error", 5)
    assert found["what"] == "Python 3.10.9 is too old"


def test_check_sqlite__that_cannot_do_what_is_needed(store, finding, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "sqlite_version_info", (3, 31, 1))
        ((found,), code) = finding("sqlite")
        assert (found["level"], code, "older than 3.38.0" in found["what"]) == ("error", 5, True)
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "threadsafety", 0)
        ((found,), code) = finding("sqlite")
        assert (code, "without threads" in found["what"]) == (5, True)
    monkeypatch.setattr(machine_checks, "_has_json", lambda: False)
    ((found,), code) = finding("sqlite")
    assert (code, "without JSON" in found["what"]) == (5, True)


def test_check_extras__that_are_not_installed(store, finding, monkeypatch):
    find = machine_checks.find_spec
    monkeypatch.setattr(machine_checks, "find_spec", lambda name: None if name == "uvloop" else find(name))
    ((found,), code) = finding("extras")
    assert (found["level"], code) == ("note", 0)
    assert "not installed: uvloop (a faster event loop)" in found["what"]


@pytest.mark.parametrize(
    ("kind", "level", "code", "said"),
    [
        ("nfs4", "error", 1, "of a network"),
        ("fuse.sshfs", "error", 1, "of a network"),
        ("tmpfs", "warning", 1, "which is memory"),
        ("overlay", "warning", 1, "a container"),
        ("xfs", "ok", 0, "is on xfs"),
    ],
)
def test_check_file_system__on_which_a_store_should_not_be(
    store, finding, monkeypatch, tmp_path, kind, level, code, said
):
    mounts = tmp_path / "mountinfo"
    place = str(store.parent.resolve()).replace(" ", "\\040")
    mounts.write_text(
        "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
        f"99 22 0:50 / {place} rw shared:9 - {kind} somewhere rw\n"
        f"98 22 0:51 / {place}x rw - nfs elsewhere rw\n"
    )
    monkeypatch.setattr(machine_checks, "MOUNTS", mounts)
    ((found,), ended) = finding("file_system")
    assert (found["level"], ended) == (level, code)
    assert said in found["what"]


@pytest.mark.parametrize(("free", "level"), [(10, "error"), (500, "warning"), (5_000, "ok")])
def test_check_free_space__that_runs_out(store, finding, monkeypatch, free, level):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, free * 1_048_576))
    ((found,), code) = finding("free_space")
    assert (found["level"], code) == (level, 0 if level == "ok" else 1)


def test_check_permission__that_is_missing(store, finding, monkeypatch):
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode, **more: path != store.name and real(path, mode, **more))
    monkeypatch.setattr(machine_checks.os, "access", lambda path, mode: str(path) != "amends.db")
    ((found,), code) = finding("permission")
    assert (found["level"], code) == ("error", 5)
    assert "amends.db may not be written" in found["what"]
    monkeypatch.setattr(machine_checks.os, "access", lambda path, mode: str(path) == "amends.db")
    ((found,), code) = finding("permission")
    assert (found["what"], code) == (f"{store.parent.resolve()} may not be written by this user", 5)
    ((found,), code) = finding("permission", "--store", "sqlite:///no/such.db")
    assert (code, "does not exist" in found["what"]) == (5, True)


def test_check_integrity__of_a_damaged_file(store, finding):
    run_sql(store, "PRAGMA wal_checkpoint(TRUNCATE)")
    with closing(sqlite3.connect(store)) as db:
        page = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'amends_journal'").fetchone()[0]
    with store.open("r+b") as file:
        file.seek((page - 1) * 4096 + 8)
        file.write(b"\xff" * 60)
    ((found,), code) = finding("integrity")
    assert (found["level"], code) == ("error", 5)
    assert "the file is damaged: " in found["what"]


def test_check_journal_mode__that_is_not_wal(store, finding):
    run_sql(store, "PRAGMA journal_mode = DELETE")
    ((found,), code) = finding("journal_mode")
    assert (found["level"], code) == ("warning", 1)
    assert "delete mode" in found["what"]


def test_check_schema__that_is_older_newer_or_waits_for_a_person(store, finding, monkeypatch):
    ours = migrations()
    add = Migration(9001, "pre", "add", "CREATE TABLE amends_more (x);\n")
    drop = Migration(9002, "post", "drop", "DROP TABLE amends_more;\n")
    with monkeypatch.context() as patch:
        patch.setattr(schema, "migrations", lambda: (*ours, add, drop))
        ((found,), code) = finding("schema")
        assert (found["level"], code) == ("warning", 1)
        assert "9001_pre_add, 9002_post_drop" in found["what"]
        run_sql(store, "INSERT INTO amends_migrations VALUES (9001, 'pre', 'add')", "CREATE TABLE amends_more (x)")
        ((found,), code) = finding("schema")
        assert (found["level"], code) == ("note", 0)
    run_sql(store, "INSERT INTO amends_migrations VALUES (9003, 'post', 'from_the_future')")
    ((found,), code) = finding("schema")
    assert (found["level"], code) == ("error", 5)
    assert "newer release" in found["what"]


def test_check_wal_size__that_never_shrinks(store, finding, monkeypatch):
    monkeypatch.setattr(machine_checks, "WAL_WARNING", 4_000)
    with closing(sqlite3.connect(store, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM amends_journal").fetchone()
        run_sql(store, "CREATE TABLE ballast AS SELECT zeroblob(40000) AS x")
        ((found,), code) = finding("wal_size")
    assert (found["level"], code) == ("warning", 1)
    assert "keeps a transaction of reading open" in found["what"]


# --- the store -----------------------------------------------------------------------------------


def test_check_synchronous__that_is_not_full(store, finding, monkeypatch):
    async def normal(self):
        return await self._write(
            lambda db: (db.execute("PRAGMA synchronous = NORMAL"), db.execute("PRAGMA synchronous").fetchone()[0])[1]
        )

    monkeypatch.setattr(SQLiteStore, "synchronous", normal)
    ((found,), code) = finding("synchronous")
    assert (found["level"], code) == ("error", 1)
    assert "synchronous=1" in found["what"]


def test_check_doorbell__that_cannot_be_hung(store, finding, monkeypatch):
    (store.parent / "amends.db-amends").write_text("in the way")
    ((found,), code) = finding("doorbell")
    assert (found["level"], code) == ("warning", 1)
    assert "several times a second" in found["what"]


def test_check_leader__that_leads_died_hangs_or_is_not_there(store, finding):
    me = this_process()

    def held(started, expires, host=me.host):
        run_sql(
            store,
            f"UPDATE amends_lease SET owner = 'x', host = '{host}', boot_id = '{me.boot_id}', pid = {me.pid}, "
            f"process_started = {started}, expires = {expires}",
        )
        ((found,), code) = finding("leader")
        return found["level"], code, found["what"]

    level, code, what = held(me.process_started, now_ms() + 60_000)
    assert (level, code, f"process {me.pid} on " in what) == ("ok", 0, True)
    level, code, what = held(me.process_started - 1, now_ms() + 60_000)
    assert (level, code, "has died" in what) == ("warning", 1, True)
    level, code, what = held(me.process_started, now_ms() - 90_000)
    assert (level, code, "ran out 90 s ago" in what) == ("warning", 1, True)
    level, code, what = held(1, now_ms() + 60_000, host="elsewhere/pid:[1]")
    assert (level, what) == ("ok", f"process {me.pid} on elsewhere leads this store")
    run_sql(store, "UPDATE amends_lease SET owner = '', expires = 0")
    assert finding("leader")[0][0]["level"] == "note"


def test_check_clock__that_something_was_written_by_ahead_of_this_one(store, finding):
    run_sql(store, f"UPDATE amends_lease SET owner = '', expires = {now_ms() + 48 * 3_600_000}")
    ((found,), code) = finding("clock")
    assert (found["level"], code, "runs for another 48 h" in found["what"]) == ("warning", 1, True)
    run_sql(store, "UPDATE amends_lease SET expires = 0")

    async def write_ahead(opened):
        start = ev.Started("ahead", "book_trip", 1, "f", ev.NOTHING, 0, 0, "", {})
        await opened.start(FrameRow("ahead", 1, ev.encode_frame(now_ms() + 3_600_000, [start])), None)

    on_the_store(store, write_ahead)
    ((found,), code) = finding("clock")
    assert (found["level"], code, "in the future" in found["what"]) == ("warning", 1, True)


def test_check_inbox__in_which_commands_wait(store, finding):
    async def post(opened):
        await opened.post("01COMPLETED", b'{"verb":"pause"}', now=now_ms())

    on_the_store(store, post)
    ((found,), code) = finding("inbox")
    assert (found["level"], code, "no worker is there" in found["what"]) == ("warning", 1, True)
    me = this_process()
    run_sql(
        store,
        f"UPDATE amends_lease SET owner = 'x', host = 'elsewhere', pid = {me.pid}, expires = {now_ms() + 60_000}",
    )
    ((found,), code) = finding("inbox")
    assert (found["level"], found["what"]) == ("ok", "1 command is being applied")
    run_sql(store, f"UPDATE amends_inbox SET posted = {now_ms() - 300_000}")
    ((found,), code) = finding("inbox")
    assert (found["level"], code, "though a worker leads" in found["what"]) == ("warning", 1, True)


def test_check_people__who_are_needed(place, finding):
    write(place / "amends.db", completed(), requires_manual())
    assert finding("people")[0][0]["what"] == "1 saga: a person is needed"
    run_sql(
        place / "amends.db",
        "UPDATE amends_summaries SET hold = 'poison', anomalous = 1 WHERE saga_id = '01MANUAL'",
        "UPDATE amends_summaries SET followup_failed = 1 WHERE saga_id = '01COMPLETED'",
    )
    (found, code) = finding("people")
    assert code == 1
    said = {each["what"].partition(" ")[2]: each["level"] for each in found}
    assert list(said.values()) == ["error", "error", "warning", "warning"]
    assert "`amends list --filter 'hold:poison'`" in found[1]["mend"]
    run_sql(place / "amends.db", "UPDATE amends_summaries SET hold = 'version' WHERE saga_id = '01MANUAL'")
    assert "no worker has the definition" in finding("people")[0][1]["what"]


def test_check_definitions__that_the_app_lacks_or_has_otherwise(place, finding):
    write(place / "amends.db", requires_manual())
    assert finding("definitions")[0][0]["level"] == "note"
    ((found,), code) = finding("definitions", "--app", "cli_app:sagas")
    assert (found["level"], code) == ("error", 1)
    assert found["what"] == "1 saga(s) are under way with book_trip version 1, which the app lacks"
    ((found,), _) = finding("definitions", "--app", "tests.cli.journals:book_trip")
    assert found["level"] == "ok"
    run_sql(place / "amends.db", "UPDATE amends_definitions SET fingerprint = 'another'")
    ((found,), code) = finding("definitions", "--app", "tests.cli.journals:book_trip")
    assert (found["level"], code, "another structure" in found["what"]) == ("error", 1, True)
    ((found,), code) = finding("app", "--app", "no.such:thing")
    assert (found["level"], code) == ("error", 1)


def test_check_projection__that_lags(store, finding, monkeypatch):
    monkeypatch.setattr(store_checks, "LAG_FRAMES", 2)

    async def begin_more(opened):
        lease = await opened.acquire(this_process(), ttl_ms=10_000, now=now_ms())
        start = ev.Started("more", "book_trip", 1, "f", ev.NOTHING, 0, 0, "", {})
        frames = [
            FrameRow("more", seq, ev.encode_frame(1, [start] if seq == 1 else [ev.Began()])) for seq in range(1, 6)
        ]
        await opened.commit(lease, Batch(1, frames=frames))
        await opened.release(lease)

    on_the_store(store, begin_more)
    ((found,), code) = finding("projection")
    assert (found["level"], code, "frames behind" in found["what"]) == ("warning", 1, True)
    assert finding("projection")[0][0]["level"] == "ok"  # the look has brought them up
