"""A store that failed: nothing more is acknowledged, everybody is told, a restart has all that was acknowledged."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from amends import Saga, step
from amends.errors import StoreFailed, StoreUnavailable
from tests.runtime.stage import FaultyStore, events_of, scene, until


@dataclass
class Order:
    number: int = 1


class Rig:
    def __init__(self, ground) -> None:
        self.hold = asyncio.Event()
        self.begun = asyncio.Event()
        self.calls = []

        @step
        async def first(order: Order) -> int:
            self.calls.append("first")
            self.begun.set()
            await self.hold.wait()
            return order.number

        @step
        async def second(order: Order, first: int) -> int:
            self.calls.append("second")
            return first

        self.saga = Saga("orders", first, second)
        self.store = FaultyStore(ground.store())

    def break_disk(self) -> None:
        def full(*_, **__):
            raise StoreFailed("the disk is full", code="AM6021")

        self.store.faults = dict.fromkeys(("commit", "start", "post", "renew"), full)


@scene
async def test_after_a_failed_write_nothing_is_acknowledged_and_a_restart_recovers_what_was(ground):
    rig = Rig(ground)
    # The lease of a failed store cannot be given back, and this process lives on; yet nobody waits an hour for it.
    async with ground.orchestrator(rig.saga, store=rig.store, lease="1h") as orchestrator:
        handle = await orchestrator.start(rig.saga, Order(5))
        waiting = asyncio.create_task(handle.result())
        await rig.begun.wait()
        assert orchestrator.failed is None
        rig.break_disk()
        starting = asyncio.create_task(orchestrator.start(rig.saga, Order(6), key="never acknowledged"))
        rig.hold.set()  # the first step's result cannot be written, so the second never begins
        for task in (starting, waiting):
            with pytest.raises(StoreFailed, match="disk is full"):
                await asyncio.wait_for(task, 3)
        assert isinstance(orchestrator.failed, StoreFailed)
        assert not orchestrator.leading
        for call in (
            lambda: orchestrator.start(rig.saga, Order(7)),
            lambda: orchestrator.cancel(handle.id, reason="r"),
            lambda: orchestrator.signal(handle.id, "x"),
            handle.result,
            orchestrator.drain,
        ):
            with pytest.raises(StoreFailed):
                await asyncio.wait_for(call(), 3)
        assert (await orchestrator.get(handle.id)).status == "running"  # looking still works
    assert rig.calls == ["first"]
    async with ground.orchestrator(rig.saga) as again:
        assert await again.handle(handle.id).result() == 5
        assert len([view async for view in again.list()]) == 1
    assert rig.calls == ["first", "first", "second"]


@scene
async def test_verbs_and_those_who_wait_for_admission_are_told_too(ground):
    rig = Rig(ground)
    async with ground.orchestrator(rig.saga, store=rig.store, admission=1) as orchestrator:
        handle = await orchestrator.start(rig.saga, Order(5))
        await rig.begun.wait()
        queued = asyncio.create_task(orchestrator.start(rig.saga, Order(6)))
        await asyncio.sleep(0.01)
        rig.break_disk()
        with pytest.raises(StoreFailed):
            await asyncio.wait_for(orchestrator.cancel(handle.id, reason="r"), 3)
        with pytest.raises(StoreFailed):
            await asyncio.wait_for(queued, 3)


@scene
async def test_an_error_that_no_store_may_raise_counts_as_a_failure_and_not_as_success(ground):
    rig = Rig(ground)
    async with ground.orchestrator(rig.saga, store=rig.store) as orchestrator:

        def surprise(*_, **__):
            raise ZeroDivisionError("a bug in a store")

        rig.store.faults["commit"] = surprise
        with pytest.raises(StoreFailed, match="a bug in a store"):
            await asyncio.wait_for(orchestrator.start(rig.saga, Order(5)), 3)
        assert isinstance(orchestrator.failed, StoreFailed)


@scene
async def test_the_bus_tells_of_the_failure(ground):
    rig, told = Rig(ground), []
    async with ground.orchestrator(rig.saga, store=rig.store) as orchestrator:
        orchestrator.subscribe(told.append, "store.*")
        rig.break_disk()
        with pytest.raises(StoreFailed):
            await orchestrator.start(rig.saga, Order(5))
        await until(lambda: told)
        assert (told[0].event, "disk is full" in told[0].error) == ("store.failed", True)


@scene
async def test_a_store_out_of_reach_is_waited_for_and_a_batch_lands_once(ground):
    rig = Rig(ground)
    rig.hold.set()
    left, landed = [3], []
    inner = ground.store()
    store = rig.store = FaultyStore(inner)

    async def lost_answers(lease, batch):
        if left[0] > 0:
            left[0] -= 1
            landed.append(await inner.commit(lease, batch))  # it lands, and the answer is lost
            raise StoreUnavailable("no answer")

    store.faults["commit"] = lost_answers
    async with ground.orchestrator(rig.saga, store=store) as orchestrator:
        handle = await orchestrator.start(rig.saga, Order(5))
        assert await handle.result() == 5
        events = await events_of(orchestrator, handle.id)
        assert events.count("Started") == 1 and events.count("ActionSucceeded") == 2
    assert left == [0] and landed


@scene
async def test_a_lease_lost_in_a_commit_cuts_what_runs_and_another_term_goes_on(ground):
    rig = Rig(ground)
    async with ground.orchestrator(rig.saga, store=rig.store, lease="60ms") as orchestrator:
        handle = await orchestrator.start(rig.saga, Order(5))
        await rig.begun.wait()
        store = rig.store._inner
        from amends.stores.base import Owner

        thief = await store.acquire(Owner("thief"), ttl_ms=50, now=2**50) or pytest.fail("the lease was not taken")
        await until(lambda: not orchestrator.leading)
        assert (await events_of(orchestrator, handle.id))[-1] == "ActionStarted"
        await store.release(thief)
        rig.hold.set()
        assert await asyncio.wait_for(handle.result(), 5) == 5
        assert orchestrator.failed is None
        assert "ActionCut" in await events_of(orchestrator, handle.id)
