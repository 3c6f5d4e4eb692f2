"""Database files that cannot serve: each gives a clear error with its own code, and loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from amends.errors import StoreFailed, StoreUnavailable, StoreUnusable
from amends.stores.base import Batch, FrameRow
from amends.stores.sqlite import SQLiteStore
from amends.testing.store_suite import NOW, leading, refused


def opening(path, kind=StoreUnusable, busy_ms=20):
    """The error of opening the file."""

    async def main():
        store = SQLiteStore(path, busy_ms=busy_ms)
        error = await refused(kind, store.open())
        store.close()
        return error

    return asyncio.run(main())


def made(path):
    """A store's file with one saga in it, closed."""

    async def main():
        store = SQLiteStore(path)
        await store.open()
        await store.start(FrameRow("a", 1, b"in"), None)
        store.close()

    asyncio.run(main())
    return path


def journal(path, *saga_ids):
    """What the file has of these sagas."""

    async def main():
        store = SQLiteStore(path)
        await store.open()
        found = await store.frames(list(saga_ids))
        store.close()
        return found

    return asyncio.run(main())


def sql(path, statement):
    db = sqlite3.connect(path)
    db.execute(statement)
    db.commit()
    db.close()


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "notes.db"
    path.write_bytes(b"Dear diary, " * 1_000)
    error = opening(path)
    assert error.code == "AM6031"
    assert str(path) in str(error)
    assert "not an SQLite database" in str(error)
    assert path.read_bytes() == b"Dear diary, " * 1_000
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_is_refused(tmp_path):
    error = opening(tmp_path)
    assert error.code == "AM6033"
    assert "is a directory" in str(error)


def test_a_missing_directory_is_named_and_not_made(tmp_path):
    error = opening(tmp_path / "no" / "sagas.db")
    assert error.code == "AM6034"
    assert str(tmp_path / "no") in str(error)
    assert list(tmp_path.iterdir()) == []


def test_a_newer_releases_file_is_refused_and_left_as_it_is(tmp_path):
    path = made(tmp_path / "sagas.db")
    sql(path, "INSERT INTO amends_migrations VALUES (9000, 'post', 'drop_old')")
    before = path.read_bytes()
    error = opening(path)
    assert error.code == "AM6032"
    assert "9000_post_drop_old" in str(error)
    assert path.read_bytes() == before


def test_the_next_releases_pre_migration_is_no_hindrance(tmp_path):
    path = made(tmp_path / "sagas.db")
    sql(path, "INSERT INTO amends_migrations VALUES (9000, 'pre', 'add_new')")
    assert list(journal(path, "a")) == ["a"]


def test_a_migration_that_fails_leaves_no_half_made_schema(tmp_path):
    path = tmp_path / "sagas.db"
    sql(path, "CREATE TABLE amends_inbox (of_somebody_else)")
    error = opening(path)
    assert error.code == "AM6037"
    assert "amends_inbox" in str(error)
    db = sqlite3.connect(path)
    assert [name for (name,) in db.execute("SELECT name FROM sqlite_schema")] == ["amends_inbox"]
    db.close()


def test_a_damaged_file_is_told_from_a_foreign_one(tmp_path):
    path = made(tmp_path / "sagas.db")
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 300)
    error = opening(path)
    assert error.code == "AM6036"
    assert "damaged" in str(error)


def test_a_file_that_another_program_locks_is_unavailable_after_a_bounded_wait(tmp_path):
    path = tmp_path / "sagas.db"
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("CREATE TABLE other (x)")
    db.execute("BEGIN EXCLUSIVE")
    error = opening(path, StoreUnavailable)
    assert error.code == "AM6011"
    assert "locked" in str(error)
    db.execute("ROLLBACK")
    db.close()
    assert made(path) == path


