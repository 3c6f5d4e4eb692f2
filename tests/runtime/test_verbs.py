"""Operators' verbs, by the leader itself and through the inbox: applied, refused, queued, not found."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from amends import (
    Accepted,
    Conflict,
    Context,
    NotFound,
    Rejected,
    Retry,
    Saga,
    SagaCompensated,
    SagaFailed,
    SagaRequiresManual,
    UsageError,
    each,
    step,
    wait_for,
)
from amends.core.events import CancelRefused, TurnedBack, decode_frame
from amends.errors import StoreUnavailable
from amends.stores.memory import MemoryStore
from tests.runtime.stage import FaultyStore, Ground, events_of, scene, until

ONCE = Retry(attempts=1)


@dataclass
class Order:
    number: int = 1


class World:
    """A saga whose parts fail on request: book (undone by unbook), capture (the pivot), ship (after it)."""

    def __init__(self, deadline: str = "1h") -> None:
        self.failing: set[str] = set()
        self.hold = asyncio.Event()
        self.hold.set()
        self.begun = asyncio.Event()
        self.calls: list[str] = []

        def play(name: str) -> None:
            self.calls.append(name)
            if name in self.failing:
                raise RuntimeError(f"{name} is broken")

        @step(retry=ONCE)
        async def book(order: Order) -> int:
            play("book")
            return 7

        @book.compensation(retry=ONCE)
        async def unbook(order: Order, book: int | None) -> None:
            play("unbook")

        @step(retry=ONCE)
        async def check(order: Order) -> None:
            if "check" in self.failing:
                raise Rejected("no")
            self.begun.set()
            await self.hold.wait()

        @check.compensation
        async def uncheck(order: Order) -> None: ...

        @step(pivot=True, retry=ONCE)
        async def capture(order: Order) -> str:
            self.begun.set()
            await self.hold.wait()
            if "card" in self.failing:
                raise Rejected("the card is refused")
            play("capture")
            return "captured"

        @step(retriable=True, retry=Retry(attempts=1, base="5s", cap="5s"))
        async def ship(order: Order) -> str:
            if "ship" in self.failing:
                raise Rejected("no such address")
            return "shipped"

        self.back = Saga("back", book, check, book.named("last"))
        self.forward = Saga("forward", book, capture, ship, result=ship, deadline=deadline)


@pytest.fixture(params=["leader", "inbox"])
def way(request):
    return request.param


class Desk:
    """A leader, and who acts: the leader itself, or another process's orchestrator on the same file."""

    def __init__(self, ground, way, world):
        self.leader = ground.orchestrator(world.back, world.forward)
        self.client = self.leader if way == "leader" else ground.orchestrator(worker=False)

    async def __aenter__(self):
        await self.leader.__aenter__()
        if self.client is not self.leader:
            await self.client.__aenter__()
        return self.leader, self.client

    async def __aexit__(self, *_):
        await self.client.close()
        await self.leader.close()


async def parked(leader, saga):
    handle = await leader.start(saga, Order())
    with pytest.raises(SagaRequiresManual):
        await handle.result()
    return handle


@scene
async def test_retry_calls_again_what_is_owed_and_has_left_requires_manual_when_it_returns(file_ground, way):
    world = World()
    world.failing |= {"check", "unbook"}
    async with Desk(file_ground, way, world) as (leader, client):
        handle = await parked(leader, world.back)
        assert [view.id async for view in client.list(status="requires_manual")] == [handle.id]
        world.failing.clear()
        assert await client.retry(handle.id, reason="mended", actor="ann") is True
        assert await handle.status() in ("compensating", "compensated")
        with pytest.raises(SagaCompensated):
            await handle.result()
        asked = next(entry for entry in await client.history(handle.id) if entry.event == "RetryRequested")
        assert (asked.details["reason"], asked.details["actor"]) == ("mended", "ann")


@scene
async def test_retry_goes_forward_after_the_pivot(file_ground, way):
    world = World()
    world.failing.add("ship")
    async with Desk(file_ground, way, world) as (leader, client):
        handle = await parked(leader, world.forward)
        world.failing.clear()
        assert await client.retry(handle.id, reason="address mended")
        assert await handle.result() == "shipped"


