"""Starts: durable when they return, deduplicated by key, refused by name and with a way to mend."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from amends import (
    Conflict,
    KeyConflict,
    NotFound,
    PayloadError,
    Rejected,
    Saga,
    SagaCompensated,
    StoreError,
    UsageError,
    sleep,
    step,
)
from tests.runtime.stage import FaultyStore, kill, scene, until


@dataclass
class Order:
    number: int = 1


@step
async def note(order: Order) -> int:
    return order.number


@step
async def note_again(order: Order) -> int:
    return order.number * 10


one = Saga("orders", note)
two = Saga("orders", note, note_again, version=2)


@scene
async def test_a_start_that_returned_is_on_disk(ground):
    first = await ground.orchestrator(one).__aenter__()
    handle = await first.start(one, Order(3))
    await kill(first)
    async with ground.orchestrator(one) as second:
        assert await second.handle(handle.id).result() == 3


@scene
async def test_a_key_starts_one_saga_however_often_it_is_used(ground):
    async with ground.orchestrator(one, two) as orchestrator:
        first = await orchestrator.start(one, Order(3), key="k")
        await first.result()
        again = await orchestrator.start(one, Order(3), key="k")
        other_version = await orchestrator.start(two, Order(3), key="k")
        assert first.id == again.id == other_version.id
        assert (await orchestrator.get(first.id)).version == 1
        assert await other_version.result() == 3
        assert (await orchestrator.start(one, Order(3), key="another")).id != first.id
        assert [view.id async for view in orchestrator.list(key="k")] == [first.id]


@scene
async def test_concurrent_starts_of_one_key_are_one_saga(ground):
    async with ground.orchestrator(one) as orchestrator:
        handles = await asyncio.gather(*(orchestrator.start(one, Order(3), key="k") for _ in range(20)))
        assert len({handle.id for handle in handles}) == 1
        assert len([view async for view in orchestrator.list()]) == 1


@scene
async def test_concurrent_starts_of_one_key_through_two_connections_are_one_saga(file_ground):
    async with file_ground.orchestrator(one) as leading, file_ground.orchestrator(one) as standing_by:
        assert not standing_by.leading
        handles = await asyncio.gather(
            *(orchestrator.start(one, Order(3), key="k") for _ in range(5) for orchestrator in (leading, standing_by))
        )
        assert len({handle.id for handle in handles}) == 1
        assert {await handle.result() for handle in handles} == {3}


@scene
async def test_a_key_that_another_process_used_is_found(file_ground):
    script = """
import asyncio, sys
from tests.runtime.test_starting import Order, one
from amends import Orchestrator
async def main():
    async with Orchestrator(sys.argv[1], worker=False, sagas=[one]) as orchestrator:
        print((await orchestrator.start(one, Order(3), key="k")).id)
