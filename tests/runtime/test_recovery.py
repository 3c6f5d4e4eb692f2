"""Recovery: in pages, while the store fails, and while others start and ask."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from amends import Saga, step
from amends.core.events import Started, encode_frame
from amends.errors import LeaseLost, StoreUnavailable
from amends.stores.base import FrameRow
from tests.runtime.stage import FaultyStore, events_of, scene, until

MANY = 1_203


@dataclass
class Order:
    number: int = 1


@step
async def note(order: Order) -> int:
    return order.number


saga = Saga("orders", note)


async def write_starts(ground, how_many):
    """As many starts as another process would have left behind."""
    store = ground.store()
    await store.open()
    ids = [f"01SAGA{at:08}" for at in range(how_many)]
    for at, saga_id in enumerate(ids):
        raw = saga.encode_input(Order(at))
        started = Started(saga_id, saga.name, saga.version, saga.fingerprint, raw)
        await store.start(FrameRow(saga_id, 1, encode_frame(1, [started])), None)
        if ground.memory is None and at == 0:  # fsync of a thousand starts is another test's matter
            await store._write(lambda db: db.execute("PRAGMA synchronous = OFF"))
    store.close()
    return ids


@scene
async def test_more_sagas_than_a_page_are_all_recovered(ground):
    ids = await write_starts(ground, MANY)
    async with ground.orchestrator(saga) as orchestrator:
        await orchestrator.drain()
        completed = [view.id async for view in orchestrator.list(status="completed")]
        assert sorted(completed) == ids
        for at in (0, 499, 500, MANY - 1):
            assert await orchestrator.handle(ids[at]).result() == at
            assert (await events_of(orchestrator, ids[at])).count("ActionStarted") == 1


@scene
async def test_a_store_that_is_out_of_reach_during_recovery_is_asked_again(ground):
    ids = await write_starts(ground, 520)
    store = FaultyStore(ground.store())
    left = {"open_sagas": 2, "frames": 2, "changed": 2, "commands": 2, "commit": 3}

    def fail(verb):
        def fault(*_, **__):
            if left[verb] > 0:
                left[verb] -= 1
                raise StoreUnavailable(f"{verb} out of reach")

        return fault

    store.faults = {verb: fail(verb) for verb in left}
    async with ground.orchestrator(saga, store=store) as orchestrator:
        await until(lambda: not any(left.values()), "all the faults", 10)
        await orchestrator.drain()
        assert len([view.id async for view in orchestrator.list(status="completed")]) == len(ids)
        for saga_id in (ids[0], ids[-1]):
            assert (await events_of(orchestrator, saga_id)).count("ActionStarted") == 1
        assert orchestrator.failed is None


@scene
async def test_a_lease_lost_in_the_middle_of_recovery_leaves_the_rest_to_the_next_term(ground):
    ids = await write_starts(ground, 520)
    store = FaultyStore(ground.store())
    lost = []

    def fault(lease, batch):
        if not lost:
            lost.append(1)
            raise LeaseLost("another one leads")

    store.faults["commit"] = fault
    async with ground.orchestrator(saga, store=store, lease="300ms") as orchestrator:
        await until(lambda: all_completed(orchestrator, ids), "all of them, by the next term", 10)
        assert lost == [1]
        assert orchestrator.failed is None


async def all_completed(orchestrator, ids):
    return len([view.id async for view in orchestrator.list(status="completed")]) == len(ids)


@scene
async def test_a_start_with_a_key_during_recovery_finds_the_saga_that_is_not_taken_up_yet(ground):
    release = asyncio.Event()
    async with ground.orchestrator(saga, worker=False) as client:
        handle = await client.start(saga, Order(3), key="k")
    store = FaultyStore(ground.store())

    async def slow(*_, **__):
        await release.wait()

    store.faults["open_sagas"] = slow
    async with ground.orchestrator(saga, store=store) as orchestrator:
        again = await orchestrator.start(saga, Order(3), key="k")
        assert again.id == handle.id
        assert await asyncio.wait_for(again.result(), 3) == 3  # who asks for it takes it up
        release.set()
        await orchestrator.drain()
        assert (await events_of(orchestrator, handle.id)).count("ActionStarted") == 1
