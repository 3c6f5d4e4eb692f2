"""The SQLite store, held to the suite, and what only it promises about files and journals."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

from amends.errors import Conflict, LeaseLost, StoreUnavailable
from amends.stores.base import Batch, FrameRow, KeyRow
from amends.stores.owner import this_process
from amends.stores.sqlite import SQLiteStore, writer
from amends.testing.store_suite import NOW, TTL, StoreSuite, leading, owner, refused


class TestSQLiteStore(StoreSuite):
    async def make(self, tmp_path):
        return await opened(tmp_path / "sagas.db")


async def opened(path, busy_ms=5_000):
    store = SQLiteStore(path, busy_ms=busy_ms)
    await store.open()
    return store


def test_a_commit_is_flushed_to_the_disk_before_it_is_acknowledged(tmp_path):
    async def main():
        store = await opened(tmp_path / "sagas.db")
        ask = store._writing.run
        assert await ask(lambda db: db.execute("PRAGMA journal_mode").fetchone()) == ("wal",)
        assert await ask(lambda db: db.execute("PRAGMA synchronous").fetchone()) == (2,)  # FULL
        store.close()

    asyncio.run(main())


def test_the_journal_refuses_updates_and_deletes_from_any_program(tmp_path):
    async def main():
        store = await opened(tmp_path / "sagas.db")
        await store.start(FrameRow("a", 1, b"in"), None)
        store.close()

    asyncio.run(main())
    db = sqlite3.connect(tmp_path / "sagas.db")
    for statement in ("UPDATE amends_journal SET body = x'00'", "DELETE FROM amends_journal"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            db.execute(statement)
    db.execute("INSERT INTO amends_meta VALUES ('pruning', 1)")
    assert db.execute("DELETE FROM amends_journal").rowcount == 1
    db.close()


def test_a_paused_holders_late_write_never_lands(tmp_path):
    async def main():
        paused, other = await opened(tmp_path / "sagas.db"), await opened(tmp_path / "sagas.db")
        lost = await leading(paused)
        await paused.commit(lost, Batch(1, frames=[FrameRow("a", 1, b"")], opened=["a"]))
        lease = await leading(other, "second", now=NOW + TTL)
        await other.commit(lease, Batch(1, frames=[FrameRow("a", 2, b"second")]))
        await refused(LeaseLost, paused.commit(lost, Batch(2, frames=[FrameRow("a", 2, b"late")])))
        await refused(LeaseLost, paused.renew(lost, ttl_ms=TTL, now=NOW + TTL))
        assert [row.body for row in (await paused.frames(["a"]))["a"]] == [b"", b"second"]
        paused.close()
        other.close()

    asyncio.run(main())


def test_changed_tells_of_other_writers_and_not_of_its_own_writes(tmp_path):
    async def main():
        store, other = await opened(tmp_path / "sagas.db"), await opened(tmp_path / "sagas.db")
        await store.changed()
        await store.start(FrameRow("a", 1, b""), None)
        assert not await store.changed()
        await other.post("a", b"{}", now=NOW)
        await store.start(FrameRow("b", 1, b""), None)
        assert await store.changed()
        assert not await store.changed()
        store.close()
        other.close()

    asyncio.run(main())


def test_a_write_beside_another_programs_lock_is_unavailable_and_the_same_batch_lands_later(tmp_path):
    async def main():
        store = await opened(tmp_path / "sagas.db", busy_ms=20)
        lease = await leading(store)
        batch = Batch(1, frames=[FrameRow("a", 1, b"")], opened=["a"])
        db = sqlite3.connect(tmp_path / "sagas.db", isolation_level=None)
        db.execute("BEGIN IMMEDIATE")
        error = await refused(StoreUnavailable, store.commit(lease, batch))
        assert error.code == "AM6012"
        assert str(tmp_path / "sagas.db") in str(error)
        assert await store.frames(["a"]) == {}
        assert (await refused(StoreUnavailable, store.renew(lease, ttl_ms=TTL, now=NOW))).code == "AM6012"
        db.execute("ROLLBACK")
        db.close()
        assert await store.commit(lease, batch) == {}
        assert list(await store.frames(["a"])) == ["a"]
        store.close()

    asyncio.run(main())


def test_a_batch_too_big_for_one_value_lands_in_parts_of_one_transaction(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "_PART_BYTES_MAX", 10)

    async def main():
        store = await opened(tmp_path / "sagas.db")
        lease = await leading(store)
        await store.start(FrameRow("z", 1, b""), KeyRow("trip", "k", "z", "h"))
        rows = [FrameRow("a", at, b"12345678") for at in range(1, 6)] + [FrameRow("b", at, b"x" * 20) for at in (1, 2)]
        keys = [KeyRow("trip", "k", "b", "h")]
        for _ in range(2):
            assert await store.commit(lease, Batch(1, frames=rows, opened=["a", "b"], keys=keys)) == {"b": "z"}
        assert await store.frames(["a", "b"]) == {"a": rows[:5]}
        bad = [FrameRow("c", 1, b"12345678"), FrameRow("c", 2, b"12345678"), FrameRow("a", 5, b"12345678")]
        error = await refused(Conflict, store.commit(lease, Batch(2, frames=bad)))
        assert "frame 5 of saga a" in str(error)
        assert await store.frames(["c"]) == {}
        store.close()

    asyncio.run(main())


def test_a_commit_whose_caller_was_cancelled_still_lands(tmp_path):
    async def main():
        complaints = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        store = await opened(tmp_path / "sagas.db")
        lease = await leading(store)
        task = asyncio.ensure_future(store.commit(lease, Batch(1, frames=[FrameRow("a", 1, b"")])))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        await store.commit(lease, Batch(2, frames=[FrameRow("a", 2, b"")]))
        assert len((await store.frames(["a"]))["a"]) == 2
        assert complaints == []
        store.close()

    asyncio.run(main())


def test_a_holder_whose_process_number_was_given_to_another_process_is_taken_over_at_once(tmp_path):
    async def main():
        store = await opened(tmp_path / "sagas.db")
        here = this_process()
        gone = type(here)("gone", here.host, here.boot_id, here.pid, here.process_started - 1)
        assert await store.acquire(gone, ttl_ms=TTL, now=NOW) is not None
        assert await store.holder(now=NOW) is None
        lease = await store.acquire(here, ttl_ms=TTL, now=NOW)
        assert lease is not None
        assert await store.acquire(owner("third"), ttl_ms=TTL, now=NOW) is None
        store.close()

    asyncio.run(main())


def test_a_projection_advanced_by_two_programs_counts_no_frame_twice(tmp_path):
    async def main():
        store, other = await opened(tmp_path / "sagas.db"), await opened(tmp_path / "sagas.db")
        for at in range(60):
            await store.start(FrameRow(f"s{at:02d}", 1, b"?"), None)
        folded = await asyncio.gather(*(each.project(limit=7) for each in (store, other) * 6))
        assert sum(folded) == 60
        assert await other._read(other._reader.projected) == 60
        store.close()
        other.close()

    asyncio.run(main())


def test_sagas_may_live_in_an_applications_own_database(tmp_path):
    db = sqlite3.connect(tmp_path / "app.db")
    db.execute("CREATE TABLE journal (mine)")
    db.execute("PRAGMA user_version = 7")
    db.commit()
    db.close()

    async def main():
        store = await opened(tmp_path / "app.db")
        assert await store.start(FrameRow("a", 1, b""), None) == ""
        store.close()

    asyncio.run(main())
    db = sqlite3.connect(tmp_path / "app.db")
    assert db.execute("PRAGMA user_version").fetchone() == (7,)
    assert db.execute("PRAGMA application_id").fetchone() == (0,)
    assert db.execute("SELECT count(*) FROM journal").fetchone() == (0,)
    db.close()


def test_a_command_is_written_also_when_whoever_posted_it_no_longer_waits(tmp_path):
    async def main():
        store = await opened(tmp_path / "a.db")
        posting = asyncio.ensure_future(store.post("s", b"{}", now=NOW))
        await asyncio.sleep(0)
        posting.cancel()
        await store.post("t", b"{}", now=NOW)
        assert [row.saga_id for row in await store.commands(limit=9)] == ["s", "t"]
        store.close()

    asyncio.run(main())


def test_a_store_that_is_out_of_reach_tells_everybody_who_posts(tmp_path):
    async def main():
        store = await opened(tmp_path / "a.db", busy_ms=10)
        other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        posts = [store.post(f"s{number}", b"{}", now=NOW) for number in range(5)]
        answers = await asyncio.gather(*posts, return_exceptions=True)
        assert {type(answer) for answer in answers} == {StoreUnavailable}
        other.execute("ROLLBACK")
        other.close()
        await store.post("s", b"{}", now=NOW)
        assert len(await store.commands(limit=9)) == 1
        store.close()

    asyncio.run(main())
