"""The doorbell of a file: who rings wakes other processes, and nothing that is broken there harms anybody."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from amends.limits import BELLS_MAX
from amends.stores.base import FrameRow
from amends.stores.sqlite import SQLiteStore
from amends.stores.sqlite.doorbell import Belfry

pytestmark = pytest.mark.skipif(
    not hasattr(os, "mkfifo"), reason="THIS PLATFORM HAS NO FIFOS: doorbells were NOT tested"
)

LONG_S = 60  # who waits so long was not rung


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "sagas.db"
    path.touch()
    return path


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request):
    """Run a coroutine on each kind of loop."""

    def runner(coroutine):
        if request.param == "uvloop":
            uvloop = pytest.importorskip("uvloop")
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
                return loop.run(asyncio.wait_for(coroutine, 30))
        return asyncio.run(asyncio.wait_for(coroutine, 30))

    return runner


def descriptors():
    """How many this process has open."""
    return len(list(Path("/dev/fd").iterdir()))


def bells(database):
    return sorted(path.name for path in database.parent.glob("sagas.db-amends/*"))


def test_another_connection_of_the_file_is_woken_and_no_litter_is_left(tmp_path, run):
    async def main():
        path = tmp_path / "sagas.db"
        mine, other = SQLiteStore(path), SQLiteStore(path)
        await mine.open()
        await other.open()
        bell = mine.bell("work")
        assert bell.works
        for saga_id in ("a", "b"):
            waiting = asyncio.ensure_future(bell.wait(LONG_S))
            await asyncio.sleep(0)
            await other.start(FrameRow(saga_id, 1, b""), None)
            assert await waiting
        assert bells(path) == [bell.path.name]
        mine.close()
        other.close()
        assert not bell.works
        assert sorted(each.name for each in tmp_path.iterdir()) == ["sagas.db"]

    run(main())


def test_another_process_is_woken(tmp_path, run):
    script = """
    import asyncio, sys
    from amends.stores.base import FrameRow
    from amends.stores.sqlite import SQLiteStore
    async def main():
        store = SQLiteStore(sys.argv[1])
        await store.open()
        await store.start(FrameRow("a", 1, b""), None)
        store.close()
    asyncio.run(main())
    """

    async def main():
        store = SQLiteStore(tmp_path / "sagas.db")
        await store.open()
        bell = store.bell("work")
        command = [sys.executable, "-c", textwrap.dedent(script), str(store.path)]
        child = await asyncio.to_thread(subprocess.run, command, check=True)
        assert child.returncode == 0
        assert await bell.wait(LONG_S)
        store.close()

    run(main())


def test_a_ring_for_one_topic_wakes_no_other(database, run):
    async def main():
        mine, other = Belfry(database), Belfry(database)
        hung = {what: mine.hang(what) for what in ("work", "news", "lease")}
        other.ring("news")
        assert await hung["news"].wait(LONG_S)
        assert not await hung["work"].wait(0.01)
        assert not await hung["lease"].wait(0)
        mine.close()
        other.close()

    run(main())


def test_a_hundred_thousand_rings_block_nobody_and_wake_once(database, run):
    async def main():
        mine, other = Belfry(database), Belfry(database)
        bell = mine.hang("work")
        for _ in range(100_000):  # more than a FIFO holds
            other.ring("work")
        assert await bell.wait(LONG_S)
        while await bell.wait(0.05):  # what is left in the FIFO
            pass
        other.ring("work")
        assert await bell.wait(LONG_S)
        mine.close()
        other.close()

    run(main())


def test_the_bell_of_a_killed_process_is_removed_by_whoever_rings_it(database):
    script = """
    import asyncio, pathlib, sys
    from amends.stores.sqlite.doorbell import Belfry
    async def main():
        belfry = Belfry(pathlib.Path(sys.argv[1]))
        belfry.hang("work")
        print("hung", flush=True)
        await asyncio.sleep(60)
    asyncio.run(main())
    """

    def hung():
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script), str(database)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout.readline() == "hung\n"
        return child

    def kill(child):
        child.send_signal(signal.SIGKILL)
        child.communicate()

    belfry = Belfry(database)
    first = hung()
    belfry.ring("work")  # its end is open now, and breaks
    second = hung()
    kill(first)
    kill(second)
    assert len(bells(database)) == 2
    belfry.ring("work")
    assert bells(database) == []
    assert not (database.parent / "sagas.db-amends").exists()
    belfry.close()


def test_what_a_process_left_that_was_killed_before_its_bell_had_a_name_is_removed_by_the_next_one(database, run):
    async def main():
        belfry = Belfry(database)
        belfry.hang("work")
        home = database.parent / "sagas.db-amends"
        for name, age_s in ((".work-long-ago", 3_600), (".work-just-now", 0)):
            os.mkfifo(home / name)
            then = time.time() - age_s
            os.utime(home / name, (then, then))
        (home / ".other").touch()
        os.utime(home / ".other", (0, 0))
        belfry.hang("news")
        assert [name for name in bells(database) if name[0] == "."] == [".other", ".work-just-now"]
        belfry.close()

    run(main())


def test_who_was_stopped_before_its_bell_had_a_name_and_finds_it_gone_makes_another(database, run, monkeypatch):
    rename, removed = Path.rename, []

    def late(path, target):
        if not removed:
            removed.append(path)
            path.unlink()
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", late)

    async def main():
        belfry = Belfry(database)
        assert belfry.hang("work").works and len(bells(database)) == 1 and removed
        belfry.close()

    run(main())


def test_a_stopped_process_keeps_its_bell_and_hears_it_when_it_goes_on(database):
    script = """
    import asyncio, pathlib, sys
    from amends.stores.sqlite.doorbell import Belfry
    async def main():
        bell = Belfry(pathlib.Path(sys.argv[1])).hang("work")
        print("hung", flush=True)
        print(await bell.wait(60), flush=True)
        bell.close()
    asyncio.run(main())
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(database)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout.readline() == "hung\n"
        child.send_signal(signal.SIGSTOP)
        belfry = Belfry(database)
        for _ in range(70_000):
            belfry.ring("work")
        assert len(bells(database)) == 1
        child.send_signal(signal.SIGCONT)
        assert child.communicate(timeout=30)[0] == "True\n"
        belfry.close()
    finally:
        child.kill()
        child.communicate()


