"""Waiting for others without asking all the time: standing by, results and answers from elsewhere.

The pauses between two looks are set to an hour here, so whatever arrives was told of.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass

import pytest

from amends import Conflict, NotFound, Rejected, Saga, SagaCompensated, UsageError, sleep, step, wait_for
from amends.core import events as ev
from amends.errors import StoreFailed, StoreUnavailable
from amends.runtime import intake, lease, watch
from amends.stores.base import Batch
from amends.stores.memory import MemoryStore
from amends.testing.journals import saga_frames
from amends.testing.store_stage import leading
from tests.runtime.stage import FaultyStore, Ground, scene, until

HOUR_S = 3_600.0

HOLDER = """
import asyncio, sys, time
from amends.stores.base import Batch
from amends.stores.owner import this_process
from amends.stores.sqlite import SQLiteStore

async def main():
    store = SQLiteStore(sys.argv[1])
    await store.open()
    lease = await store.acquire(this_process(), ttl_ms=int(sys.argv[2]), now=time.time_ns() // 1_000_000)
    print("holding", flush=True)
    sys.stdin.readline()
    await store.release(lease)
    print("released", flush=True)
    sys.stdin.readline()

asyncio.run(main())
"""


@dataclass
class Order:
    number: int = 1


@step
async def note(order: Order) -> int:
    if order.number < 0:
        raise Rejected("no such number")
    return order.number


noting = Saga("noting", note)
asked = Saga("asked", wait_for("go", Order), note, input=Order)


@pytest.fixture
def told_only(monkeypatch):
    """Nobody looks without being told."""
    for module, name in ((lease, "_STANDBY_S"), (watch, "_SOON_S"), (watch, "_POLL_S"), (intake, "_SOON_S")):
        monkeypatch.setattr(module, name, HOUR_S)


@pytest.fixture
def holder(file_ground):
    def begin(ttl_ms):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(HOLDER), str(file_ground.path), str(ttl_ms)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        begun.append(process)
        assert process.stdout.readline() == "holding\n"
        return process

    begun = []
    yield begin
    for process in begun:
        process.kill()
        process.communicate()


@scene
async def test_one_that_stands_by_leads_as_soon_as_the_lease_is_given_back(file_ground, holder, told_only):
    process = holder(3_600_000)
    async with file_ground.orchestrator(noting, lease="3h") as orchestrator:
        assert not orchestrator.leading
        await asyncio.sleep(0.05)
        process.stdin.write("\n")
        process.stdin.flush()
        await until(lambda: orchestrator.leading)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="THIS PLATFORM HAS NO PIDFD: taking over was NOT tested")
@scene
async def test_one_that_stands_by_leads_as_soon_as_the_holder_is_killed(file_ground, holder, told_only):
    process = holder(3_600_000)
    async with file_ground.orchestrator(noting, lease="3h") as orchestrator:
        assert not orchestrator.leading
        await asyncio.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        await until(lambda: orchestrator.leading)


@scene
async def test_where_the_holder_cannot_be_watched_its_death_is_found_by_looking(file_ground, holder, monkeypatch):
    monkeypatch.setattr(lease, "_STANDBY_S", HOUR_S)
    monkeypatch.setattr(lease, "watch", lambda owner, died: None)
    process = holder(3_600_000)
    async with file_ground.orchestrator(noting, lease="3h") as orchestrator:
        await asyncio.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        await until(lambda: orchestrator.leading)


@scene
async def test_a_holder_that_is_stopped_keeps_the_lease_until_it_runs_out(file_ground, holder, told_only):
    process = holder(700)
    os.kill(process.pid, signal.SIGSTOP)
    async with file_ground.orchestrator(noting, lease="3h") as orchestrator:
        await asyncio.sleep(0.1)
        assert not orchestrator.leading
        await until(lambda: orchestrator.leading)


@scene
async def test_a_store_out_of_reach_does_not_end_the_standing_by(file_ground, holder, monkeypatch):
    process = holder(3_600_000)
    store = FaultyStore(file_ground.store())
    left = [3]

    def out_of_reach(**_):
        if left[0]:
            left[0] -= 1
            raise StoreUnavailable("out of reach")

    store.faults["owner"] = out_of_reach
    monkeypatch.setattr(lease, "_STANDBY_UNTOLD_S", 0.01)
    async with file_ground.orchestrator(noting, lease="3h", store=store) as orchestrator:
        process.send_signal(signal.SIGKILL)
        await until(lambda: orchestrator.leading)
    assert left == [0]


@scene
async def test_one_that_stands_by_asks_for_the_lease_only_when_there_may_be_one(file_ground, holder, told_only):
    holder(3_600_000)
    store = FaultyStore(file_ground.store())
    async with file_ground.orchestrator(noting, lease="3h", store=store):
        await asyncio.sleep(0.3)
    assert store.calls.count("acquire") == 1  # a write, which would stand in the holder's way
    assert store.calls.count("owner") == 1


@scene
async def test_starts_verbs_and_results_cross_from_one_connection_to_another_by_bells_alone(ground, told_only):
    store = FaultyStore(ground.store())
    async with (
        ground.orchestrator(noting, asked, poll="1h", store=store),
        ground.orchestrator(noting, asked, worker=False) as other,
    ):
        await until(lambda: "commands" in store.calls)  # its first look is over
        for number in range(5):
            handle = await other.start(noting, Order(number), key=str(number))
            assert await asyncio.wait_for(handle.result(), 10) == number
        with pytest.raises(SagaCompensated):
            await asyncio.wait_for((await other.start(noting, Order(-1))).result(), 10)
        handle = await other.start(asked, Order(7))
        waiting = asyncio.create_task(handle.result())
        assert await other.signal(handle.id, "go", {"number": 8})
        assert await asyncio.wait_for(waiting, 10) == 7
        with pytest.raises(Conflict):
            await other.cancel(handle.id, reason="too late")


@scene
async def test_many_who_wait_are_one_reader(file_ground):
    release = asyncio.Event()

    @step
    async def held(order: Order) -> int:
        await release.wait()
        return order.number

    saga = Saga("held", held)
    store = FaultyStore(file_ground.store())
    async with (
        file_ground.orchestrator(saga),
        file_ground.orchestrator(saga, worker=False, store=store) as other,
    ):
        handles = [await other.start(saga, Order(number)) for number in range(40)]
        waiting = [asyncio.create_task(handle.result()) for handle in handles]
        impatient = asyncio.create_task(handles[0].result())
        await asyncio.sleep(0.3)
        store.calls.clear()
        await asyncio.sleep(0.5)
        assert store.calls.count("frames") == 0
        assert store.calls.count("later_frames") <= 10
        impatient.cancel()
        release.set()
        assert await asyncio.gather(*waiting) == list(range(40))
        assert store.calls.count("frames") <= 80  # when there was something to see: its state, and then its result


@scene
async def test_who_waits_for_another_process_is_told_when_its_orchestrator_closes(file_ground, told_only):
    async with file_ground.orchestrator(asked, worker=False) as other:
        handle = await other.start(asked, Order(7))
        waiting = asyncio.create_task(handle.result())
        await asyncio.sleep(0.02)
    with pytest.raises(UsageError, match="not open"):
        await asyncio.wait_for(waiting, 5)


@scene
async def test_who_waits_on_a_standby_is_served_when_that_comes_to_lead(file_ground, holder, told_only):
    process = holder(3_600_000)
    async with file_ground.orchestrator(noting, lease="3h") as orchestrator:
        handle = await orchestrator.start(noting, Order(3))
        waiting = asyncio.create_task(handle.result())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        process.send_signal(signal.SIGKILL)
        assert await asyncio.wait_for(waiting, 10) == 3


@scene
async def test_a_store_whose_bells_do_not_work_is_looked_at_often(ground):
    class Deaf:
        works = False

        def __init__(self):
            self._waiting = asyncio.Event()

        async def wait(self, timeout_s):
            await asyncio.sleep(timeout_s)
            return False

        def ring(self):
            pass

        close = ring

    stores = [ground.store(), ground.store()]
    for store in stores:
        store.bell = lambda what: Deaf()
    async with (
        ground.orchestrator(noting, asked, poll="1h", store=stores[0]),
        ground.orchestrator(noting, asked, worker=False, store=stores[1]) as other,
    ):
        handle = await other.start(asked, Order(7))
        assert await other.signal(handle.id, "go", {"number": 8})
        assert await asyncio.wait_for(handle.result(), 10) == 7


@scene
async def test_bells_of_a_memory_store_serve_two_orchestrators_of_one_process(told_only):
    ground = Ground(None)
    assert isinstance(ground.store(), MemoryStore)
    async with (
        ground.orchestrator(noting, poll="1h") as first,
        ground.orchestrator(noting, worker=False) as other,
    ):
        assert first.leading
        handle = await other.start(noting, Order(4))
        assert await asyncio.wait_for(handle.result(), 10) == 4
        with pytest.raises(NotFound):
            await other.handle("nobody").result()


@scene
async def test_an_idle_leader_looks_ever_more_seldom(ground):
    store = FaultyStore(ground.store())
    async with ground.orchestrator(Saga("resting", sleep("7d"), input=Order), store=store) as orchestrator:
        await orchestrator.start("resting", Order())
        await asyncio.sleep(1.6)
        busy = store.calls.count("changed")
        store.calls.clear()
        await asyncio.sleep(1.6)
        assert store.calls.count("changed") <= 2
        assert busy > 2


@scene
async def test_a_store_that_fails_under_one_that_stands_by_is_told_of(file_ground, holder):
    holder(3_600_000)
    store, told = FaultyStore(file_ground.store()), []

    def broken(**_):
        raise StoreFailed("the disk is gone", code="AM6022")

    async with file_ground.orchestrator(noting, lease="3h", store=store) as orchestrator:
        orchestrator.subscribe(lambda notice: told.append(notice.event))
        await until(lambda: orchestrator._leader._bell)
        store.faults["owner"] = broken
        orchestrator._leader._bell.ring()
        await until(lambda: told)
        assert told == ["store.failed"]
        assert orchestrator.failed is not None


@scene
async def test_what_landed_between_a_look_and_the_wait_for_more_is_seen(told_only):
    store = MemoryStore()
    await store.open()
    await store.commit(await leading(store), Batch(1, frames=saga_frames("a", [ev.Began()], [ev.Completed()])))
    seeing = watch.Watch(store)
    await asyncio.wait_for(seeing.saga("a", 1), 5)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(seeing.saga("a", 3), 0.05)
    await seeing.stop()
    store.close()
