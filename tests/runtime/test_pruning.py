"""Retention: what ended long ago goes, what became of it is still told, and nobody is disturbed."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

import pytest

from amends import KeyConflict, NotFound, Rejected, Retry, Saga, SagaCompensated, UsageError, sleep, step
from amends.core.filters import Filter
from amends.errors import StoreFailed, StoreUnavailable
from amends.runtime import intake
from amends.stores.sqlite import SQLiteStore
from tests.runtime.stage import FaultyStore, HandClock, events_of, scene, until

DAY_MS = 86_400_000


@dataclass
class Order:
    number: int = 1


@step
async def note(order: Order) -> int:
    if order.number < 0:
        raise Rejected("no such number")
    return order.number


@step(retry=Retry(attempts=1))
async def thank(order: Order) -> None:
    if order.number == 13:
        raise RuntimeError("the mail bounced")


noting = Saga("noting", note)
thanking = Saga("thanking", note.named("count"), on_completed=[thank])
resting = Saga("resting", sleep("300d"), input=Order)
SAGAS = (noting, thanking, resting)


async def ended(orchestrator, saga, number=1, **more):
    handle = await orchestrator.start(saga, Order(number), **more)
    with contextlib.suppress(SagaCompensated):
        await handle.result()
    await until(lambda: handle.id not in orchestrator._leader.engine.actors)
    return handle


async def listed(orchestrator):
    return {view.id async for view in orchestrator.list()}


@scene
async def test_what_ended_long_enough_ago_goes_and_the_rest_stays(ground):
    clock = HandClock()
    async with ground.orchestrator(*SAGAS, clock=clock) as orchestrator:
        old = [await ended(orchestrator, noting, number) for number in range(5)]
        asleep = await orchestrator.start(resting, Order())
        clock.ahead_ms += 2 * DAY_MS
        young = await ended(orchestrator, noting)
        orchestrator._store.prunable, prunable = None, orchestrator._store.prunable  # a dry run names no sagas
        assert (await orchestrator.prune(older="1d", dry_run=True)).sagas == 5
        orchestrator._store.prunable = prunable
        assert len(await listed(orchestrator)) == 7
        done = await orchestrator.prune(older="1d", batch=2)
        assert (done.sagas, done.more) == (5, False)
        assert await listed(orchestrator) == {asleep.id, young.id}
        assert await young.result() == 1
        assert (await orchestrator.prune(older="1d")).sagas == 0
        for each in old:
            handle = orchestrator.handle(each.id)  # one that was not there when it ended
            for look in (handle.result, handle.status, lambda: orchestrator.history(handle.id)):  # noqa: B023
                told = r"of noting is gone from .*: it ended completed at .* and was pruned at"
                with pytest.raises(NotFound, match=told) as gone:
                    await look()
                assert gone.value.code == "AM3010"
            with pytest.raises(NotFound, match="pruned at"):
                await orchestrator.cancel(handle.id, reason="too late")
        with pytest.raises(NotFound, match="no saga nobody"):
            await orchestrator.get("nobody")


@scene
async def test_each_way_of_narrowing_narrows(ground):
    clock = HandClock()
    async with ground.orchestrator(*SAGAS, clock=clock) as orchestrator:
        done, back = await ended(orchestrator, noting, 1), await ended(orchestrator, noting, -1)
        bounced = await ended(orchestrator, thanking, 13)
        await ended(orchestrator, noting, 2)
        clock.ahead_ms += DAY_MS
        assert (await orchestrator.prune("status:compensated", older="1h", dry_run=True)).sagas == 1
        counted = await orchestrator.prune(older="1h", limit=1, dry_run=True)
        assert (counted.sagas, counted.more) == (1, True)
        assert (await orchestrator.prune("status:compensated", older="1h")).sagas == 1
        with pytest.raises(NotFound, match="ended compensated"):
            await back.status()
        first = await orchestrator.prune(older="1h", limit=1)
        assert (first.sagas, first.more) == (1, True)
        with pytest.raises(NotFound):
            await done.status()  # the one that ended first
        assert (await orchestrator.prune(older="1h")).sagas == 1
        assert await listed(orchestrator) == {bounced.id}  # its follow-up failed: kept unless asked for
        assert (await orchestrator.prune(older="1h", followup_failed=True)).sagas == 1
        assert await listed(orchestrator) == set()


@scene
async def test_a_saga_with_an_anomaly_is_kept_unless_it_is_asked_for(ground):
    async with ground.orchestrator(*SAGAS) as orchestrator:
        handle = await ended(orchestrator, noting)
        which = {}
        inner = orchestrator._store
        prunable = inner.prunable

        async def spy(asked: Filter, *, limit):
            which["said"] = str(asked)
            return await prunable(asked, limit=limit)

        inner.prunable = spy
        await orchestrator.prune(older="1h")
        assert "-is:anomalous" in which["said"] and "-is:followup_failed" in which["said"]
        await orchestrator.prune(older="1h", anomalous=True)
        assert "is:anomalous" not in which["said"]
        inner.prunable = prunable
        assert await handle.result() == 1


@scene
async def test_a_saga_whose_follow_ups_are_not_through_is_not_pruned(ground):
    release = asyncio.Event()

    @step
    async def slow(order: Order) -> None:
        await release.wait()

    saga = Saga("slow", note.named("first"), on_completed=[slow])
    clock = HandClock()
    async with ground.orchestrator(saga, clock=clock) as orchestrator:
        handle = await orchestrator.start(saga, Order(4))
        assert await handle.result() == 4
        clock.ahead_ms += DAY_MS
        assert (await orchestrator.prune(older="1h")).sagas == 0
        release.set()
        await until(lambda: not orchestrator._leader.engine.actors)
        assert (await orchestrator.prune(older="1h")).sagas == 1


@scene
async def test_a_start_key_outlives_its_saga_for_as_long_as_it_is_kept(ground):
    clock = HandClock()
    async with ground.orchestrator(*SAGAS, clock=clock, key_retention="10d") as orchestrator:
        first = await ended(orchestrator, noting, 5, key="k")
        clock.ahead_ms += DAY_MS
        assert (await orchestrator.prune(older="1h")).sagas == 1
        again = await orchestrator.start(noting, Order(5), key="k")
        assert again.id == first.id
        with pytest.raises(NotFound, match="ended completed"):
            await again.result()
        with pytest.raises(KeyConflict):
            await orchestrator.start(noting, Order(6), key="k")
        clock.ahead_ms += 9 * DAY_MS
        assert (await orchestrator.prune(older="1h")).rows == 0
        clock.ahead_ms += 2 * DAY_MS
        assert (await orchestrator.prune(older="1h", key_retention="20d")).rows == 0
        assert (await orchestrator.prune(older="1h")).rows == 1
        anew = await orchestrator.start(noting, Order(6), key="k")
        assert anew.id != first.id
        assert await anew.result() == 6
        with pytest.raises(NotFound, match="no saga"):
            await first.status()


@scene
async def test_answered_commands_go_when_they_are_old_and_never_within_the_hour(file_ground):
    clock = HandClock()
    async with file_ground.orchestrator(*SAGAS, clock=clock) as orchestrator:
        handle = await orchestrator.start(resting, Order())
        async with file_ground.orchestrator(worker=False, clock=clock) as other:
            assert await other.pause(handle.id, reason="look")
        store = orchestrator._store
        assert (await store.command(1)).done
        await orchestrator.prune(older=0)
        assert await store.command(1) is not None  # who asked may still be waiting for the answer
        clock.ahead_ms += 2 * 3_600_000
        assert (await orchestrator.prune(older=0)).rows == 1
        assert await store.command(1) is None


@scene
async def test_who_leads_removes_what_is_kept_no_longer(ground, monkeypatch):
    monkeypatch.setattr(intake, "_PRUNE_EVERY_S", 0.02)
    clock = HandClock()
    async with ground.orchestrator(*SAGAS, clock=clock, retention="5d") as orchestrator:
        handle = await ended(orchestrator, noting)
        clock.ahead_ms += 4 * DAY_MS
        await asyncio.sleep(0.1)
        assert await handle.result() == 1
        clock.ahead_ms += 2 * DAY_MS

        async def gone():
            return not await listed(orchestrator)

        await until(gone)


@scene
async def test_without_a_retention_nothing_is_ever_removed_by_itself(ground):
    store = FaultyStore(ground.store())
    async with ground.orchestrator(*SAGAS, store=store) as orchestrator:
        await ended(orchestrator, noting)
        await asyncio.sleep(0.05)
        assert "prune" not in store.calls and "prunable" not in store.calls


@scene
async def test_a_retention_survives_a_store_out_of_reach(ground, monkeypatch):
    monkeypatch.setattr(intake, "_PRUNE_EVERY_S", 0.02)
    store, left = FaultyStore(ground.store()), [2]

    def out_of_reach(*_, **__):
        if left[0]:
            left[0] -= 1
            raise StoreUnavailable("out of reach")

    clock = HandClock()
    store.faults["prunable"] = out_of_reach
    async with ground.orchestrator(*SAGAS, store=store, clock=clock, retention="1h") as orchestrator:
        await ended(orchestrator, noting)
        clock.ahead_ms += DAY_MS

        async def gone():
            return not await listed(orchestrator)

        await until(gone)
        assert orchestrator.leading


@scene
async def test_a_pruning_that_breaks_has_removed_whole_sagas_only(ground):
    clock = HandClock()
    store = FaultyStore(ground.store())
    calls = []

    def breaks(ids, *, now):
        calls.append(ids)
        if len(calls) == 3:
            raise StoreFailed("the disk is full", code="AM6021")

    async with ground.orchestrator(*SAGAS, clock=clock, store=store) as orchestrator:
        handles = [await ended(orchestrator, noting, number) for number in range(6)]
        clock.ahead_ms += DAY_MS
        store.faults["prune"] = breaks
        with pytest.raises(StoreFailed):
            await orchestrator.prune(older="1h", batch=2)
        left = await listed(orchestrator)
        assert left == {handle.id for handle in handles[4:]}
        for handle in handles:
            if handle.id in left:
                assert "Completed" in await events_of(orchestrator, handle.id)
            else:
                with pytest.raises(NotFound, match="pruned"):
                    await handle.status()


@scene
async def test_a_late_success_for_a_pruned_saga_disturbs_nobody(ground):
    release, begun = asyncio.Event(), asyncio.Event()

    @step(timeout="50ms", retry=Retry(attempts=1))
    async def stubborn(order: Order) -> int:
        begun.set()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return 1

    @stubborn.compensation
    async def undo(order: Order) -> None: ...

    saga = Saga("stubborn", stubborn)
    clock = HandClock()
    async with ground.orchestrator(saga, *SAGAS, clock=clock) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        waiting = asyncio.create_task(handle.result())
        await begun.wait()
        release_at = asyncio.get_running_loop().call_later(0.3, release.set)
        with pytest.raises(SagaCompensated):
            await waiting
        release_at.cancel()
        clock.ahead_ms += DAY_MS
        assert (await orchestrator.prune(older="1h")).sagas == 1
        release.set()
        await asyncio.sleep(0.05)
        assert (await ended(orchestrator, noting)).id
        assert orchestrator.failed is None and orchestrator.leading


@scene
async def test_a_projection_that_was_folded_before_a_rebuild_brings_no_pruned_saga_back(file_ground):
    clock = HandClock()
    async with file_ground.orchestrator(*SAGAS, clock=clock) as orchestrator:
        handle = await ended(orchestrator, noting)
        store: SQLiteStore = orchestrator._store
        await store.rebuild()
        await store._write(store._writer.clear_projection)
        folded = await store._read(lambda db: store._reader.unprojected(db, 100))
        await store.count(Filter())
        clock.ahead_ms += DAY_MS
        assert (await orchestrator.prune(older="1h")).sagas == 1
        await store._write(store._writer.clear_projection)  # the mark is where it was when `folded` was read
        assert await store._write(lambda db: store._writer.project(db, folded))
        assert handle.id not in await listed(orchestrator)


@pytest.mark.parametrize(
    "given", [{"limit": 0}, {"limit": True}, {"batch": 0}, {"batch": 100_000}, {"older": "soon"}, {"key_retention": -1}]
)
def test_a_pruning_that_cannot_be_is_refused(given):
    @scene
    async def play():
        from amends import Orchestrator

        async with Orchestrator("sqlite://", sagas=SAGAS) as orchestrator:
            with pytest.raises(UsageError):
                await orchestrator.prune(**{"older": "1d", **given})

    play()


@pytest.mark.parametrize("given", [{"retention": "soon"}, {"key_retention": "soon"}, {"retention": -1}])
def test_a_retention_that_is_no_length_of_time_is_refused(ground, given):
    with pytest.raises(UsageError):
        ground.orchestrator(*SAGAS, **given)


@scene
async def test_who_waits_for_a_saga_that_was_pruned_before_they_saw_its_end_is_told(file_ground):
    """Found by attack: nothing new comes of a saga that is gone, so they waited for ever."""
    async with file_ground.orchestrator(*SAGAS) as leader:
        handle = await ended(leader, noting)
        seq = (await leader.history(handle.id))[-1].seq
        async with file_ground.orchestrator(worker=False) as looker:
            waiting = asyncio.ensure_future(looker._watch.saga(handle.id, seq))
            await asyncio.sleep(0.02)
            await leader.prune(older=0)
            await asyncio.wait_for(waiting, 10)
            with pytest.raises(NotFound, match="was pruned"):
                await looker.handle(handle.id).result()


@scene
async def test_a_key_that_is_forgotten_while_a_start_looks_at_it_is_free(ground):
    """Found by attack: it was called another input's."""
    clock, store = HandClock(), FaultyStore(ground.store())
    async with ground.orchestrator(*SAGAS, store=store, clock=clock) as orchestrator:
        first = await ended(orchestrator, noting, key="a")
        clock.ahead_ms += DAY_MS
        assert (await orchestrator.prune(older="1h")).sagas == 1
        clock.ahead_ms += DAY_MS

        async def forgotten(*_):
            del store.faults["key"]
            assert (await orchestrator.prune(older="1h", key_retention="1h")).rows == 1

        store.faults["key"] = forgotten
        again = await orchestrator.start(noting, Order(1), key="a")
        assert again.id != first.id and await again.result() == 1
