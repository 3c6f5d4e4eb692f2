"""Several processes on one file: starts beside a holder, a dead holder, a crash, opening at once."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from amends.stores.base import FrameRow
from amends.stores.owner import is_gone, this_process
from amends.stores.sqlite import SQLiteStore
from amends.testing.store_suite import NOW, TTL, open_ids

pytestmark = pytest.mark.processes

HOLDER = """
import asyncio, sys
from amends.stores.base import Batch, FrameRow
from amends.stores.owner import this_process
from amends.stores.sqlite import SQLiteStore

async def main():
    store = SQLiteStore(sys.argv[1])
    await store.open()
    lease = await store.acquire(this_process(), ttl_ms=3_600_000, now=int(sys.argv[2]))
    for number in range(1, 21):
        await store.commit(lease, Batch(number, frames=[FrameRow("a", number, b"%d" % number)]))
    print("holding", flush=True)
    sys.stdin.readline()

asyncio.run(main())
"""


def spawn(script, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def kill_without_reaping(process):
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lease for an hour and has acknowledged 20 frames."""
    process = spawn(HOLDER, tmp_path / "sagas.db", NOW)
    assert process.stdout.readline() == "holding\n"
    yield process
    process.kill()
    process.communicate()


def test_a_killed_holder_is_taken_over_at_once_and_all_it_acknowledged_is_there(tmp_path, holder):
    async def main():
        store = SQLiteStore(tmp_path / "sagas.db")
        await store.open()
        me = this_process()
        assert await store.acquire(me, ttl_ms=TTL, now=NOW) is None
        held = await store.holder(now=NOW)
        kill_without_reaping(holder)  # a zombie holds nothing
        lease = await store.acquire(me, ttl_ms=TTL, now=NOW)
        assert lease is not None
        assert lease.epoch == held.epoch + 1
        assert [row.body for row in (await store.frames(["a"]))["a"]] == [b"%d" % at for at in range(1, 21)]
        store.close()

    asyncio.run(main())


def test_a_stopped_holder_is_alive_until_its_lease_expires(tmp_path, holder):
    os.kill(holder.pid, signal.SIGSTOP)

    async def main():
        store = SQLiteStore(tmp_path / "sagas.db")
        await store.open()
        assert await store.acquire(this_process(), ttl_ms=TTL, now=NOW + 3_599_999) is None
        assert await store.acquire(this_process(), ttl_ms=TTL, now=NOW + 3_600_000) is not None
        store.close()

    asyncio.run(main())


def test_another_process_starts_and_posts_beside_a_holder_which_is_told(tmp_path):
    script = """
    import asyncio, sys
    from amends.stores.base import FrameRow, KeyRow
    from amends.stores.sqlite import SQLiteStore
    async def main():
        store = SQLiteStore(sys.argv[1])
        await store.open()
        print(await store.start(FrameRow("b", 1, b"in"), KeyRow("trip", "k", "b", "h")) or "started")
        print(await store.start(FrameRow("c", 1, b"in"), KeyRow("trip", "k", "c", "h")) or "started")
        await store.post("b", b"{}", now=1)
        store.close()
    asyncio.run(main())
    """

    async def main():
        store = SQLiteStore(tmp_path / "sagas.db")
        await store.open()
        lease = await store.acquire(this_process(), ttl_ms=TTL, now=NOW)
        assert not await store.changed()
        other = spawn(script, tmp_path / "sagas.db")
        assert other.communicate()[0].split() == ["started", "b"]
        assert await store.changed()
        assert await open_ids(store) == ["b"]
        assert [row.saga_id for row in await store.commands(limit=9)] == ["b"]
        assert await store.frames(["b", "c"]) == {"b": [FrameRow("b", 1, b"in")]}
        await store.release(lease)
        store.close()

    asyncio.run(main())


def test_processes_that_make_a_file_at_the_same_time_make_it_once(tmp_path):
    script = """
    import asyncio, sys
    from amends.stores.base import FrameRow
    from amends.stores.sqlite import SQLiteStore
    async def main():
        print("ready", flush=True)
        sys.stdin.readline()
        store = SQLiteStore(sys.argv[1])
        await store.open()
        await store.start(FrameRow(sys.argv[2], 1, b""), None)
        store.close()
    asyncio.run(main())
    """
    processes = [spawn(script, tmp_path / "sagas.db", f"s{at}") for at in range(4)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=30)
        assert process.returncode == 0

    async def main():
        store = SQLiteStore(tmp_path / "sagas.db")
        await store.open()
        assert sorted(await open_ids(store)) == ["s0", "s1", "s2", "s3"]
        store.close()

    asyncio.run(main())


def test_a_process_is_gone_when_it_is_dead_and_never_because_it_is_elsewhere():
    here = this_process()
    assert here.pid == os.getpid()
    assert here.process_started > 0
    assert this_process().id != here.id
    assert not is_gone(here)
    sleeper = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    other = type(here)("other", here.host, here.boot_id, sleeper.pid, 1)
    assert is_gone(other)  # the number is another process's now
    sleeper.communicate(b"")
    for elsewhere in (
        type(here)("other", "another-host", here.boot_id, sleeper.pid, 1),
        type(here)("other", here.host, "another-boot", sleeper.pid, 1),
        type(here)("other", here.host, here.boot_id, 0, 5),
    ):
        assert not is_gone(elsewhere)
    assert is_gone(type(here)("other", here.host, here.boot_id, sleeper.pid, 1))