def test_a_bell_has_the_mode_of_the_database_whatever_the_umask(database, run):
    async def main():
        database.chmod(0o660)
        before = os.umask(0o077)
        try:
            belfry = Belfry(database)
            bell = belfry.hang("work")
        finally:
            os.umask(before)
        assert stat.S_IMODE(bell.path.stat().st_mode) == 0o660
        assert stat.S_IMODE(bell.path.parent.stat().st_mode) == 0o770
        belfry.close()

    run(main())


@pytest.mark.parametrize("broken", ["mkfifo", "mkdir", "open", "rename"])
def test_where_a_bell_cannot_be_hung_there_is_none_and_waiting_lasts_its_time(database, run, monkeypatch, broken):
    def refuse(*_, **__):
        raise PermissionError(13, "no")

    async def main():
        belfry = Belfry(database)
        with monkeypatch.context() as patch:
            patch.setattr(os if broken in ("mkfifo", "open") else type(database), broken, refuse)
            bell = belfry.hang("work")
        assert not bell.works
        assert not await bell.wait(0.001)
        belfry.ring("work")  # from this process it can be rung all the same
        assert await bell.wait(LONG_S)
        belfry.close()
        assert bells(database) == []

    run(main())


def test_a_loop_that_watches_no_files_and_a_platform_without_fifos_have_bells_that_do_not_work(
    database, run, monkeypatch
):
    def cannot(*_):
        raise NotImplementedError

    async def main():
        belfry = Belfry(database)
        with monkeypatch.context() as patch:
            patch.delattr(os, "mkfifo")
            assert not belfry.hang("work").works
        loop = asyncio.get_running_loop()
        if not hasattr(loop, "_selector"):  # uvloop's methods cannot be replaced
            return
        monkeypatch.setattr(loop, "add_reader", cannot)
        bell = belfry.hang("work")
        assert not bell.works
        assert not await bell.wait(0.001)
        assert bells(database) == []
        belfry.close()

    run(main())


