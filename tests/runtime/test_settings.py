"""Every setting, by its effect: concurrency, threads, admission, lease, grace, poll, horizon, deaths_max, patience."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass

import pytest

from amends import Context, Orchestrator, Retry, Saga, SagaRequiresManual, UsageError, parallel, sleep, step
from amends.runtime.settings import Settings
from tests.runtime.stage import FaultyStore, events_of, kill, scene, until


@dataclass
class Order:
    number: int = 1


class Gauge:
    """How many are inside at once."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.now -= 1


@scene
async def test_concurrency_bounds_the_calls_at_a_time(ground):
    gauge = Gauge()

    @step
    async def work(order: Order) -> None:
        with gauge:
            await asyncio.sleep(0.005)

    saga = Saga("bounded", work)
    async with ground.orchestrator(saga, concurrency=2) as orchestrator:
        handles = [await orchestrator.start(saga, Order()) for _ in range(8)]
        for handle in handles:
            await handle.result()
    assert gauge.most == 2


@scene
async def test_a_saga_with_fifty_branches_does_not_starve_another(ground):
    order_of_calls, release = [], asyncio.Event()

    def branch(at):
        @step(name=f"b{at}")
        async def work(order: Order) -> None:
            await release.wait()
            order_of_calls.append("wide")
            await asyncio.sleep(0)

        return work

    @step
    async def single(order: Order) -> None:
        order_of_calls.append("narrow")

    wide, narrow = Saga("wide", parallel(*(branch(at) for at in range(50)))), Saga("narrow", single)
    async with ground.orchestrator(wide, narrow, concurrency=2) as orchestrator:
        first = await orchestrator.start(wide, Order())
        second = await orchestrator.start(narrow, Order())
        release.set()
        await second.result()
        await first.result()
    assert order_of_calls.index("narrow") <= 6
    assert order_of_calls.count("wide") == 50


@scene
async def test_threads_bounds_the_sync_functions_at_a_time(ground):
    gauge = Gauge()

    @step
    def work(order: Order) -> None:
        with gauge:
            time.sleep(0.01)

    saga = Saga("threads", work)
    async with ground.orchestrator(saga, threads=2) as orchestrator:
        handles = [await orchestrator.start(saga, Order()) for _ in range(6)]
        for handle in handles:
            await handle.result()
    assert gauge.most == 2


@scene
async def test_admission_makes_start_wait_for_room_and_a_cancelled_wait_passes_its_place_on(ground):
    release = asyncio.Event()

    @step
    async def work(order: Order) -> int:
        await release.wait()
        return order.number

    saga = Saga("admitted", work)
    async with ground.orchestrator(saga, admission=1) as orchestrator:
        first = await orchestrator.start(saga, Order(1))
        second = asyncio.create_task(orchestrator.start(saga, Order(2)))
        third = asyncio.create_task(orchestrator.start(saga, Order(3)))
        await asyncio.sleep(0.03)
        assert not second.done() and not third.done()
        engine = orchestrator._leader.engine
        engine.forget, forget = (
            lambda actor: (forget(actor), second.cancel()),
            engine.forget,
        )  # in the turn that makes room
        release.set()
        assert await first.result() == 1
        assert await (await asyncio.wait_for(third, 3)).result() == 3
        assert second.cancelled()


@scene
async def test_admission_never_keeps_a_step_from_starting_a_saga(ground):
    """Found by attack: sagas that start sagas waited for their own places, until their steps had timed out."""
    begun = asyncio.Barrier(2)

    @step
    async def work(order: Order) -> int:
        return order.number

    child = Saga("child", work)

    @step(timeout="2s", retry=Retry(attempts=1))
    async def start_child(order: Order, ctx: Context) -> int:
        await begun.wait()
        return await (await orchestrator.start(child, order, key=ctx.idempotency_key)).result()

    parent = Saga("parent", start_child)
    async with ground.orchestrator(parent, child, admission=2) as orchestrator:
        parents = [await orchestrator.start(parent, Order(number)) for number in (1, 2)]
        assert [await handle.result() for handle in parents] == [1, 2]


@scene
async def test_sleeping_sagas_take_no_place_from_admission(ground):
    saga = Saga("sleeping", sleep("7d"), input=Order)
    async with ground.orchestrator(saga, admission=2) as orchestrator:
        for _ in range(10):
            await asyncio.wait_for(orchestrator.start(saga, Order()), 3)


@scene
async def test_a_lease_that_is_not_renewed_runs_out_and_another_takes_over(file_ground):
    release = asyncio.Event()

    @step
    async def work(order: Order) -> int:
        await release.wait()
        return order.number

    saga = Saga("leased", work)
    short, long = await file_ground.orchestrator(saga, lease="90ms").__aenter__(), file_ground.orchestrator(saga)
    handle = await short.start(saga, Order(5))
    async with long:
        assert short.leading and not long.leading
        await asyncio.sleep(0.2)
        assert short.leading  # renewed meanwhile
        stalled = asyncio.Event()

        async def stall(*_, **__):
            stalled.set()
            await asyncio.sleep(60)

        short._store.renew = stall
        await stalled.wait()
        await until(lambda: not short.leading, "giving up a lease that cannot be renewed", 1)
        await until(lambda: long.leading, "taking over", 3)
        release.set()
        assert await long.handle(handle.id).result() == 5
        await short.close()


