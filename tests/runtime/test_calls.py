"""Timeouts that cancel, calls that do not end, answers that come late."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass

import pytest

from amends import Context, Rejected, Retry, Saga, SagaCompensated, SagaRequiresManual, step
from amends.errors import NotSent
from tests.runtime.stage import events_of, ignore_cancellation, scene, until

ONCE = Retry(attempts=1)
TWICE = Retry(attempts=2, base=0.001, cap=0.001)


@dataclass
class Order:
    number: int = 1


@step
async def turn_back(order: Order) -> None:
    raise Rejected("turn back")


@scene
async def test_a_timeout_cancels_the_call_and_leaves_its_outcome_unknown(ground):
    cancelled = asyncio.Event()

    @step(timeout="20ms", retry=ONCE)
    async def hang(order: Order) -> None:
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    outcomes = []

    @hang.compensation
    async def undo(order: Order, ctx: Context) -> None:
        outcomes.append(ctx.outcome)

    saga = Saga("timeout", hang)
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        with pytest.raises(SagaCompensated, match="no answer within 20ms"):
            await handle.result()
    assert cancelled.is_set()
    assert outcomes == ["unknown"]


@scene
async def test_asyncio_timeout_and_task_groups_work_inside_a_step(ground):
    @step
    async def inner(order: Order) -> str:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(10)
        except TimeoutError:
            pass
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(10))
                group.create_task(fail())
        except ExceptionGroup:
            return "survived"
        return "not reached"

    async def fail() -> None:
        raise ValueError

    saga = Saga("inner", inner)
    async with ground.orchestrator(saga, concurrency=1) as orchestrator:
        for _ in range(3):
            assert await (await orchestrator.start(saga, Order())).result() == "survived"


@pytest.mark.parametrize("returns", [True, False])
@scene
async def test_a_step_that_cancels_its_own_task_harms_no_other_saga(ground, returns):
    @step(retry=ONCE)
    async def cancels(order: Order) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        if not returns:
            await asyncio.sleep(1)

    @cancels.compensation
    async def undo(order: Order) -> None: ...

    @step(retry=ONCE)
    async def grouped(order: Order) -> str:
        await asyncio.sleep(0.001)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                await asyncio.sleep(1)
        except ExceptionGroup:
            return "unharmed"
        return "not reached"

    async def fail() -> None:
        raise ValueError

    release = asyncio.Event()

    @step
    async def gate(order: Order) -> None:
        await release.wait()

    bad, good, gated = Saga("bad", cancels), Saga("good", grouped), Saga("gated", gate)
    async with ground.orchestrator(bad, good, gated, concurrency=1) as orchestrator:
        await orchestrator.start(gated, Order())
        first = await orchestrator.start(bad, Order())
        handles = [await orchestrator.start(good, Order()) for _ in range(3)]
        release.set()  # the one worker has all of them before it, one after the other
        assert [await handle.result() for handle in handles] == ["unharmed"] * 3
        await until(lambda: ended(first))


async def ended(handle):
    return await handle.status() in ("completed", "compensated")


@scene
async def test_a_step_that_raises_what_is_no_exception_is_unknown_and_its_saga_goes_on(ground):
    class Outcome(BaseException): ...

    @step(retry=ONCE)
    async def fails(order: Order) -> None:
        raise Outcome("as pytest.fail does")

    @fails.compensation
    async def undo(order: Order) -> None: ...

    saga = Saga("base", fails)
    async with ground.orchestrator(saga) as orchestrator:
        with pytest.raises(SagaCompensated, match="as pytest.fail does"):
            await asyncio.wait_for((await orchestrator.start(saga, Order())).result(), 3)


@scene
async def test_a_coroutine_that_ignores_cancellation_is_answered_for_and_its_late_success_settles_the_step(ground):
    release, calls = asyncio.Event(), []

    @step(timeout="20ms", retry=Retry(attempts=3, base="5s", cap="5s", jitter="none"))
    async def stubborn(order: Order) -> str:
        calls.append(order.number)
        await ignore_cancellation(release.wait())
        return "late"

    saga = Saga("stubborn", stubborn)
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        await until(lambda: has(orchestrator, handle.id, "ActionUnknown"))
        release.set()
        assert await handle.result() == "late"
        assert "LateSucceeded" in await events_of(orchestrator, handle.id)
    assert calls == [1]


async def has(orchestrator, saga_id, event):
    return event in await events_of(orchestrator, saga_id)


@scene
async def test_a_retry_waits_for_the_thread_of_the_attempt_before_it(ground):
    lock, overlaps, calls = threading.Lock(), [], []
    release = threading.Event()

    @step(timeout="150ms", retry=TWICE)
    def slow(order: Order) -> int:
        if not lock.acquire(blocking=False):
            overlaps.append(order.number)
            return 0
        try:
            calls.append(order.number)
            if len(calls) == 1:
                release.wait(5)
                raise RuntimeError("the first attempt ends late, without success")
            return len(calls)
        finally:
            lock.release()

    saga = Saga("threads", slow)
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        await until(lambda: has_twice(orchestrator, handle.id))
        assert calls == [1]  # announced, and waiting for the thread
        release.set()
        assert await handle.result() == 2
        assert "AttemptAbandoned" not in await events_of(orchestrator, handle.id)
    assert overlaps == []


async def has_twice(orchestrator, saga_id):
    return (await events_of(orchestrator, saga_id)).count("ActionStarted") == 2


@pytest.mark.parametrize("next_call", ["retry", "probe", "compensation"])
@scene
async def test_the_next_call_waits_at_most_one_timeout_more_and_then_the_attempt_is_abandoned(ground, next_call):
    release, made = threading.Event(), []

    @step(timeout="40ms", retry=TWICE if next_call == "retry" else ONCE)
    def slow(order: Order) -> int:
        made.append("action")
        if len(made) == 1:
            release.wait(10)
        return 5

    @slow.compensation(timeout="40ms")
    async def undo(order: Order) -> None:
        made.append("compensation")

    if next_call == "probe":

        @slow.probe(timeout="40ms")
        async def look(order: Order) -> int | None:
            made.append("probe")
            return 5

    saga = Saga("abandoned", slow)
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        try:
            if next_call == "compensation":
                with pytest.raises(SagaCompensated):
                    await handle.result()
            else:
                assert await handle.result() == 5
            events = await events_of(orchestrator, handle.id, "slow")
        finally:
            release.set()
    assert made == ["action", "action" if next_call == "retry" else next_call]
    started = {"retry": "ActionStarted", "probe": "ProbeStarted", "compensation": "CompensationStarted"}[next_call]
    at = events.index("AttemptAbandoned")
    assert started in events[:at]


@scene
async def test_an_undo_waits_for_the_thread_even_when_an_attempt_in_between_was_cut_by_the_deadline(ground):
    release, made, first_over = threading.Event(), [], threading.Event()

    @step(timeout="300ms", retry=Retry(attempts=5, base=0.001, cap=0.001))
    def slow(order: Order) -> int:
        made.append("action")
        release.wait(10)
        first_over.set()
        raise RuntimeError("nothing came of it")

    @slow.compensation(timeout="5s")
    def undo(order: Order) -> None:
        made.append(f"undo, thread over: {first_over.is_set()}")

    saga = Saga("between", slow, deadline="400ms")
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        await until(lambda: has(orchestrator, handle.id, "CompensationStarted"))
        await asyncio.sleep(0.03)
        release.set()
        with pytest.raises(SagaCompensated):
            await handle.result()
    assert made == ["action", "undo, thread over: True"]


@scene
async def test_a_late_success_before_its_undo_begins_settles_the_step(ground):
    release = threading.Event()

    @step(timeout="30ms", retry=ONCE, on_unknown="park")
    def slow(order: Order) -> str:
        release.wait(5)
        return "late"

    @slow.compensation
    async def undo(order: Order) -> None: ...

    saga = Saga("park", slow)
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        with pytest.raises(SagaRequiresManual):
            await handle.result()
        release.set()
        await until(lambda: ended(handle))
        assert await handle.result() == "late"
        assert not (await orchestrator.get(handle.id)).anomalous


@scene
async def test_a_success_after_an_acknowledged_undo_marks_the_saga_anomalous_and_it_is_listed(ground):
    release = threading.Event()

    @step(timeout="30ms", retry=ONCE)
    def slow(order: Order) -> str:
        release.wait(5)
        return "late"

    @slow.compensation(timeout="30ms")
    async def undo(order: Order) -> None: ...

    saga = Saga("anomaly", slow)
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        with pytest.raises(SagaCompensated):
            await handle.result()
        assert [view async for view in orchestrator.list(anomalous=True)] == []
        release.set()
        await until(lambda: has(orchestrator, handle.id, "AnomalyNoted"))
        assert [view.id async for view in orchestrator.list(anomalous=True)] == [handle.id]
        assert await handle.status() == "compensated"
        assert orchestrator.failed is None


@scene
async def test_a_late_success_finds_its_saga_also_when_that_has_left_memory_and_come_back(ground):
    release, made = threading.Event(), []

    @step(timeout="30ms", retry=TWICE, on_unknown="park")
    def slow(order: Order) -> str:
        made.append("call")
        if len(made) == 1:
            release.wait(5)
            return "of the first attempt"
        raise RuntimeError("no answer")

    @slow.compensation
    async def undo(order: Order) -> None: ...

    saga = Saga("lost", slow)
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        with pytest.raises(SagaRequiresManual):
            await handle.result()
        await until(lambda: not orchestrator._leader.engine.actors)
        assert "AttemptAbandoned" in await events_of(orchestrator, handle.id)
        await orchestrator.retry(handle.id, reason="again")
        await until(lambda: not orchestrator._leader.engine.actors)
        release.set()
        await until(lambda: ended(handle))
        assert await handle.result() == "of the first attempt"
        assert orchestrator.failed is None


@scene
async def test_a_thread_that_was_never_free_is_proven_not_sent(ground):
    release = threading.Event()

    @step(timeout=5)
    def holds(order: Order) -> None:
        release.wait(5)

    @step(timeout="40ms", retry=ONCE)
    def waits(order: Order) -> None:
        raise AssertionError("never called")

    holder, waiter = Saga("holder", holds), Saga("waiter", waits)
    async with ground.orchestrator(holder, waiter, threads=1) as orchestrator:
        first = await orchestrator.start(holder, Order())
        second = await orchestrator.start(waiter, Order())
        with pytest.raises(SagaCompensated, match="no thread was free"):
            await second.result()
        assert "ActionNotSent" in await events_of(orchestrator, second.id)
        release.set()
        await first.result()


@scene
async def test_not_sent_is_never_inferred_but_believed_when_the_author_says_it(ground):
    undone = []

    @step(retry=ONCE)
    async def refused(order: Order) -> None:
        raise NotSent("connection refused") if order.number else ConnectionRefusedError("connection refused")

    @refused.compensation
    async def undo(order: Order) -> None:
        undone.append(order.number)

    saga = Saga("sent", refused)
    async with ground.orchestrator(saga) as orchestrator:
        for number in (0, 1):
            with pytest.raises(SagaCompensated):
                await (await orchestrator.start(saga, Order(number))).result()
    assert undone == [0]