def test_what_is_no_bell_is_left_alone(database, run, tmp_path):
    async def main():
        belfry, other = Belfry(database), Belfry(database)
        bell = other.hang("work")
        directory = bell.path.parent
        (directory / "work-notes").write_text("mine")
        (directory / "work-folder").mkdir()
        (directory / "work-link").symlink_to(tmp_path / "target")
        (tmp_path / "target").write_text("not a bell")
        os.mkfifo(directory / "work-closed")
        (directory / "work-closed").chmod(0)
        os.mkfifo(tmp_path / "elsewhere")
        elsewhere = os.open(tmp_path / "elsewhere", os.O_RDWR | os.O_NONBLOCK)
        (directory / "work-linked").symlink_to(tmp_path / "elsewhere")
        belfry.ring("work")
        assert await bell.wait(LONG_S)
        with pytest.raises(BlockingIOError):  # nothing was written where a link leads
            os.read(elsewhere, 1)
        os.close(elsewhere)
        assert (directory / "work-notes").read_text() == "mine"
        assert (tmp_path / "target").read_text() == "not a bell"
        assert (directory / "work-folder").is_dir()
        other.close()
        belfry.close()

    run(main())


def test_a_bell_that_was_taken_away_is_hung_again(database, run):
    async def main():
        belfry, other = Belfry(database), Belfry(database)
        bell = belfry.hang("work")
        bell.path.unlink()
        bell.path.parent.rmdir()
        assert not await bell.wait(0.001)
        other.ring("work")
        assert await bell.wait(LONG_S)
        belfry.close()
        other.close()
        assert bells(database) == []

    run(main())


def test_a_bell_that_was_hung_just_after_the_directory_was_read_is_rung_too(database, run, monkeypatch):
    async def main():
        belfry, other = Belfry(database), Belfry(database)
        first = belfry.hang("work")
        other.ring("work")
        seen = first.path.parent.stat()
        second = belfry.hang("work")
        os.utime(first.path.parent, ns=(seen.st_atime_ns, seen.st_mtime_ns))  # as a coarse clock would have it
        other.ring("work")
        assert await second.wait(LONG_S)
        belfry.close()
        other.close()

    run(main())


def test_once_the_directory_has_settled_it_is_not_read_again(database, run, monkeypatch):
    async def main():
        belfry, other = Belfry(database), Belfry(database)
        bell = belfry.hang("work")
        monkeypatch.setattr("amends.stores.sqlite.doorbell._SETTLED_S", 0)
        other.ring("work")
        other.ring("work")
        with monkeypatch.context() as patch:
            patch.setattr(os, "listdir", lambda _: pytest.fail("the directory was read again"))
            other.ring("work")
        assert await bell.wait(LONG_S)
        another = belfry.hang("work")
        other.ring("work")
        assert await another.wait(LONG_S)
        belfry.close()
        other.close()

    run(main())


def test_no_more_than_so_many_bells_are_rung(database, run):
    async def main():
        belfry, other = Belfry(database), Belfry(database)
        for _ in range(BELLS_MAX + 3):
            belfry.hang("news")
        other.ring("news")
        assert len(other._others) == BELLS_MAX
        belfry.close()
        other.close()
        assert bells(database) == []

    run(main())


def test_a_database_that_is_reached_by_another_path_has_the_same_bells(tmp_path, run):
    async def main():
        (tmp_path / "sagas.db").touch()
        (tmp_path / "elsewhere").mkdir()
        link = tmp_path / "elsewhere" / "link.db"
        link.symlink_to(tmp_path / "sagas.db")
        belfry, other = Belfry(tmp_path / "sagas.db"), Belfry(link)
        bell = belfry.hang("work")
        other.ring("work")
        assert await bell.wait(LONG_S)
        belfry.close()
        other.close()

    run(main())


def test_no_descriptor_is_left_open(database, run):
    async def main():
        before = descriptors()
        belfry, other = Belfry(database), Belfry(database)
        bell = belfry.hang("work")
        waiting = asyncio.ensure_future(bell.wait(LONG_S))
        await asyncio.sleep(0)
        other.ring("work")
        await waiting
        waiting = asyncio.ensure_future(bell.wait(LONG_S))
        await asyncio.sleep(0)
        belfry.close()
        await waiting
        other.close()
        assert descriptors() == before

    run(main())