@scene
async def test_retry_with_nothing_to_retry_is_a_conflict_that_says_what_is_allowed(file_ground, way):
    world = World()
    world.hold.clear()
    async with Desk(file_ground, way, world) as (leader, client):
        handle = await leader.start(world.back, Order())
        await world.begun.wait()
        with pytest.raises(Conflict, match=r"is running: .*allows cancel, pause"):
            await client.retry(handle.id, reason="why not")
        world.hold.set()
        await handle.result()
        with pytest.raises(Conflict, match=r"is completed: .*nothing: it has ended"):
            await client.retry(handle.id, reason="why not")


@scene
async def test_resolve_takes_a_persons_word_for_a_step(file_ground, way):
    world = World()
    world.failing.add("ship")
    async with Desk(file_ground, way, world) as (leader, client):
        handle = await parked(leader, world.forward)
        with pytest.raises(UsageError, match="result="):
            await client.resolve(handle.id, "ship", outcome="done", reason="by hand")
        with pytest.raises(UsageError):
            await client.resolve(handle.id, "ship", outcome="done", result=["no", "text"], reason="by hand")
        with pytest.raises(NotFound, match="it has: book, capture, ship"):
            await client.resolve(handle.id, "shop", outcome="done", reason="by hand")
        assert await client.resolve(handle.id, "ship", outcome="done", result="by hand", reason="the van was there")
        assert await handle.result() == "by hand"


@scene
async def test_skip_ends_a_saga_closed_and_its_result_says_what_stays(file_ground, way):
    world = World()
    world.failing |= {"check", "unbook"}
    async with Desk(file_ground, way, world) as (leader, client):
        handle = await parked(leader, world.back)
        with pytest.raises(Conflict):
            await client.skip(handle.id, "check", reason="wrong one")
        assert await client.skip(handle.id, "book", reason="written off")
        with pytest.raises(SagaFailed) as raised:
            await handle.result()
        assert (raised.value.status, raised.value.stays) == ("closed", ("book",))


@scene
async def test_cancel_turns_a_saga_back(file_ground, way):
    world = World()
    world.hold.clear()
    async with Desk(file_ground, way, world) as (leader, client):
        handle = await leader.start(world.back, Order())
        await world.begun.wait()
        assert await client.cancel(handle.id, reason="customer") is True
        world.hold.set()
        with pytest.raises(SagaCompensated, match="customer|cancel"):
            await handle.result()
        with pytest.raises(Conflict, match="compensated"):
            await client.cancel(handle.id, reason="again")
    assert world.calls == ["book", "unbook"]


@pytest.mark.parametrize("pivot", ["succeeds", "is rejected", "is parked"])
@scene
async def test_cancel_during_the_pivot_waits_for_its_outcome(file_ground, way, pivot):
    world = World(deadline="200ms" if pivot == "is parked" else "1h")
    world.hold.clear()
    async with Desk(file_ground, way, world) as (leader, client):
        handle = await leader.start(world.forward, Order())
        await world.begun.wait()
        cancelling = asyncio.create_task(client.cancel(handle.id, reason="customer"))
        await until(lambda: asked(leader, handle.id))
        await asyncio.sleep(0.02)
        assert not cancelling.done()
        world.failing |= {"is rejected": {"card"}, "is parked": {"capture"}}.get(pivot, set())
        world.hold.set()
        if pivot == "is rejected":
            assert await cancelling is True
            with pytest.raises(SagaCompensated):
                await handle.result()
            return
        with pytest.raises(Conflict, match="no way back"):
            await cancelling
        if pivot == "succeeds":
            assert await handle.result() == "shipped"
        else:  # its outcome is unknown, so there is neither back nor forward
            with pytest.raises(SagaRequiresManual):
                await handle.result()


