"""An archive has what was pruned, all of it, before it goes; and shows it as the store did."""

from __future__ import annotations

import asyncio
import os

import pytest

from amends import Conflict, NotFound, Orchestrator, UsageError
from amends.errors import StoreError
from amends.stores.owner import this_process
from amends.stores.sqlite import SQLiteStore
from tests.runtime.stage import HandClock, scene
from tests.runtime.test_pruning import DAY_MS, SAGAS, ended, listed, noting


@pytest.fixture
def archive(tmp_path):
    return f"sqlite:///{tmp_path}/archive.db"


async def shown(address, saga_id):
    """Status and history of a saga, by somebody who has no definitions."""
    async with Orchestrator(address, sagas=[]) as looking:
        return (await looking.get(saga_id)).status, await looking.history(saga_id)


@scene
async def test_what_is_pruned_is_shown_from_the_archive_as_it_was(ground, archive):
    clock = HandClock()
    async with ground.orchestrator(*SAGAS, clock=clock) as orchestrator:
        done, back = await ended(orchestrator, noting, 1, key="one"), await ended(orchestrator, noting, -1)
        clock.ahead_ms += 2 * DAY_MS
        kept = await ended(orchestrator, noting, 3)
        was = {saga.id: await orchestrator.history(saga.id) for saga in (done, back)}
        assert (await orchestrator.prune(older="1d", archive=archive, dry_run=True)).sagas == 2
        assert not os.path.exists(archive.removeprefix("sqlite:///"))  # noqa: ASYNC240, PTH110 -- a dry run makes none
        assert (await orchestrator.prune(older="1d", archive=archive, batch=1)).sagas == 2
        assert await listed(orchestrator) == {kept.id}
        with pytest.raises(NotFound):
            await orchestrator.get(done.id)
    assert await shown(archive, done.id) == ("completed", was[done.id])
    assert await shown(archive, back.id) == ("compensated", was[back.id])
    async with Orchestrator(archive, sagas=[]) as looking:
        assert await listed(looking) == {done.id, back.id}
        assert [view.id async for view in looking.list("key:one")] == [done.id]
        assert b'"saga_id":"' + done.id.encode() in await looking.export(done.id)
        with pytest.raises(NotFound):
            await looking.get(kept.id)


@scene
async def test_one_archive_takes_more_and_what_it_has_is_not_written_twice(ground, archive, monkeypatch):
    clock = HandClock()
    async with ground.orchestrator(*SAGAS, clock=clock) as orchestrator:
        one = await ended(orchestrator, noting, 1)
        clock.ahead_ms += DAY_MS
        prune, died = orchestrator._store.prune, []

        async def die(ids, *, now):
            died.extend(ids)
            raise StoreError("the process dies between archive and store")

        monkeypatch.setattr(orchestrator._store, "prune", die)
        with pytest.raises(StoreError, match="dies between"):
            await orchestrator.prune(older="1h", archive=archive)
        assert died == [one.id]
        assert await listed(orchestrator) == {one.id}  # it is in both
        monkeypatch.setattr(orchestrator._store, "prune", prune)
        two = await ended(orchestrator, noting, 2)
        clock.ahead_ms += DAY_MS
        assert (await orchestrator.prune(older="1h", archive=archive)).sagas == 2
    store = SQLiteStore(archive.removeprefix("sqlite:///"))
    await store.open()
    rows = await store.journal(after=0, limit=100)
    store.close()
    assert len({(row.saga_id, row.seq) for row in rows}) == len(rows)
    assert {row.saga_id for row in rows} == {one.id, two.id}


@scene
async def test_nothing_goes_that_the_archive_did_not_take(ground, tmp_path, monkeypatch):
    clock = HandClock()
    async with ground.orchestrator(*SAGAS, clock=clock) as orchestrator:
        one = await ended(orchestrator, noting, 1)
        clock.ahead_ms += DAY_MS
        for address in ("postgresql://nobody@nowhere/x", "archive.db", "sqlite://", str(tmp_path)):
            with pytest.raises(UsageError, match="an archive is a SQLite file") as refused:
                await orchestrator.prune(older="1h", archive=address)
            assert refused.value.code == "AM2051"
        with pytest.raises(StoreError):
            await orchestrator.prune(older="1h", archive=f"sqlite:///{tmp_path}/no/such/place.db")
        other = SQLiteStore(tmp_path / "archive.db")
        await other.open()
        lease = await other.acquire(this_process(), ttl_ms=600_000, now=clock.now_ms())
        with pytest.raises(Conflict, match="another process writes to the archive") as refused:
            await orchestrator.prune(older="1h", archive=f"sqlite:///{tmp_path}/archive.db")
        assert refused.value.code == "AM4011"
        assert await listed(orchestrator) == {one.id}
        await other.release(lease)
        other.close()
        assert (await orchestrator.prune(older="1h", archive=f"sqlite:///{tmp_path}/archive.db")).sagas == 1


def test_the_store_is_no_archive_of_itself(tmp_path):
    async def run():
        clock = HandClock()
        path = tmp_path / "sagas.db"
        async with Orchestrator(f"sqlite:///{path}", sagas=list(SAGAS), clock=clock) as orchestrator:
            one = await ended(orchestrator, noting, 1)
            clock.ahead_ms += DAY_MS
            other_name = tmp_path / "link.db"
            os.link(path, other_name)
            for name in (path, other_name):
                with pytest.raises(UsageError, match="is the store itself") as refused:
                    await orchestrator.prune(older="1h", archive=f"sqlite:///{name}")
                assert refused.value.code == "AM2051"
            assert await listed(orchestrator) == {one.id}

    asyncio.run(run())


def test_an_archive_of_a_store_on_postgresql_is_a_file(postgres, archive):
    async def run():
        clock = HandClock()
        async with Orchestrator(postgres.new(), sagas=list(SAGAS), clock=clock) as orchestrator:
            saga = await ended(orchestrator, noting, 1)
            was = await orchestrator.history(saga.id)
            assert (await orchestrator.prune(older="0s", archive=archive)).sagas == 1
            with pytest.raises(NotFound):
                await orchestrator.get(saga.id)
        assert await shown(archive, saga.id) == ("completed", was)

    asyncio.run(run())
