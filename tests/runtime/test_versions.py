"""Versions beside each other, holds, and poison: what cannot be moved is visible and stops nobody."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from amends import Conflict, DefinitionError, Retry, Saga, SagaRequiresManual, choose, step, wait_for, when
from amends.core.events import decode_frame
from amends.errors import AmendsError
from amends.stores.base import FrameRow
from tests.runtime.stage import events_of, scene, until


@dataclass
class Order:
    number: int = 1


@dataclass
class Go:
    by: str = ""


@step
async def note(order: Order) -> int:
    return order.number


@step
async def double(order: Order) -> int:
    return order.number * 2


@scene
async def test_the_same_version_with_another_structure_is_refused_at_start_up_by_name(ground):
    async with ground.orchestrator(Saga("orders", note)):
        pass
    with pytest.raises(Conflict, match=r"'orders' version 1 .*next version"):
        async with ground.orchestrator(Saga("orders", note, double)):
            pass
    async with ground.orchestrator(Saga("orders", note)) as again:  # what failed to open left nothing behind
        assert again.leading


@scene
async def test_timeouts_and_retries_may_change_within_a_version(ground):
    def tuned(timeout):
        @step(name="work", timeout=timeout, retry=Retry(attempts=timeout))
        async def work(order: Order) -> int:
            return timeout

        return Saga("tuned", wait_for("go", Go), work, input=Order)

    before, after = tuned(5), tuned(9)
    async with ground.orchestrator(before) as orchestrator:
        handle = await orchestrator.start(before, Order())
    async with ground.orchestrator(after) as orchestrator:
        await orchestrator.signal(handle.id, "go", Go())
        assert await orchestrator.handle(handle.id).result() == 9


def test_two_definitions_of_one_version_in_one_orchestrator_are_refused(ground):
    with pytest.raises(DefinitionError, match="another version"):
        ground.orchestrator(Saga("orders", note), Saga("orders", note))


@scene
async def test_an_old_version_is_drained_beside_a_new_one(ground):
    old = Saga("orders", wait_for("go", Go), note, input=Order)
    new = Saga("orders", double, version=2)
    async with ground.orchestrator(old) as orchestrator:
        first = await orchestrator.start(old, Order(4))
    async with ground.orchestrator(new, old) as orchestrator:
        second = await orchestrator.start("orders", Order(4))
        assert await second.result() == 8
        await orchestrator.signal(first.id, "go", Go())
        assert await orchestrator.handle(first.id).result() == 4


@scene
async def test_a_version_that_a_worker_lacks_is_on_hold_visibly_and_released_by_one_that_has_it(ground):
    release = asyncio.Event()

    @step
    async def work(order: Order) -> int:
        await release.wait()
        return order.number

    old, other = Saga("orders", work), Saga("invoices", note)
    async with ground.orchestrator(old) as orchestrator:
        handle = await orchestrator.start(old, Order(4))
    release.set()
    async with ground.orchestrator(other) as lacking:
        await until(lambda: held(lacking, "version"))
        [view] = [view async for view in lacking.list(hold="version")]
        assert view.id == handle.id
        verbs = await asyncio.gather(
            *(lacking.pause(handle.id, reason="at once") for _ in range(3)), return_exceptions=True
        )
        assert {type(answer) for answer in verbs} == {Conflict}
        assert "on hold" in str(verbs[0])
        assert await (await lacking.start(other, Order(2))).result() == 2  # nobody else is stopped
        assert lacking.failed is None
    async with ground.orchestrator(other) as still_lacking:
        await until(lambda: held(still_lacking, "version"))
    async with ground.orchestrator(old, other) as having:
        assert await having.handle(handle.id).result() == 4
        events = await events_of(having, handle.id)
        assert (events.count("Held"), events.count("Released")) == (1, 1)
        assert not await held(having, "version")


async def held(orchestrator, reason):
    return [view.id async for view in orchestrator.list(hold=reason)]


@scene
async def test_an_input_that_no_longer_decodes_parks_its_saga_only_and_goes_on_when_that_is_mended(ground):
    @dataclass
    class Wider:
        number: int
        address: str  # no default: older sagas lack it

    def version_of(kind):
        @step(name="work")
        async def work(order: kind) -> int:
            return order.number

        return Saga("grown", wait_for("go", Go), work, input=kind)

    before, after = version_of(Order), version_of(Wider)
    healthy = Saga("healthy", note)
    async with ground.orchestrator(before) as orchestrator:
        handle = await orchestrator.start(before, Order(6))
    async with ground.orchestrator(after, healthy) as orchestrator:
        await orchestrator.signal(handle.id, "go", Go())
        with pytest.raises(SagaRequiresManual, match="poison"):
            await orchestrator.handle(handle.id).result()
        assert await held(orchestrator, "poison") == [handle.id]
        assert "address" in (await orchestrator.get(handle.id))["work"].error
        assert await (await orchestrator.start(healthy, Order(1))).result() == 1
    async with ground.orchestrator(before, healthy) as orchestrator:
        await orchestrator.retry(handle.id, reason="rolled back")
        assert await orchestrator.handle(handle.id).result() == 6


@scene
async def test_a_type_that_raises_when_it_is_made_is_poison_and_retry_works_after_mending(ground):
    broken = [True]

    @dataclass
    class Checked:
        number: int

        def __post_init__(self) -> None:
            if broken[0] and self.number == 6:
                raise ZeroDivisionError("a surprise in __post_init__")

    @step
    async def work(order: Checked) -> int:
        return order.number

    saga = Saga("checked", wait_for("go", Go), work, input=Checked)
    async with ground.orchestrator(saga) as orchestrator:
        broken[0] = False
        handle = await orchestrator.start(saga, Checked(6))
        broken[0] = True
        await orchestrator.signal(handle.id, "go", Go())
        with pytest.raises(SagaRequiresManual, match="poison"):
            await handle.result()
        healthy = await orchestrator.start(saga, Checked(1))
        await orchestrator.signal(healthy.id, "go", Go())
        assert await healthy.result() == 1
        broken[0] = False
        await orchestrator.retry(handle.id, reason="mended")
        assert await handle.result() == 6


@scene
async def test_a_predicate_that_raises_is_poison_and_is_asked_again_after_retry(ground):
    broken = [True]

    def large(order: Order) -> bool:
        if broken[0]:
            raise KeyError("limit")
        return order.number > 5

    saga = Saga("chosen", choose(when(large, double), otherwise=note), input=Order)
    other = Saga("healthy", note)
    async with ground.orchestrator(saga, other) as orchestrator:
        handle = await orchestrator.start(saga, Order(6))
        with pytest.raises(SagaRequiresManual, match="poison"):
            await handle.result()
        assert await held(orchestrator, "poison") == [handle.id]
        assert await (await orchestrator.start(other, Order(1))).result() == 1
        broken[0] = False
        await orchestrator.retry(handle.id, reason="mended")
        assert await handle.result() == 12


@scene
async def test_a_journal_that_cannot_be_folded_is_held_and_the_others_are_recovered(ground):
    saga = Saga("orders", wait_for("go", Go), note, input=Order)
    async with ground.orchestrator(saga) as orchestrator:
        healthy = await orchestrator.start(saga, Order(1))
    store = ground.store()
    await store.open()
    started = (await store.frames([healthy.id]))[healthy.id][0]
    bad = "01BAD" + healthy.id[5:]
    body = started.body.replace(healthy.id.encode(), bad.encode())
    assert decode_frame(body).events[0].saga_id == bad
    cut_short = body[: len(body) // 2]
    await store.start(FrameRow(bad, 1, cut_short), None)
    store.close()
    async with ground.orchestrator(saga) as orchestrator:
        await until(lambda: held(orchestrator, "poison"))
        assert await held(orchestrator, "poison") == [bad]
        answers = await asyncio.gather(*(orchestrator.pause(bad, reason="r") for _ in range(3)), return_exceptions=True)
        assert all(isinstance(answer, AmendsError) for answer in answers)
        await orchestrator.signal(healthy.id, "go", Go())
        assert await orchestrator.handle(healthy.id).result() == 1
        assert orchestrator.failed is None
    async with ground.orchestrator(saga) as orchestrator:
        await until(lambda: held(orchestrator, "poison"))
        assert orchestrator.failed is None
