"""What a deadline cuts, what it leaves alone, and what it proves."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from amends import Retry, Saga, SagaCompensated, SagaRequiresManual, parallel, step
from tests.runtime.stage import HandClock, events_of, scene

ONCE = Retry(attempts=1)


@dataclass
class Order:
    number: int = 1


@step
async def quick(order: Order) -> None: ...


@quick.compensation
async def undo_quick(order: Order) -> None: ...


@scene
async def test_the_deadline_cuts_every_running_action(ground):
    cut = []

    async def hang(order: Order) -> None:
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            cut.append(order.number)
            raise

    async def undo(order: Order) -> None: ...

    steps = [step(name=f"hang{at}")(hang) for at in range(2)]
    for each in steps:
        each.compensation(undo)
    saga = Saga("cut", parallel(*steps), deadline="400ms", input=Order)
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        with pytest.raises(SagaCompensated, match="deadline"):
            await handle.result()
        unknown = [entry for entry in await orchestrator.history(handle.id) if entry.event == "ActionUnknown"]
        assert [entry.details["cause"] for entry in unknown] == ["deadline", "deadline"]
    assert cut == [1, 1]


@scene
async def test_the_deadline_never_cuts_a_pivot(ground):
    begun, release = asyncio.Event(), asyncio.Event()

    @step(pivot=True)
    async def capture(order: Order) -> str:
        begun.set()
        await release.wait()
        return "captured"

    saga = Saga("pivot", quick, capture, deadline="400ms")
    clock = HandClock()
    async with ground.orchestrator(saga, clock=clock) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        await begun.wait()
        await asyncio.sleep(0.5)
        assert (await orchestrator.get(handle.id))["capture"].status == "running"
        release.set()
        assert await handle.result() == "captured"


@scene
async def test_a_deadline_spent_between_intent_and_call_is_proof_that_nothing_was_sent(ground):
    calls, release, clock = [], asyncio.Event(), HandClock()

    @step
    async def busy(order: Order) -> None:
        await release.wait()

    @step(retry=ONCE)
    async def called(order: Order) -> None:
        calls.append("action")

    @called.compensation
    async def undo(order: Order) -> None:
        calls.append("compensation")

    holder, saga = Saga("holder", busy), Saga("spent", called, deadline="5s")
    async with ground.orchestrator(holder, saga, concurrency=1, clock=clock) as orchestrator:
        first = await orchestrator.start(holder, Order())
        handle = await orchestrator.start(saga, Order())  # announced, and queued behind the first
        assert "ActionStarted" in await events_of(orchestrator, handle.id)
        clock.ahead_ms += 6_000
        release.set()
        with pytest.raises(SagaCompensated):
            await handle.result()
        await first.result()
        events = await events_of(orchestrator, handle.id, "called")
    assert calls == []
    assert events[:2] == ["ActionStarted", "ActionNotSent"]
    assert "CompensationStarted" not in events


@scene
async def test_a_result_in_hand_is_folded_before_a_deadline_of_the_same_turn(ground):
    begun, answer, clock = asyncio.Event(), asyncio.Event(), HandClock()

    @step
    async def last(order: Order) -> str:
        begun.set()
        await answer.wait()
        return "in time"

    saga = Saga("same", last, deadline="30s")
    async with ground.orchestrator(saga, clock=clock) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        await begun.wait()
        actor = orchestrator._leader.engine.actors[handle.id]
        clock.ahead_ms += 31_000
        actor._on_due()  # the timer fires in the very turn in which the answer arrives, and even before it
        answer.set()
        assert await handle.result() == "in time"
        assert "DeadlinePassed" not in await events_of(orchestrator, handle.id)


@scene
async def test_a_backoff_that_would_pass_the_deadline_is_not_slept(ground):
    calls = []

    @step(retry=Retry(attempts=5, base="10s", cap="10s", jitter="none"))
    async def flaky(order: Order) -> None:
        calls.append("action")
        raise RuntimeError("no answer")

    @flaky.compensation
    async def undo(order: Order) -> None:
        calls.append("compensation")

    saga = Saga("backoff", flaky, deadline="5s")
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        with pytest.raises(SagaCompensated):
            await asyncio.wait_for(handle.result(), 2)
        assert "RetryScheduled" not in await events_of(orchestrator, handle.id)
    assert calls == ["action", "compensation"]


@scene
async def test_the_deadline_does_not_bound_compensations(ground):
    tries = []

    @step(retry=ONCE)
    async def book(order: Order) -> None: ...

    @book.compensation(retry=Retry(attempts=5, base="30ms", cap="30ms", jitter="none"))
    async def unbook(order: Order) -> None:
        tries.append(1)
        if len(tries) < 4:
            raise RuntimeError("not now")

    @step
    async def hang(order: Order) -> None:
        await asyncio.sleep(20)

    @hang.compensation
    async def unhang(order: Order) -> None: ...

    saga = Saga("beyond", book, hang, deadline="400ms")
    async with ground.orchestrator(saga) as orchestrator:
        with pytest.raises(SagaCompensated):
            await (await orchestrator.start(saga, Order())).result()
    assert len(tries) == 4


@scene
async def test_past_the_pivot_the_deadline_ends_retries_and_asks_for_a_person(ground):
    @step(pivot=True)
    async def capture(order: Order) -> None: ...

    @step(retriable=True, retry=Retry(attempts=1, base="10ms", cap="10ms", jitter="none"))
    async def ship(order: Order) -> None:
        raise RuntimeError("no courier")

    saga = Saga("forward", capture, ship, deadline="600ms")
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        with pytest.raises(SagaRequiresManual):
            await handle.result()
        assert (await events_of(orchestrator, handle.id, "ship")).count("ActionStarted") > 2
        assert "TurnedBack" not in await events_of(orchestrator, handle.id)