@pytest.mark.parametrize("pivot", ["succeeds", "is rejected"])
@scene
async def test_a_cancel_that_waited_for_its_pivot_is_answered_in_the_transaction_that_decides_it(file_ground, pivot):
    """A crash behind that transaction must not have the next holder answer what was applied with "too late"."""
    world = World()
    world.hold.clear()
    async with Desk(file_ground, "inbox", world) as (leader, client):
        handle = await leader.start(world.forward, Order())
        await world.begun.wait()
        cancelling = asyncio.create_task(client.cancel(handle.id, reason="customer"))
        await until(lambda: asked(leader, handle.id))
        commit, goes_on = leader._store.commit, asyncio.Event()

        async def is_the_last(lease, batch):
            events = [event for row in batch.frames for event in decode_frame(row.body).events]
            if any(isinstance(event, (TurnedBack, CancelRefused)) for event in events):
                leader._store.commit = after_it
            return await commit(lease, batch)

        async def after_it(lease, batch):
            await goes_on.wait()
            return await commit(lease, batch)

        leader._store.commit = is_the_last
        world.failing |= {"card"} if pivot == "is rejected" else set()
        world.hold.set()
        try:
            if pivot == "is rejected":
                assert await asyncio.wait_for(cancelling, 5) is True
            else:
                with pytest.raises(Conflict, match="its pivot was under way and did not fail, so there is no way back"):
                    await asyncio.wait_for(cancelling, 5)
        finally:
            goes_on.set()
            leader._store.commit = commit


@pytest.mark.parametrize("pivot", ["succeeds", "is rejected"])
@scene
async def test_a_cancel_whose_pivot_is_decided_by_the_next_holder_is_answered_with_that(file_ground, pivot):
    """The pivot's outcome was the last word of the holder before; nothing is to be undone, so the saga ends at once."""
    world = World()
    world.hold.clear()
    alone = Saga("alone", world.forward.steps["capture"])
    first, client = file_ground.orchestrator(alone, grace="10s"), file_ground.orchestrator(worker=False)
    async with client:
        await first.__aenter__()
        handle = await first.start(alone, Order())
        await world.begun.wait()
        cancelling = asyncio.create_task(client.cancel(handle.id, reason="customer"))
        await until(lambda: asked(first, handle.id))
        engine = first._leader.engine
        closing = asyncio.create_task(first.close())
        await until(lambda: engine.draining)
        world.failing |= {"card"} if pivot == "is rejected" else set()
        world.hold.set()
        await closing
        assert not cancelling.done()
        async with file_ground.orchestrator(alone) as second:
            if pivot == "is rejected":
                assert await cancelling is True
                assert await second.handle(handle.id).status() == "compensated"
            else:
                with pytest.raises(Conflict, match="no way back"):
                    await cancelling
            assert [event for event in await events_of(second, handle.id) if event == "CancelRequested"] == [
                "CancelRequested"
            ]


@scene
async def test_a_cancel_that_waits_for_an_accepted_pivot_is_answered_by_the_next_holder_too(file_ground):
    """Its saga rests between two polls, and must not leave memory and the command with it."""
    done = []

    async def captured(ctx: Context) -> bool:
        if done:
            raise Rejected("the card is refused")
        return False

    @step(pivot=True)
    async def capture(order: Order) -> Accepted | None:
        return Accepted(poll=captured, every="50ms", until="1h")

    alone = Saga("alone", capture)
    first, client = file_ground.orchestrator(alone), file_ground.orchestrator(worker=False)
    async with client:
        async with first:
            handle = await first.start(alone, Order())
            await until(lambda: polled(first, handle.id))
            cancelling = asyncio.create_task(client.cancel(handle.id, reason="customer"))
            await until(lambda: asked(first, handle.id))
        async with file_ground.orchestrator(alone, horizon="1ms") as second:
            seen = (await events_of(second, handle.id)).count("PollPending")
            await until(lambda: polled(second, handle.id, seen + 2))
            assert not cancelling.done()
            done.append(True)
            assert await cancelling is True


async def polled(leader, saga_id, times=1):
    return (await events_of(leader, saga_id)).count("PollPending") >= times


async def asked(leader, saga_id):
    return "CancelRequested" in await events_of(leader, saga_id)


