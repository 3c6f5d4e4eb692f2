"""`get` and `history` at a past moment: the view is what `get` showed then."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from amends import Orchestrator, Rejected, Retry, Saga, step
from amends.core.events import decode_frame
from amends.errors import NotFound, StoreUnusable, UsageError
from amends.runtime.reading import Reader
from amends.runtime.views import when
from amends.stores.base import FrameRow
from amends.stores.memory import MemoryStore
from tests.simulated import prefixes, simulated

SEEDS = range(20)


def test_the_view_at_every_frame_is_the_view_of_a_journal_that_ends_there():
    stores = [simulated(seed) for seed in SEEDS]

    async def main():
        seen = 0
        for seed, store in zip(SEEDS, stores, strict=True):
            whole = Reader(store, {})
            async for saga_id, seq, cut in prefixes(seed):
                reader = Reader(cut, {})
                assert await whole.view(saga_id, seq) == await reader.view(saga_id)
                assert await whole.history(saga_id, seq) == await reader.history(saga_id)
                seen += 1
        assert seen > 500

    asyncio.run(main())


def test_the_view_at_a_time_is_the_view_after_the_last_frame_that_was_there():
    stores = [simulated(seed) for seed in SEEDS]

    async def main():
        seen = 0
        for store in stores:
            await store.open()
            reader = Reader(store, {})
            for saga_id, rows in (await store.frames(list(store._journal))).items():
                times = [decode_frame(row.body).at for row in rows]
                for at in (each + less for each in times for less in (0, -1) if each + less >= min(times)):
                    then = max(seq for seq, time in enumerate(times, 1) if time <= at)
                    assert (await reader.view(saga_id, when(at))).seq == then
                    seen += 1
        assert seen > 500

    asyncio.run(main())


@step(retry=Retry(attempts=2, base="10ms"))
async def book(order: dict) -> dict:
    return {"seat": "12A"}


@book.compensation
async def cancel(order: dict) -> None: ...


@step
async def pay(order: dict) -> None:
    raise Rejected("no money")


trip = Saga("trip", book, pay, input=dict)


def test_what_get_showed_while_the_saga_ran_is_what_it_shows_later():
    async def main():
        shown, store = {}, MemoryStore()
        async with Orchestrator(store, sagas=[trip]) as orchestrator:
            saga = await orchestrator.start(trip, {"to": "Lisbon"})
            while not shown or (await orchestrator.get(saga.id)).ended_at is None:
                view = await orchestrator.get(saga.id)
                shown[view.seq] = view
                await asyncio.sleep(0)
            end = await orchestrator.get(saga.id)
            assert len(shown) >= 2
            for seq, view in shown.items():
                assert await orchestrator.get(saga.id, at=seq) == view
            assert await orchestrator.get(saga.id, at=end.seq) == end
            assert await orchestrator.get(saga.id, at=datetime.now(UTC) + timedelta(days=1)) == end
            assert {entry.seq for entry in await orchestrator.history(saga.id, at=2)} == {1, 2}

    asyncio.run(main())


def test_a_moment_that_is_none_is_refused_in_words_that_fit():
    async def main():
        async with Orchestrator(MemoryStore(), sagas=[trip]) as orchestrator:
            saga = await orchestrator.start(trip, {})
            await orchestrator.drain()
            began = (await orchestrator.get(saga.id)).started_at
            with pytest.raises(NotFound, match=r"AM3007.*was not there at .*: it started at ") as error:
                await orchestrator.get(saga.id, at=began - timedelta(milliseconds=1))
            assert began.isoformat(timespec="milliseconds") in str(error.value)
            assert (await orchestrator.get(saga.id, at=1)).status == "running"
            assert (await orchestrator.get(saga.id, at=began)).seq >= 1
            for seq in (0, -1, 99):
                with pytest.raises(NotFound, match=rf"AM3008.*has no frame {seq}: its journal has the frames 1 to "):
                    await orchestrator.get(saga.id, at=seq)
            with pytest.raises(UsageError, match="AM2026.*no time zone"):
                await orchestrator.get(saga.id, at=began.replace(tzinfo=None))

    asyncio.run(main())


@pytest.mark.parametrize(
    "body",
    [
        b'[1,1795652576619,[["a",999]]]',
        b'[1,1795652576619,[["ok",999,"x"]]]',
        b'[1,1795652576619,[["a",1],["a",1]]]',
        b"[1,100000000000000000,[]]",
        b"[1,-1,[]]",
    ],
)
def test_a_journal_that_does_not_follow_from_itself_is_refused_with_the_number_of_its_frame(body):
    async def main():
        store = MemoryStore()
        saga = Saga("looked_at", step(read_only=True, name="look")(lambda order: None), input=dict)
        async with Orchestrator(store, sagas=[saga]) as orchestrator:
            handle = await orchestrator.start(saga, {})
            await handle.result()
            saga_id, journal = handle.id, store._journal[handle.id]
            wrong = FrameRow(saga_id, len(journal) + 1, body)
            journal.append(wrong)
            for look in (orchestrator.get, orchestrator.history, orchestrator.why, orchestrator.export):
                with pytest.raises(StoreUnusable, match=f"AM6041.*frame {wrong.seq}: "):
                    await look(saga_id)
            for seq in range(1, wrong.seq):  # before it the journal is whole, and nothing else is asked of it
                assert (await orchestrator.get(saga_id, at=seq)).seq == seq
                assert (await orchestrator.history(saga_id, at=seq))[-1].seq == seq
                assert await orchestrator.why(saga_id, at=seq)
            with pytest.raises(NotFound, match=f"frames 1 to {wrong.seq}, "):
                await orchestrator.get(saga_id, at=wrong.seq + 1)

    asyncio.run(main())