@contextlib.contextmanager
def as_an_ordinary_user(folder):
    """Root may write anything, so root becomes nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    closed = {part: part.stat().st_mode for part in folder.parents if not part.stat().st_mode & 0o001}
    for part, mode in closed.items():
        part.chmod(mode | 0o011)
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)
        for part, mode in closed.items():
            part.chmod(mode)


def test_a_file_without_write_permission_is_refused_and_left_as_it_is(tmp_path):
    path = made(tmp_path / "sagas.db")
    before = path.read_bytes()
    path.chmod(0o444)
    tmp_path.chmod(0o777)
    with as_an_ordinary_user(tmp_path):
        error = opening(path)
    assert error.code == "AM6035"
    assert "permission" in str(error)
    assert path.read_bytes() == before


def test_a_file_in_a_directory_that_may_not_be_entered_is_refused(tmp_path):
    tmp_path.chmod(0o700)
    if os.geteuid() != 0:
        pytest.skip("LOUD SKIP: needs root, to make a directory that is closed to us")
    with as_an_ordinary_user(tmp_path):
        assert opening(tmp_path / "sagas.db").code == "AM6035"


def test_a_directory_without_write_permission_is_refused(tmp_path):
    path = made(tmp_path / "sagas.db")
    path.chmod(0o666)
    tmp_path.chmod(0o555)
    try:
        with as_an_ordinary_user(tmp_path):
            error = opening(path)
    finally:
        tmp_path.chmod(0o755)
    assert error.code == "AM6035"


# -- failed writes: nothing more is acknowledged, and a restart has all that was ---------------------


async def write_until_it_fails(store):
    """The numbers of the acknowledged batches, and the error that ended it."""
    lease = await leading(store)
    acknowledged = []
    for number in range(1, 10_000):
        try:
            await store.commit(lease, Batch(number, frames=[FrameRow(f"s{number}", 1, b"x" * 20_000)]))
        except StoreFailed as error:
            return acknowledged, lease, error
        acknowledged.append(number)
    raise AssertionError("no write failed")


async def refuses_everything(store, lease, number, code):
    assert (await refused(StoreFailed, store.commit(lease, Batch(number)))).code == code
    assert (await refused(StoreFailed, store.renew(lease, ttl_ms=1, now=NOW))).code == code
    again = await refused(StoreFailed, store.start(FrameRow("later", 1, b""), None))
    assert "takes no more writes" in str(again)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder], check=False).returncode != 0
    ):
        pytest.skip("LOUD SKIP: a full disk needs root, to mount a small tmpfs")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.root
def test_a_full_disk_stops_acknowledging_and_a_restart_has_every_acknowledged_batch(small_disk, tmp_path):
    async def main():
        store = SQLiteStore(small_disk / "sagas.db")
        await store.open()
        acknowledged, lease, error = await write_until_it_fails(store)
        assert error.code == "AM6021"
        assert "full" in str(error)
        (small_disk / "sagas.db-shm").stat()
        await refuses_everything(store, lease, len(acknowledged) + 2, "AM6021")
        store.close()
        return acknowledged

    acknowledged = asyncio.run(main())
    assert len(acknowledged) > 10
    shutil.copytree(small_disk, tmp_path / "bigger")
    found = journal(tmp_path / "bigger" / "sagas.db", *(f"s{number}" for number in acknowledged), "later")
    assert sorted(found) == sorted(f"s{number}" for number in acknowledged)


@pytest.mark.processes
def test_a_file_that_may_not_grow_stops_acknowledging_and_loses_nothing(tmp_path):
    script = """
    import asyncio, json, resource, signal, sys
    from amends.stores.sqlite import SQLiteStore
    from tests.stores.test_sqlite_files import refuses_everything, write_until_it_fails
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    async def main():
        store = SQLiteStore(sys.argv[1])
        await store.open()
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        acknowledged, lease, error = await write_until_it_fails(store)
        await refuses_everything(store, lease, len(acknowledged) + 2, error.code)
        print(json.dumps([acknowledged, error.code]), flush=True)
        store.close()
    asyncio.run(main())
    """
    path = tmp_path / "sagas.db"
    acknowledged, code = json.loads(python(script, path))
    assert code == "AM6022"
    assert len(acknowledged) > 10
    found = journal(path, *(f"s{number}" for number in range(1, len(acknowledged) + 2)))
    assert {f"s{number}" for number in acknowledged} <= set(found)


@pytest.mark.processes
def test_a_failed_fsync_stops_acknowledging_and_loses_nothing(tmp_path):
    if shutil.which("strace") is None:
        pytest.skip("LOUD SKIP: a failed fsync is injected with strace, which is not installed")
    script = """
    import asyncio, json, sys
    from amends.stores.sqlite import SQLiteStore
    from tests.stores.test_sqlite_files import refuses_everything, write_until_it_fails
    async def main():
        store = SQLiteStore(sys.argv[1])
        await store.open()
        acknowledged, lease, error = await write_until_it_fails(store)
        await refuses_everything(store, lease, len(acknowledged) + 2, error.code)
        print(json.dumps([acknowledged, error.code]), flush=True)
    asyncio.run(main())
    """
    path = tmp_path / "sagas.db"
    made(path)
    inject = [
        "strace",
        "-f",
        "-qq",
        "-o",
        os.devnull,
        "-e",
        "trace=fdatasync",
        "-e",
        "inject=fdatasync:error=EIO:when=25",
    ]
    acknowledged, code = json.loads(python(script, path, prefix=inject))
    assert code == "AM6022"
    assert len(acknowledged) > 10
    found = journal(path, *(f"s{number}" for number in acknowledged))
    assert sorted(found) == sorted(f"s{number}" for number in acknowledged)


def python(script, *arguments, prefix=()):
    """The standard output of a script in a process of its own."""
    command = [*prefix, sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    root = str(Path(__file__).parents[2])
    paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_new_file_that_another_program_writes_is_waited_for_and_not_called_locked(tmp_path):
    path = tmp_path / "sagas.db"
    writer = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    writer.execute("CREATE TABLE theirs (a)")
    writer.execute("BEGIN IMMEDIATE")  # beside it the switch to WAL is refused at once, whatever the timeout
    threading.Timer(0.2, writer.execute, ("COMMIT",)).start()
    store = SQLiteStore(str(path))
    asyncio.run(store.open())
    store.close()
    assert sqlite3.connect(path).execute("PRAGMA journal_mode").fetchone() == ("wal",)
