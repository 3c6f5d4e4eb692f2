"""Defects a sceptical reader found through the public names alone, each as the sentence that was not true."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass

import pytest

from amends import (
    Conflict,
    Context,
    Orchestrator,
    Retry,
    Saga,
    SagaCompensated,
    SagaRequiresManual,
    choose,
    parallel,
    step,
    wait_for,
    when,
)  # fmt: skip
from amends.stores.base import Batch, Lease
from amends.stores.memory import MemoryStore
from tests.runtime.stage import Ground, scene, until

ONCE = Retry(attempts=1)


@dataclass
class Order:
    number: int = 1


@dataclass
class Receipt:
    text: str


@dataclass
class Answer:
    by: str


@step
async def receipt(order: Order) -> Receipt:
    return Receipt("r")


@step
async def answer(order: Order) -> Answer:
    return Answer("machine")


@scene
async def test_a_saga_that_ends_in_a_wait_gives_what_ran_instead_by_its_own_type():
    saga = Saga("asked", wait_for("go", Answer, timeout="10ms", on_timeout=receipt), input=Order)
    async with Ground(None).orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        assert await handle.result() == Receipt("r")
        assert await orchestrator.handle(handle.id).result() == Receipt("r")


@scene
async def test_a_saga_that_ends_in_a_choose_gives_the_taken_branchs_last_by_its_own_type():
    def odd(order: Order) -> bool:
        return order.number % 2 == 1

    saga = Saga("chosen", choose(when(odd, receipt), otherwise=answer), input=Order)
    async with Ground(None).orchestrator(saga) as orchestrator:
        assert await (await orchestrator.start(saga, Order(1))).result() == Receipt("r")
        assert await (await orchestrator.start(saga, Order(2))).result() == Answer("machine")


@scene
async def test_a_saga_at_rest_whose_version_is_not_here_is_held_visibly_and_released_by_a_worker_that_has_it(tmp_path):
    ground = Ground(tmp_path / "journal.db")
    old, new = Saga("orders", wait_for("go", Answer), input=Order), Saga("orders", receipt, version=2)
    async with ground.orchestrator(old) as orchestrator:
        handle = await orchestrator.start(old, Order())
        await until(lambda: holds(orchestrator, "signal"))

    async with ground.orchestrator(new) as lacking:
        await until(lambda: holds(lacking, "version"))
        assert (await lacking.get(handle.id)).hold == "version"

    async with ground.orchestrator(new, old) as having:
        await until(lambda: holds(having, "signal"))
        await having.signal(handle.id, "go", Answer("ann"))
        assert await having.handle(handle.id).result() == Answer("ann")


async def holds(orchestrator, reason):
    return [view.id async for view in orchestrator.list(hold=reason)]


@scene
async def test_a_conflict_names_only_verbs_that_the_state_allows():
    @step(retry=ONCE)
    async def send(order: Order) -> Receipt:
        raise OSError("no answer")

    @step(pivot=True, retry=ONCE)
    async def pay(order: Order) -> None:
        raise OSError("no answer")

    owed, stuck = Saga("owed", send), Saga("stuck", pay, deadline="20ms")
    async with Ground(None).orchestrator(owed, stuck) as orchestrator:
        first = await orchestrator.start(owed, Order())
        with pytest.raises(SagaRequiresManual):
            await first.result()
        with pytest.raises(Conflict, match="allows resolve, skip, pause"):
            await orchestrator.retry(first.id, reason="nothing can be called: it has no compensation")

        second = await orchestrator.start(stuck, Order())
        with pytest.raises(SagaRequiresManual):
            await second.result()
        with pytest.raises(Conflict, match="allows retry, resolve, pause"):
            await orchestrator.cancel(second.id, reason="its pivot may have taken effect")


@scene
async def test_a_sync_step_that_raises_stop_iteration_is_answered_at_once_as_unknown():
    outcomes = []

    @step(retry=ONCE)
    def first_of_none(order: Order) -> int:
        return next(iter([]))

    @first_of_none.compensation
    def undo(order: Order, ctx: Context) -> None:
        outcomes.append(ctx.outcome)

    saga = Saga("emptied", first_of_none)
    async with Ground(None).orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        with pytest.raises(SagaCompensated, match="StopIteration"):
            await handle.result()
        assert outcomes == ["unknown"]


@scene
async def test_nobody_can_say_what_became_of_a_step_while_its_abandoned_thread_still_runs():
    go_on = threading.Event()

    @step(retry=ONCE, timeout="200ms", on_unknown="park")
    def charge(order: Order) -> int:
        go_on.wait(10)
        return 7

    saga = Saga("charged", charge)
    async with Ground(None).orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        with pytest.raises(SagaRequiresManual):
            await handle.result()
        with pytest.raises(Conflict, match="has not ended"):
            await orchestrator.resolve(handle.id, "charge", outcome="not_done", reason="it is not in the list yet")
        go_on.set()
        await until(lambda: completed(handle), "the late success")
        assert await handle.result() == 7


async def completed(handle):
    return await handle.status() == "completed"


@scene
async def test_a_pivot_is_told_its_own_timeout_since_no_deadline_cuts_it():
    seen = []

    @step(pivot=True, timeout="60s")
    async def pay(order: Order, ctx: Context) -> None:
        seen.append(ctx.remaining())

    saga = Saga("paid", pay, deadline="20s")
    async with Ground(None).orchestrator(saga) as orchestrator:
        await (await orchestrator.start(saga, Order())).result()
    assert seen[0] > 20


class SlowStore(MemoryStore):
    """Each commit takes a while, so that the next frame is handed over before the last has landed."""

    async def commit(self, lease: Lease, batch: Batch) -> dict[str, str]:
        await asyncio.sleep(0.02)
        return await super().commit(lease, batch)


@scene
async def test_who_awaits_the_result_is_told_of_a_parking_that_another_frame_follows_before_it_has_landed():
    async def signal_meanwhile(saga_id: str) -> None:
        await asyncio.gather(*(signal_after(0.005 * number, saga_id) for number in range(1, 13)))

    async def signal_after(delay: float, saga_id: str) -> None:
        await asyncio.sleep(delay)
        await orchestrator.signal(saga_id, "go", Answer("ann"))

    signalling = []

    @step(retry=ONCE, on_unknown="park")
    async def send(order: Order, ctx: Context) -> None:
        signalling.append(asyncio.ensure_future(signal_meanwhile(ctx.saga_id)))
        raise OSError("no answer")

    saga = Saga("sent", parallel(send, wait_for("go", Answer)), input=Order)
    async with Orchestrator(SlowStore(), sagas=[saga]) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        with pytest.raises(SagaRequiresManual):
            await asyncio.wait_for(handle.result(), 5)
        await asyncio.gather(*signalling)