@scene
async def test_grace_lets_running_calls_end_and_no_longer(ground):
    @step
    async def work(order: Order) -> int:
        await asyncio.sleep(order.number / 1_000)
        return order.number

    saga = Saga("graceful", work)
    async with ground.orchestrator(saga, grace="150ms") as orchestrator:
        short = await orchestrator.start(saga, Order(40))
        long = await orchestrator.start(saga, Order(20_000))
        before = time.monotonic()
    assert 0.1 < time.monotonic() - before < 2
    async with ground.orchestrator(worker=False) as looking:
        assert "ActionSucceeded" in await events_of(looking, short.id)
        assert (await events_of(looking, long.id))[-1] == "ActionCut"


@scene
async def test_poll_is_how_often_an_idle_orchestrator_looks_when_no_doorbell_rings(file_ground):
    looks = {}
    for poll in ("10ms", "20s"):
        store = FaultyStore(file_ground.store())
        async with file_ground.orchestrator(Saga("polled", sleep("7d"), input=Order), poll=poll, store=store):
            await asyncio.sleep(0.7)
            looks[poll] = store.calls.count("changed")
    assert 0 < looks["20s"] <= 6  # each pause is twice the one before it
    assert looks["10ms"] > 2 * looks["20s"]


@scene
async def test_what_nobody_rings_for_is_found_by_looking(file_ground):
    saga = Saga("silent", sleep("7d"), input=Order)
    async with file_ground.orchestrator(saga, poll="20ms") as orchestrator:
        handle = await orchestrator.start(saga, Order())
        store = file_ground.store()
        store._belfry.ring = lambda what: None  # an older release, or one that may not write to our bells
        async with file_ground.orchestrator(worker=False, store=store) as other:
            assert await other.pause(handle.id, reason="look")


@scene
async def test_horizon_is_how_far_ahead_sagas_are_kept_in_memory(ground):
    saga = Saga("near", sleep("30s"), input=Order)
    for horizon, kept in (("1m", 1), ("1s", 0)):
        async with ground.orchestrator(saga, horizon=horizon) as orchestrator:
            await orchestrator.start(saga, Order())
            await asyncio.sleep(0.03)
            engine = orchestrator._leader.engine
            assert len(engine.actors) == kept
            assert len(engine.timers) == kept


@scene
async def test_deaths_max_is_how_many_deaths_in_a_row_make_a_step_poison(ground):
    begun = asyncio.Event()

    @step(retry=Retry(attempts=1))
    async def deadly(order: Order) -> None:
        begun.set()
        await asyncio.sleep(20)

    @deadly.compensation
    async def undo(order: Order) -> None: ...

    saga = Saga("deadly", deadly)
    first = await ground.orchestrator(saga, deaths_max=3).__aenter__()
    handle = await first.start(saga, Order())
    await begun.wait()
    await kill(first)
    for _ in range(2):
        begun.clear()
        again = await ground.orchestrator(saga, deaths_max=3).__aenter__()
        await begun.wait()
        await kill(again)
    async with ground.orchestrator(saga, deaths_max=3) as last:
        with pytest.raises(SagaRequiresManual, match="poison"):
            await last.handle(handle.id).result()
        assert [view.id async for view in last.list(hold="poison")] == [handle.id]
        assert (await events_of(last, handle.id)).count("ActionCut") == 3


@scene
async def test_patience_is_how_long_a_verb_waits_before_it_says_queued(file_ground):
    begun, release = asyncio.Event(), asyncio.Event()

    @step(pivot=True)
    async def capture(order: Order) -> None:
        begun.set()
        await release.wait()

    saga = Saga("patient", capture)
    async with file_ground.orchestrator(saga, patience="50ms") as orchestrator:
        handle = await orchestrator.start(saga, Order())
        await begun.wait()
        before = time.monotonic()
        assert await orchestrator.cancel(handle.id, reason="changed my mind") is False
        assert 0.04 < time.monotonic() - before < 1
        release.set()
        await handle.result()


@pytest.mark.parametrize(
    "setting",
    [{"concurrency": 0}, {"threads": True}, {"admission": "many"}, {"lease": 0}, {"horizon": "soon"}, {"spead": 1}],
)
def test_a_setting_that_cannot_be_is_refused_by_name(setting):
    with pytest.raises(UsageError, match=next(iter(setting))):
        Orchestrator("sqlite://", **setting)


def test_a_lease_lasts_longer_where_several_workers_ask_one_server():
    assert (Settings().lease_ms(shared=False), Settings().lease_ms(shared=True)) == (10_000, 30_000)
    assert Settings(lease="3s").lease_ms(shared=True) == 3_000