asyncio.run(main())
"""
    address = f"sqlite:///{file_ground.path}"
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, address, stdout=asyncio.subprocess.PIPE, env=environment
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    async with file_ground.orchestrator(one) as orchestrator:
        handle = await orchestrator.start(one, Order(3), key="k")
        assert handle.id == said.decode().strip()
        assert await handle.result() == 3


@scene
async def test_a_key_with_another_input_is_a_conflict_that_names_the_saga(ground):
    async with ground.orchestrator(one) as orchestrator:
        handle = await orchestrator.start(one, Order(3), key="k")
        with pytest.raises(KeyConflict, match=handle.id):
            await orchestrator.start(one, Order(4), key="k")
        outcomes = await asyncio.gather(
            orchestrator.start(one, Order(5), key="m"),
            orchestrator.start(one, Order(6), key="m"),
            return_exceptions=True,
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Handle", "KeyConflict"]


@scene
async def test_inputs_are_compared_as_todays_type_reads_them(ground):
    @dataclass
    class Before:
        number: int

    @dataclass
    class After:
        number: int
        express: bool = False

    @step(name="note")
    async def old(order: Before) -> int:
        return order.number

    @step(name="note")
    async def new(order: After) -> int:
        return order.number

    before, after = Saga("grown", old), Saga("grown", new)
    async with ground.orchestrator(before) as orchestrator:
        handle = await orchestrator.start(before, Before(3), key="k")
        await handle.result()
    async with ground.orchestrator(after) as orchestrator:
        assert (await orchestrator.start(after, After(3), key="k")).id == handle.id
        with pytest.raises(KeyConflict):
            await orchestrator.start(after, After(3, express=True), key="k")


@scene
async def test_a_name_takes_the_highest_version(ground):
    async with ground.orchestrator(two, one) as orchestrator:
        handle = await orchestrator.start("orders", Order(3))
        assert (await orchestrator.get(handle.id)).version == 2
        assert await handle.result() == 30


@scene
async def test_what_cannot_be_started_is_refused_and_leaves_nothing(ground):
    async with ground.orchestrator(one) as orchestrator:
        with pytest.raises(UsageError, match="not registered"):
            await orchestrator.start(two, Order(3))
        with pytest.raises(NotFound, match="registered: orders"):
            await orchestrator.start("invoices", Order(3))
        with pytest.raises(PayloadError):
            await orchestrator.start(one, {"number": "three"})
        with pytest.raises(PayloadError):
            await orchestrator.start("orders", object())
        for labels in ({"a": 1}, {"": "x"}, {"a": "x" * 10_000}, {str(at): "x" for at in range(100)}):
            with pytest.raises(UsageError, match="correlation"):
                await orchestrator.start(one, Order(), correlation=labels)
        for key in ("", "x" * 10_000, 7):
            with pytest.raises(UsageError, match="key"):
                await orchestrator.start(one, Order(), key=key)
        assert [view async for view in orchestrator.list()] == []


@pytest.mark.parametrize("text", ["a\0b", "half \ud83d"])
@scene
async def test_a_text_that_no_store_keeps_is_refused_and_harms_nobody_else(ground, text):
    saga = Saga("harmless", sleep("7d"), input=Order)
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        with pytest.raises(UsageError):
            await orchestrator.start(saga, Order(), key=text)
        with pytest.raises(UsageError):
            await orchestrator.start(saga, Order(), correlation={"customer": text})
        with pytest.raises(UsageError):
            await orchestrator.pause(handle.id, reason=text)
        assert await orchestrator.pause(handle.id, reason="plain", actor="ann")
        assert orchestrator.failed is None


@scene
async def test_an_error_text_that_no_store_keeps_is_journalled_all_the_same(ground):
    @step
    async def fails(order: Order) -> None:
        raise Rejected("half \ud83d of a pair, and \0")

    saga = Saga("texts", fails)
    async with ground.orchestrator(saga) as orchestrator:
        with pytest.raises(SagaCompensated, match="of a pair"):
            await (await orchestrator.start(saga, Order())).result()
        assert orchestrator.failed is None


@scene
async def test_a_start_beside_a_leader_is_run_by_the_leader(file_ground):
    async with (
        file_ground.orchestrator(one) as leading,
        file_ground.orchestrator(one) as standing_by,
        file_ground.orchestrator(one, worker=False) as client,
    ):
        for orchestrator in (standing_by, client):
            assert leading.leading and not orchestrator.leading
            assert await (await orchestrator.start(one, Order(4))).result() == 4


@scene
async def test_an_orchestrator_that_runs_nothing_starts_what_another_will_run(ground):
    async with ground.orchestrator(one, worker=False) as client:
        handle = await client.start(one, Order(4), correlation={"customer": "ann"})
        assert await handle.status() == "scheduled"
        assert not client.leading
    async with ground.orchestrator(one) as orchestrator:
        assert await orchestrator.handle(handle.id).result() == 4
        assert [view.id async for view in orchestrator.list(correlation={"customer": "ann"})] == [handle.id]


@scene
async def test_a_start_past_the_engine_is_found_though_recovery_was_over_when_it_landed(file_ground):
    store = FaultyStore(file_ground.store())
    release = asyncio.Event()

    async def late(*_):
        await release.wait()

    store.faults["start"] = late
    held = await file_ground.orchestrator(one).__aenter__()
    second = await file_ground.orchestrator(one, store=store, lease="60ms").__aenter__()
    starting = asyncio.create_task(second.start(one, Order(8)))  # while it stands by: without the engine
    await until(lambda: "start" in store.calls)
    await held.close()
    await until(lambda: second.leading)
    await second._leader._intake.recovered
    await asyncio.sleep(0.03)
    release.set()
    handle = await starting
    await until(lambda: completed(handle))  # nobody asks for its result, which would take it up
    await second.close()


async def completed(handle):
    return await handle.status() == "completed"


@scene
async def test_a_refused_start_with_a_due_time_of_its_own_writes_nothing_and_breaks_nothing(ground):
    store = FaultyStore(ground.store())
    nap = Saga("nap", sleep("1ms"), note, input=Order)

    async def slow(*_):
        await asyncio.sleep(0.03)  # longer than the nap

    async with ground.orchestrator(nap, store=store) as orchestrator:
        first = await orchestrator.start(nap, Order(1), key="k")
        await first.result()
        store.faults["commit"] = slow
        again = await orchestrator.start(nap, Order(1), key="k")
        assert again.id == first.id
        await asyncio.sleep(0.05)
        assert orchestrator.failed is None
        assert await (await orchestrator.start(nap, Order(2))).result() == 2


@scene
async def test_before_and_after_its_life_an_orchestrator_says_how_to_use_it(ground):
    orchestrator = ground.orchestrator(one)
    for _ in range(2):
        for call in (
            lambda: orchestrator.start(one, Order()),
            lambda: orchestrator.get("x"),
            lambda: orchestrator.history("x"),
            lambda: orchestrator.handle("x").result(),
            lambda: orchestrator.cancel("x", reason="r"),
            lambda: anext(orchestrator.list()),
        ):
            with pytest.raises(UsageError, match="async with"):
                await call()
        async with orchestrator:
            pass
        await orchestrator.close()


@scene
async def test_errors_of_one_start_are_of_the_documented_kinds(ground):
    async with ground.orchestrator(one) as orchestrator:
        with pytest.raises(NotFound):
            await orchestrator.get("01NOSUCHSAGA")
        with pytest.raises(NotFound):
            await orchestrator.handle("01NOSUCHSAGA").result()
    assert issubclass(KeyConflict, Conflict) and not issubclass(KeyConflict, StoreError)
