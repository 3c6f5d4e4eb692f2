"""Signals: kept before their wait, one per wait, first in first out, once per id."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from amends import Conflict, NotFound, PayloadError, Saga, SagaCompensated, step, wait_for
from tests.runtime.stage import events_of, scene, until


@dataclass
class Order:
    number: int = 1


@dataclass
class Approval:
    by: str


@step
async def who(order: Order, approval: Approval) -> str:
    return approval.by


@step
async def first(order: Order) -> None: ...


saga = Saga("approved", first, wait_for("approval", Approval, timeout="5s"), who)


@scene
async def test_a_signal_that_comes_before_its_wait_is_kept(ground):
    release = asyncio.Event()

    @step
    async def slow(order: Order) -> None:
        await release.wait()

    early = Saga("early", slow, wait_for("approval", Approval), who)
    async with ground.orchestrator(early) as orchestrator:
        handle = await orchestrator.start(early, Order())
        assert await orchestrator.signal(handle.id, "approval", Approval("ann")) is True
        assert "SignalReceived" in await events_of(orchestrator, handle.id)
        release.set()
        assert await handle.result() == "ann"


@scene
async def test_a_signal_that_comes_after_its_wait_began_ends_it(ground):
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        await until(lambda: waits(orchestrator, handle.id))
        await orchestrator.signal(handle.id, "approval", Approval("bob"))
        assert await handle.result() == "bob"


async def waits(orchestrator, saga_id):
    return (await orchestrator.get(saga_id)).hold == "signal"


@scene
async def test_two_waits_take_two_signals_in_their_order_and_an_id_counts_once(ground):
    seen = []

    @step
    async def collect(order: Order, left: str, right: str) -> None:
        seen.extend([left, right])

    twice = Saga("twice", first, wait_for("left", str), wait_for("right", str), collect, input=Order)
    async with ground.orchestrator(twice) as orchestrator:
        handle = await orchestrator.start(twice, Order())
        for name in ("right", "left"):
            for _ in range(3):
                assert await orchestrator.signal(handle.id, name, name, id=f"{name}-1")
        await handle.result()
        assert (await events_of(orchestrator, handle.id)).count("SignalReceived") == 2
    assert seen == ["left", "right"]


@scene
async def test_a_signal_without_a_wait_a_wrong_payload_and_a_late_one_are_refused(ground):
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        with pytest.raises(NotFound, match="it waits for: approval"):
            await orchestrator.signal(handle.id, "approve", Approval("ann"))
        with pytest.raises(PayloadError):
            await orchestrator.signal(handle.id, "approval", {"name": "ann"})
        with pytest.raises(PayloadError):
            await orchestrator.signal(handle.id, "approval", object())
        await orchestrator.signal(handle.id, "approval", Approval("ann"), id="1")
        assert await handle.result() == "ann"
        with pytest.raises(Conflict, match="completed"):
            await orchestrator.signal(handle.id, "approval", Approval("ann"))
        assert await orchestrator.signal(handle.id, "approval", Approval("ann"), id="1")  # a repeated one is no news


@scene
async def test_a_wait_that_nobody_answers_turns_the_saga_back_at_its_time(ground):
    impatient = Saga("impatient", wait_for("approval", Approval, timeout="30ms"), who, input=Order)
    async with ground.orchestrator(impatient, horizon="10ms") as orchestrator:
        handle = await orchestrator.start(impatient, Order())
        with pytest.raises(SagaCompensated, match="approval"):
            await handle.result()
        assert "WaitTimedOut" in await events_of(orchestrator, handle.id, "approval")


@scene
async def test_a_signal_through_the_inbox_is_applied_and_its_refusal_comes_back_as_itself(file_ground):
    async with file_ground.orchestrator(saga), file_ground.orchestrator(saga, worker=False) as client:
        handle = await client.start(saga, Order())
        with pytest.raises(NotFound, match="it waits for: approval"):
            await client.signal(handle.id, "approve", Approval("ann"))
        with pytest.raises(PayloadError):
            await client.signal(handle.id, "approval", {"name": "ann"})
        assert await client.signal(handle.id, "approval", Approval("ann")) is True
        assert await handle.result() == "ann"