@scene
async def test_pause_begins_nothing_and_resume_goes_on(file_ground, way):
    world = World()
    world.hold.clear()
    async with Desk(file_ground, way, world) as (leader, client):
        handle = await leader.start(world.back, Order())
        await world.begun.wait()
        assert await client.pause(handle.id, reason="look at it")
        with pytest.raises(Conflict, match="paused already"):
            await client.pause(handle.id, reason="again")
        world.hold.set()
        await until(lambda: not leader._leader.engine.actors)
        assert (await client.get(handle.id)).hold == "paused"
        assert world.calls == ["book"]
        assert await client.resume(handle.id, reason="looked")
        assert await handle.result() == 7
        with pytest.raises(Conflict):
            await client.resume(handle.id, reason="again")


@scene
async def test_verbs_on_a_saga_that_is_not_there_and_without_a_reason_are_refused(file_ground, way):
    async with Desk(file_ground, way, World()) as (_, client):
        for verb in (client.retry, client.cancel, client.pause, client.resume):
            with pytest.raises(NotFound):
                await verb("01NOSUCHSAGA", reason="why")
            with pytest.raises(UsageError, match="reason"):
                await verb("01NOSUCHSAGA", reason=" ")


@scene
async def test_what_no_definition_knows_is_refused_before_it_is_queued(file_ground):
    """Found by attack: with no worker, a signal of a mistyped name was queued, and nobody saw its refusal."""

    def numbers(order: Order) -> list[int]:
        return [1, 2]

    @step
    async def pack(item: int) -> int:
        return item

    saga = Saga("approved", each(numbers, pack, item=int), wait_for("go", int), input=Order)

    async with file_ground.orchestrator(saga) as leader:
        handle = await leader.start(saga, Order())

        async def waits() -> bool:
            return (await leader.get(handle.id)).hold == "signal"

        await until(waits)
    async with file_ground.orchestrator(worker=False) as client:
        with pytest.raises(NotFound, match="it waits for: go"):
            await client.signal(handle.id, "gone", 1)
        with pytest.raises(NotFound, match="pakc"):
            await client.skip(handle.id, "pakc", reason="mistyped")
        assert await client.resolve(handle.id, "pack[7]", outcome="done", reason="an item may come to be") is False
        assert await client.signal(handle.id, "go", 1) is False


@scene
async def test_a_verb_without_a_live_leader_is_queued_and_applied_when_one_comes(file_ground):
    world = World()
    world.failing |= {"check", "unbook"}
    async with Desk(file_ground, "leader", world) as (leader, _):
        handle = await parked(leader, world.back)
    world.failing.clear()
    async with file_ground.orchestrator(worker=False) as client:
        with pytest.raises(NotFound):
            await client.retry("01NOSUCHSAGA", reason="why")
        before = asyncio.get_running_loop().time()
        assert await client.retry(handle.id, reason="mended") is False
        assert asyncio.get_running_loop().time() - before < 2
        assert await handle_status(client, handle.id) == "requires_manual"
    async with file_ground.orchestrator(world.back) as leader:
        await until(lambda: compensated(leader, handle.id))


async def handle_status(orchestrator, saga_id):
    return (await orchestrator.get(saga_id)).status


async def compensated(orchestrator, saga_id):
    return await handle_status(orchestrator, saga_id) == "compensated"


@scene
async def test_a_command_that_no_release_knows_is_answered_and_stops_no_other(file_ground):
    world = World()
    world.hold.clear()
    async with Desk(file_ground, "inbox", world) as (leader, client):
        handle = await leader.start(world.back, Order())
        await world.begun.wait()
        store = client._store
        for body in (b"not json", b'{"verb":"explode"}'):
            await store.post(handle.id, body, now=0)
        assert await client.pause(handle.id, reason="look") is True
        await until(lambda: answered(store, 2))
        assert "explode" in (await store.command(2)).error
        assert await client.resume(handle.id, reason="looked") is True
        world.hold.set()
        await handle.result()


async def answered(store, number):
    row = await store.command(number)
    return row is not None and row.done


