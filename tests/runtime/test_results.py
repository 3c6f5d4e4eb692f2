"""`result()`: who may wait, from where, and what it raises."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from amends import Rejected, Retry, Saga, SagaCompensated, SagaFailed, SagaRequiresManual, sleep, step
from tests.runtime.stage import scene, until

ONCE = Retry(attempts=1)


@dataclass
class Order:
    number: int = 1


@dataclass
class Receipt:
    number: int


@scene
async def test_cancelling_who_awaits_a_result_never_touches_the_saga(ground):
    begun, hold = asyncio.Event(), asyncio.Event()

    @step
    async def work(order: Order) -> int:
        begun.set()
        await hold.wait()
        return order.number

    saga = Saga("untouched", work)
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order(5))
        waiting = [asyncio.create_task(handle.result()) for _ in range(3)]
        await begun.wait()
        waiting[0].cancel()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(handle.result(), 0.01)
        hold.set()
        assert await waiting[1] == await waiting[2] == await handle.result() == 5
        assert waiting[0].cancelled()


@scene
async def test_who_stops_waiting_for_a_sleeping_saga_lets_it_leave_memory(ground):
    saga = Saga("sleeping", sleep("7d"), input=Order)
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        engine = orchestrator._leader.engine
        waiting = asyncio.create_task(handle.result())
        await until(lambda: engine.actors and not waiting.done())
        waiting.cancel()
        await until(lambda: not engine.actors)


@scene
async def test_a_result_is_decoded_for_everybody_who_asks(ground):
    @step
    async def work(order: Order) -> Receipt:
        return Receipt(order.number)

    saga = Saga("receipts", work)
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order(5))
        one, two = await handle.result(), await orchestrator.handle(handle.id).result()
        assert one == two == Receipt(5)
        assert one is not two


@scene
async def test_a_result_awaited_from_another_connection_is_polled_for(file_ground):
    hold = asyncio.Event()

    @step
    async def work(order: Order) -> Receipt:
        await hold.wait()
        return Receipt(order.number)

    saga = Saga("polled", work)
    async with file_ground.orchestrator(saga) as leader, file_ground.orchestrator(saga, worker=False) as client:
        handle = await leader.start(saga, Order(5))
        waiting = asyncio.create_task(client.handle(handle.id).result())
        await asyncio.sleep(0.02)
        assert not waiting.done()
        hold.set()
        assert await asyncio.wait_for(waiting, 5) == Receipt(5)
        async with file_ground.orchestrator(worker=False) as stranger:  # it lacks the definition, so plain JSON
            assert await stranger.handle(handle.id).result() == {"number": 5}


@scene
async def test_the_three_ways_to_have_no_result_tell_their_status_and_cause(ground):
    fails = [True]

    @step(retry=ONCE)
    async def book(order: Order) -> int:
        return 7

    @book.compensation(retry=ONCE)
    async def unbook(order: Order) -> None:
        if fails[0]:
            raise RuntimeError("the desk is closed")

    @step
    async def refuse(order: Order) -> None:
        raise Rejected("sold out")

    saga = Saga("none", book, refuse)
    async with ground.orchestrator(saga) as orchestrator:
        first, second = await orchestrator.start(saga, Order()), await orchestrator.start(saga, Order())
        for handle in (first, second):
            with pytest.raises(SagaRequiresManual, match="book") as manual:
                await handle.result()
            assert (manual.value.saga_id, manual.value.status) == (handle.id, "requires_manual")
            assert "sold out" in manual.value.cause
            assert any("the desk is closed" in error for error in manual.value.errors)
        await orchestrator.skip(first.id, "book", reason="written off")
        with pytest.raises(SagaFailed) as closed:
            await first.result()
        assert type(closed.value) is SagaFailed
        assert (closed.value.status, closed.value.stays) == ("closed", ("book",))
        fails[0] = False
        await orchestrator.retry(second.id, reason="open again")
        with pytest.raises(SagaCompensated, match="sold out") as compensated:
            await second.result()
        assert (compensated.value.status, compensated.value.stays) == ("compensated", ())


@scene
async def test_a_result_is_there_before_the_follow_ups_have_run(ground):
    hold, told = asyncio.Event(), []

    @step
    async def work(order: Order) -> int:
        return order.number

    @step(retry=ONCE)
    async def mail(order: Order) -> None:
        await hold.wait()
        told.append(order.number)
        raise RuntimeError("no mail today")

    saga = Saga("followed", work, on_completed=[mail])
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order(5))
        assert await handle.result() == 5
        assert told == []
    hold.set()
    async with ground.orchestrator(saga) as orchestrator:  # until they have run the saga stays open for recovery
        await orchestrator.drain()
        assert told == [5]
        assert [view.id async for view in orchestrator.list(followup_failed=True)] == [handle.id]
        assert await orchestrator.handle(handle.id).result() == 5
