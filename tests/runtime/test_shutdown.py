"""The end of an orchestrator: what runs may end, the rest is handed over, and the next one repeats it."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass

import pytest

from amends import Retry, Saga, UsageError, step
from amends.errors import LeaseLost, StoreUnavailable
from amends.stores.memory import MemoryStore
from tests.runtime.stage import ignore_cancellation, scene, until

ONCE = Retry(attempts=1)


@dataclass
class Order:
    number: int = 1


@scene
async def test_what_is_cut_at_shutdown_is_handed_over_and_repeated_without_using_up_an_attempt(ground):
    begun, attempts = asyncio.Event(), []

    @step(retry=ONCE)
    async def work(order: Order) -> int:
        attempts.append(1)
        if len(attempts) == 1:
            begun.set()
            await asyncio.sleep(20)
        return order.number

    saga = Saga("handed", work)
    async with ground.orchestrator(saga) as first:
        handle = await first.start(saga, Order(4))
        await begun.wait()
    async with ground.orchestrator(saga) as second:
        assert await second.handle(handle.id).result() == 4
        cut = [entry for entry in await second.history(handle.id) if entry.event == "ActionCut"]
        assert [entry.details["cause"] for entry in cut] == ["shutdown"]
    assert len(attempts) == 2


@scene
async def test_calls_whose_intent_is_on_its_way_at_shutdown_are_handed_over_as_such(ground):
    hold = asyncio.Event()

    @step(retry=ONCE)
    async def work(order: Order) -> int:
        await hold.wait()
        return order.number

    saga = Saga("announced", work)
    first = await ground.orchestrator(saga, concurrency=1).__aenter__()
    handles = [await first.start(saga, Order(at)) for at in range(3)]
    last = asyncio.create_task(first.start(saga, Order(3)))
    await asyncio.sleep(0)  # handed to the committer, and not durable yet
    await first.close()
    hold.set()
    handles.append(await last)
    async with ground.orchestrator(saga) as second:
        for at, handle in enumerate(handles):
            assert await second.handle(handle.id).result() == at
            cut = [entry for entry in await second.history(handle.id) if entry.event == "ActionCut"]
            assert [entry.details["cause"] for entry in cut] == ["shutdown"]


@scene
async def test_one_that_stands_by_takes_over_when_the_first_closes(file_ground):
    hold = asyncio.Event()

    @step(retry=ONCE)
    async def work(order: Order) -> int:
        await hold.wait()
        return order.number

    saga = Saga("standby", work)
    first = await file_ground.orchestrator(saga, lease="60s").__aenter__()
    async with file_ground.orchestrator(saga, lease="60ms") as second:
        handle = await first.start(saga, Order(4))
        assert (first.leading, second.leading) == (True, False)
        waiting = asyncio.create_task(second.handle(handle.id).result())
        await first.close()
        hold.set()
        assert await asyncio.wait_for(waiting, 5) == 4
        assert second.leading


@scene
async def test_two_orchestrators_with_stores_of_their_own_live_in_one_process(tmp_path):
    from tests.runtime.stage import Ground

    @step
    async def work(order: Order) -> int:
        return order.number

    saga = Saga("twins", work)
    async with Ground(tmp_path / "a.db").orchestrator(saga) as one, Ground(None).orchestrator(saga) as two:
        assert one.leading and two.leading
        first, second = await one.start(saga, Order(1), key="k"), await two.start(saga, Order(2), key="k")
        assert (await first.result(), await second.result()) == (1, 2)
        assert [view.id async for view in one.list()] == [first.id]


@scene
async def test_closing_twice_at_once_and_again_is_harmless(ground):
    orchestrator = await ground.orchestrator().__aenter__()
    await asyncio.gather(orchestrator.close(), orchestrator.close())
    await orchestrator.close()
    assert not orchestrator.leading


@scene
async def test_a_step_that_ignores_cancellation_does_not_keep_the_orchestrator_from_closing(ground):
    begun, release = asyncio.Event(), asyncio.Event()

    @step
    async def stubborn(order: Order) -> None:
        begun.set()
        await ignore_cancellation(release.wait())

    saga = Saga("stubborn", stubborn)
    orchestrator = await ground.orchestrator(saga).__aenter__()
    await orchestrator.start(saga, Order())
    await begun.wait()
    before = time.monotonic()
    await asyncio.wait_for(orchestrator.close(), 10)
    assert time.monotonic() - before < 5
    release.set()
    await asyncio.sleep(0.01)


@scene
async def test_a_thread_that_outlived_its_timeout_does_not_keep_the_orchestrator_from_closing(ground):
    begun, release = threading.Event(), threading.Event()

    @step(timeout="20ms", retry=ONCE, on_unknown="park")
    def slow(order: Order) -> None:
        begun.set()
        release.wait(20)

    @slow.compensation
    async def undo(order: Order) -> None: ...

    saga = Saga("thread", slow)
    try:
        orchestrator = await ground.orchestrator(saga).__aenter__()
        await orchestrator.start(saga, Order())
        await asyncio.to_thread(begun.wait, 5)
        await asyncio.sleep(0.04)
        before = time.monotonic()
        await asyncio.wait_for(orchestrator.close(), 10)
        assert time.monotonic() - before < 5
    finally:
        release.set()


@scene
async def test_whoever_waits_for_a_result_or_for_admission_at_shutdown_is_told(ground):
    hold = asyncio.Event()

    @step
    async def work(order: Order) -> None:
        await hold.wait()

    saga = Saga("told", work)
    async with ground.orchestrator(saga, admission=1) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        waiting = asyncio.create_task(handle.result())
        starting = asyncio.create_task(orchestrator.start(saga, Order()))
        await asyncio.sleep(0.01)
    with pytest.raises(UsageError, match="not open"):
        await asyncio.wait_for(waiting, 3)
    with pytest.raises(StoreUnavailable, match="stopping"):
        await asyncio.wait_for(starting, 3)


@scene
async def test_leaving_takes_every_task_and_thread_with_it(ground):
    @step
    def work(order: Order) -> int:
        return order.number

    saga = Saga("tidy", work)
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
    async with ground.orchestrator(saga) as orchestrator:
        assert await (await orchestrator.start(saga, Order(1))).result() == 1
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == tasks
    await until(lambda: set(threading.enumerate()) <= threads)


def test_a_memory_store_is_free_again_after_its_orchestrator_closed():
    store = MemoryStore()

    async def life() -> bool:
        from amends import Orchestrator

        async with Orchestrator(store) as orchestrator:
            return orchestrator.leading

    assert asyncio.run(life()) and asyncio.run(life())


@pytest.mark.parametrize("turns", range(5))
@scene
async def test_closing_in_the_moment_in_which_the_lease_is_lost_comes_to_an_end(ground, turns):
    orchestrator = await ground.orchestrator().__aenter__()
    await asyncio.sleep(0)
    orchestrator._leader.engine.fail(LeaseLost("another one has it"))
    for _ in range(turns):
        await asyncio.sleep(0)
    await asyncio.wait_for(orchestrator.close(), 5)
    assert not orchestrator.leading
