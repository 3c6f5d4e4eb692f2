"""Sleeps, waits, backoffs and deadlines are rows on disk; only the near future is in memory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from amends import Retry, Saga, SagaCompensated, sleep, step, wait_for
from tests.runtime.stage import HandClock, events_of, kill, scene, until

DAY_MS = 86_400_000


@dataclass
class Order:
    number: int


@dataclass
class Approval:
    by: str


@step
async def note(order: Order) -> int:
    return order.number


sleeper = Saga("sleeper", sleep("7d"), note, input=Order)
waiter = Saga("waiter", wait_for("approval", Approval), note, input=Order)


def engine_of(orchestrator):
    return orchestrator._leader.engine


@scene
async def test_a_saga_that_sleeps_for_seven_days_holds_no_actor_no_timer_and_no_task(ground):
    async with ground.orchestrator(sleeper) as orchestrator:
        await (await orchestrator.start(sleeper, Order(0), key="warm")).status()
        tasks = len(asyncio.all_tasks())
        handles = [await orchestrator.start(sleeper, Order(number)) for number in range(50)]
        engine = engine_of(orchestrator)
        await until(lambda: not engine.actors, "leaving memory")
        assert len(engine.timers) == 0
        await until(lambda: len(asyncio.all_tasks()) <= tasks, "having no more tasks than before")
        assert {await handle.status() for handle in handles} == {"running"}
        assert (await orchestrator.get(handles[0].id)).hold == "timer"


@scene
async def test_a_saga_that_slept_for_seven_days_is_woken_from_disk(ground):
    clock = HandClock()
    async with ground.orchestrator(sleeper, clock=clock, horizon="20ms") as orchestrator:
        handle = await orchestrator.start(sleeper, Order(7))
        await until(lambda: not engine_of(orchestrator).actors)
        clock.ahead_ms += 7 * DAY_MS - 60_000
        await asyncio.sleep(0.05)
        assert await handle.status() == "running"
        clock.ahead_ms += 60_000
        await until(lambda: handle_done(handle), "waking")
        assert await handle.result() == 7


@scene
async def test_sleepers_wake_and_commands_arrive_while_the_lists_have_much_to_catch_up_with(ground):
    """A backlog of a million sagas takes a minute to fold; whoever was due meanwhile was late by that."""
    clock = HandClock()
    async with (
        ground.orchestrator(sleeper, waiter, clock=clock, horizon="20ms") as orchestrator,
        ground.orchestrator(waiter, worker=False) as other,
    ):
        sleeping = await orchestrator.start(sleeper, Order(7))
        waiting = await orchestrator.start(waiter, Order(8))
        await until(lambda: not engine_of(orchestrator).actors)
        folds = []

        async def endless(*, limit):
            await asyncio.sleep(0.01)
            folds.append(limit)
            return limit

        store = engine_of(orchestrator).store
        project, store.project = store.project, endless
        await until(lambda: len(folds) > 3)
        clock.ahead_ms += 7 * DAY_MS
        folded = len(folds)
        assert await other.signal(waiting.id, "approval", Approval("ann"))
        await until(lambda: handle_done(sleeping), "waking")
        await until(lambda: handle_done(waiting), "the signal")
        await until(lambda: len(folds) > folded + 3)  # and it goes on with the lists
        store.project = project


@scene
async def test_opening_does_not_keep_commands_and_sleepers_waiting_until_the_lists_are_up(ground):
    """What is on hold is looked for in the lists, and those may be a million sagas behind."""
    clock = HandClock()
    async with ground.orchestrator(sleeper, waiter, clock=clock, horizon="20ms") as orchestrator:
        sleeping = await orchestrator.start(sleeper, Order(7))
        waiting = await orchestrator.start(waiter, Order(8))
        await until(lambda: not engine_of(orchestrator).actors)
        await kill(orchestrator)
    store = ground.store()
    asked = []

    async def behind(which, *, before, limit, fresh):
        asked.append(which)
        await asyncio.sleep(3_600)

    async with ground.orchestrator(sleeper, waiter, store=store, clock=clock, horizon="20ms") as orchestrator:
        store.summaries, summaries = behind, store.summaries
        await until(lambda: asked, "looking for what is on hold")
        clock.ahead_ms += 7 * DAY_MS
        other = ground.store()
        await other.open()
        async with ground.orchestrator(waiter, worker=False, store=other) as beside:
            assert await beside.signal(waiting.id, "approval", Approval("ann"))
            await until(lambda: handle_done(orchestrator.handle(sleeping.id)), "waking")
            await until(lambda: handle_done(orchestrator.handle(waiting.id)), "the signal")
            store.summaries = summaries


@scene
async def test_sleepers_wake_beside_processes_that_start_sagas_without_end(ground):
    clock = HandClock()
    async with ground.orchestrator(sleeper, clock=clock, horizon="20ms") as orchestrator:
        sleeping = await orchestrator.start(sleeper, Order(7))
        await until(lambda: not engine_of(orchestrator).actors)
        pages = []

        async def endless():
            await asyncio.sleep(0.002)
            pages.append(clock.ahead_ms)
            return True  # there was one more that somebody had started

        intake = orchestrator._leader._intake
        page, intake._page = intake._page, endless
        intake._bell.ring()
        await until(lambda: len(pages) > 50)  # longer than one stretch
        clock.ahead_ms += 7 * DAY_MS
        await until(lambda: handle_done(sleeping), "waking")
        seen = len(pages)
        await until(lambda: len(pages) > seen + 50)  # and it goes on taking in, though nobody rings
        intake._page = page


@scene
async def test_what_two_readings_at_once_have_read_is_taken_up_only_if_it_is_still_so(ground):
    """Shards are taken over while sleepers are woken: a saga may come, move and leave while its journal is read."""
    clock = HandClock()
    async with ground.orchestrator(sleeper, clock=clock, horizon="20ms") as orchestrator:
        moving = await orchestrator.start(sleeper, Order(1))
        await until(lambda: not engine_of(orchestrator).actors)
        intake, store = orchestrator._leader._intake, engine_of(orchestrator).store
        frames, read, gate = store.frames, asyncio.Event(), asyncio.Event()

        async def slow(saga_ids):
            store.frames = frames  # only the first reading
            rows = await frames(saga_ids)
            read.set()
            await gate.wait()
            return rows

        store.frames = slow
        first = asyncio.ensure_future(intake._take_up([moving.id]))
        await read.wait()
        clock.ahead_ms += 7 * DAY_MS
        await until(lambda: handle_done(moving), "waking, by the intake's own reading")
        engine = engine_of(orchestrator)
        await until(lambda: not engine.actors)
        gate.set()
        await first
        await engine.committer.flush()
        assert engine.error is None, "another actor has written a frame that is there already"
        assert await moving.result() == 1


async def handle_done(handle):
    return await handle.status() == "completed"


@scene
async def test_a_saga_whose_result_is_awaited_wakes_also_when_its_time_is_beyond_the_horizon(ground):
    nap = Saga("nap", note, sleep("80ms"), note.named("again"), input=Order)
    async with ground.orchestrator(nap, horizon="20ms") as orchestrator:
        handle = await orchestrator.start(nap, Order(3))
        assert await asyncio.wait_for(handle.result(), 3) == 3


@scene
async def test_a_deadline_beyond_the_horizon_cuts_a_call_that_runs(ground):
    @step(timeout=20)
    async def hang(order: Order) -> None:
        await asyncio.sleep(20)

    @hang.compensation
    async def unhang(order: Order) -> None: ...

    bounded = Saga("bounded", hang, deadline="120ms")
    async with ground.orchestrator(bounded, horizon="20ms") as orchestrator:
        handle = await orchestrator.start(bounded, Order(1))
        with pytest.raises(SagaCompensated, match="deadline"):
            await asyncio.wait_for(handle.result(), 3)


@scene
async def test_a_signal_wakes_a_saga_that_is_on_disk_only(ground):
    async with ground.orchestrator(waiter) as orchestrator:
        handle = await orchestrator.start(waiter, Order(4))
        await until(lambda: not engine_of(orchestrator).actors, "leaving memory")
        assert await orchestrator.signal(handle.id, "approval", Approval("ann"))
        assert await asyncio.wait_for(handle.result(), 3) == 4
        assert not engine_of(orchestrator).actors


@scene
async def test_a_woken_saga_is_one_actor_however_many_ask_for_it(ground):
    release = asyncio.Event()

    @step
    async def held(order: Order) -> int:
        await release.wait()
        return order.number

    saga = Saga("many", wait_for("approval", Approval), held, input=Order)
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order(4))
        await until(lambda: not engine_of(orchestrator).actors)
        await asyncio.gather(
            *(orchestrator.signal(handle.id, "approval", Approval("ann"), id=str(at)) for at in range(5)),
            orchestrator.pause(handle.id, reason="look"),
        )
        assert len(engine_of(orchestrator).actors) == 1
        await orchestrator.resume(handle.id, reason="go")
        release.set()
        assert await asyncio.wait_for(handle.result(), 3) == 4
        assert orchestrator.failed is None


@scene
async def test_a_saga_woken_by_a_signal_is_found_awake_after_a_crash(ground):
    begun = asyncio.Event()
    release = asyncio.Event()

    @step
    async def held(order: Order) -> int:
        begun.set()
        await release.wait()
        return order.number

    saga = Saga("crash", wait_for("approval", Approval), held, input=Order)
    first = ground.orchestrator(saga)
    await first.__aenter__()
    handle = await first.start(saga, Order(4))
    await until(lambda: not engine_of(first).actors)
    await first.signal(handle.id, "approval", Approval("ann"))
    await begun.wait()
    await kill(first)
    release.set()
    async with ground.orchestrator(saga) as second:
        await until(lambda: handle_done(second.handle(handle.id)))  # nobody asks for its result, which would wake it
        assert "ActionCut" in await events_of(second, handle.id, "held")


@pytest.mark.parametrize("kind", ["sleep", "wait", "backoff"])
@scene
async def test_a_restart_in_the_middle_keeps_the_due_time(ground, kind):
    calls = []

    @step(retry=Retry(attempts=2, base="300ms", cap="300ms", jitter="none"))
    async def flaky(order: Order) -> int:
        calls.append(order.number)
        if len(calls) == 1:
            raise RuntimeError("no answer")
        return order.number

    middle = {
        "sleep": sleep("300ms"),
        "wait": wait_for("approval", Approval, timeout="300ms", on_timeout=()),
        "backoff": flaky,
    }
    saga = Saga(f"restart-{kind}", middle[kind], note, input=Order)
    async with ground.orchestrator(saga) as first:
        handle = await first.start(saga, Order(1))
        await until(lambda: due_of(first, handle.id), "a due time")
        due = await due_of(first, handle.id)
        assert due is not None
    async with ground.orchestrator(saga) as second:
        assert await due_of(second, handle.id) == due
        await asyncio.wait_for(second.handle(handle.id).result(), 3)
        ended = (await second.history(handle.id))[-1].at
        assert due <= ended
        assert (ended - due).total_seconds() < 0.25  # and not another 300 ms
    assert len(calls) in (0, 2)


async def due_of(orchestrator, saga_id):
    return (await orchestrator.get(saga_id)).steps[0].due


@scene
async def test_a_due_time_that_comes_while_its_saga_leaves_memory_wakes_nobody_who_is_gone(ground):
    async with ground.orchestrator(sleeper, horizon="10ms") as orchestrator:
        handle = await orchestrator.start(sleeper, Order(1))
        engine = engine_of(orchestrator)
        await until(lambda: not engine.actors, "leaving memory")
        async with engine.visit(handle.id) as actor:
            actor.disarm()
            actor._on_due()  # the look at the horizon, on its way through the loop
        assert not engine.actors
        for _ in range(10):
            await asyncio.sleep(0)
        assert actor._timer is None  # else it would write beside the one that is taken up next