@scene
async def test_a_command_is_applied_once_also_when_the_inbox_is_read_again_before_its_answer_is_durable():
    store, ground, saga = FaultyStore(MemoryStore()), Ground(None), Saga("waits", wait_for("go", str), input=Order)
    leading, looking = ground.orchestrator(saga, store=store), ground.orchestrator(store=store._inner, worker=False)
    async with leading as leader, looking as looker:
        handle = await leader.start(saga, Order())
        await leader.drain()

        async def slow(lease, batch):
            """An answer lands only after the inbox was read twice more."""
            seen = store.calls.count("commands")
            while batch.answered and store.calls.count("commands") < seen + 2:
                leader.look()
                await asyncio.sleep(0.001)

        store.faults["commit"] = slow
        assert await looker.cancel(handle.id, reason="x")
        await leader._engine().committer.flush()
        assert await handle.status() == "compensated"
        assert [(row.done, row.error) for row in store._inner._inbox.values()] == [(True, "")]


@scene
async def test_a_cancel_is_answered_in_the_transaction_that_applies_it():
    store, ground, saga = FaultyStore(MemoryStore()), Ground(None), Saga("waits", wait_for("go", str), input=Order)
    leading, looking = ground.orchestrator(saga, store=store), ground.orchestrator(store=store._inner, worker=False)
    async with leading as leader, looking as looker:
        handle = await leader.start(saga, Order())
        await leader.drain()
        together = []
        store.faults["commit"] = lambda lease, batch: together.append((len(batch.frames), dict(batch.answered)))
        assert await looker.cancel(handle.id, reason="x")
        assert (1, {1: ""}) in together


@scene
async def test_a_verb_whose_frame_does_not_land_in_time_is_not_called_queued():
    """Found by attack: behind another program's lock a signal was "queued", and lost with the process."""
    store, saga = FaultyStore(MemoryStore()), Saga("waits", wait_for("go", str), input=Order)
    async with Ground(None).orchestrator(saga, store=store, patience="30ms") as orchestrator:
        handle = await orchestrator.start(saga, Order())
        await orchestrator.drain()
        unlocked = asyncio.Event()
        store.faults["commit"] = lambda lease, batch: unlocked.wait()
        with pytest.raises(StoreUnavailable, match="the signal could not be written within 30ms"):
            await orchestrator.signal(handle.id, "go", "on")
        unlocked.set()
        assert await handle.result() == "on"


@scene
async def test_a_verb_is_refused_only_for_what_is_durable():
    """Found by attack: "it is completed, cancel comes too late", and after a crash it was not."""
    store, saga = FaultyStore(MemoryStore()), Saga("waits", wait_for("go", str), input=Order)
    async with Ground(None).orchestrator(saga, store=store) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        await orchestrator.drain()
        unlocked = asyncio.Event()
        store.faults["commit"] = lambda lease, batch: unlocked.wait()
        signal = asyncio.ensure_future(orchestrator.signal(handle.id, "go", "on"))
        cancel = asyncio.ensure_future(orchestrator.cancel(handle.id, reason="x"))
        await asyncio.sleep(0.03)
        assert not (signal.done() or cancel.done())
        unlocked.set()
        assert await signal
        with pytest.raises(Conflict, match="comes too late"):
            await cancel


@scene
async def test_a_drain_applies_the_verbs_that_were_queued_before_it(file_ground):
    """Also where nothing is awake: `amends worker --until-idle` must not end before it has read the inbox."""
    world = World()
    world.failing = {"check", "unbook"}
    async with file_ground.orchestrator(world.back) as orchestrator:
        saga = await orchestrator.start(world.back, Order())
        with pytest.raises(SagaRequiresManual):
            await saga.result()
    world.failing = set()
    async with file_ground.orchestrator(worker=False) as looker:
        assert await looker.retry(saga.id, reason="unbook works again") is False
    async with file_ground.orchestrator(world.back) as orchestrator:
        await orchestrator.drain()
        assert (await orchestrator.get(saga.id)).status == "compensated"
