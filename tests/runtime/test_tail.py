"""`tail` and `follow`: every event once, in the order in which it became durable."""

import asyncio
from itertools import pairwise

import pytest

from amends import NotFound, Orchestrator, Rejected, Saga, step, wait_for
from amends.core import events as ev
from amends.core.filter_text import parse
from amends.errors import FilterError
from amends.runtime import tailing
from amends.runtime.reading import Reader
from amends.runtime.tailing import Tail
from amends.stores.base import Batch, FrameRow, Owner
from amends.stores.memory import MemoryStore
from amends.stores.projection import fold_row, matches, outlines_of
from amends.testing.journals import definition, saga_frames, story
from tests.simulated import simulated


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(tailing, "_POLL_S", 0)


async def told():
    """A store with the story of six sagas, its rows in order."""
    store = MemoryStore()
    await store.open()
    await store.register([definition(), definition("order")])
    lease = await store.acquire(Owner("a test"), ttl_ms=10, now=0)
    await store.commit(lease, Batch(1, frames=story()))
    return store, lease


def events_of(rows):
    return [(row.saga_id, row.seq, type(event).__name__) for row in rows for event in ev.decode_frame(row.body).events]


@step
async def say(name: str) -> str:
    return f"hello {name}"


greet = Saga("greet", say)


def seen(entries):
    return [(each.saga_id, each.entry.seq, each.entry.event) for each in entries]


async def tail(store, which=tailing.EVERYTHING, after=0):
    return [each async for each in Tail(store, Reader(store, {}), which).after(after, follow=False)]


@pytest.mark.parametrize("page", [1, 2, 500])
@pytest.mark.parametrize("kept", [1, 10_000])
def test_every_event_is_told_once_and_in_order_however_the_journal_is_cut_into_pages(monkeypatch, page, kept):
    monkeypatch.setattr(tailing, "TAIL_PAGE_FRAMES", page)
    monkeypatch.setattr(tailing, "TAIL_SAGAS_KEPT", kept)

    async def main():
        store, _ = await told()
        everything = await tail(store)
        assert seen(everything) == events_of(story())
        assert next(each.name for each in everything if each.saga_id == "s5") == "order"
        assert {each.entry.step for each in everything if each.entry.event == "ActionStarted"} == {"book"}
        for each, following in pairwise(everything):
            if each.position != following.position:  # going on after a frame tells the rest
                rest = everything[everything.index(following) :]
                assert await tail(store, after=each.position) == rest

    asyncio.run(main())


@pytest.mark.parametrize("count", [0, 1, 3, 7, 10_000])
@pytest.mark.parametrize("page", [2, 500])
def test_the_last_events_are_the_end_of_all_and_going_on_misses_nothing(monkeypatch, count, page):
    monkeypatch.setattr(tailing, "TAIL_PAGE_FRAMES", page)

    async def main():
        store, lease = await told()
        everything = await tail(store)
        last, position = await Tail(store, Reader(store, {})).last(count)
        assert last == (everything[-count:] if count else [])
        await store.commit(lease, Batch(2, frames=saga_frames("s7", [ev.Began()])))
        assert seen(await tail(store, after=position)) == [("s7", 1, "Started"), ("s7", 2, "Began")]

    asyncio.run(main())


@pytest.mark.parametrize(
    "which",
    [
        parse(text)
        for text in ("status:requires_manual", "name:order", "tour:north", "failed:book", "updated<1s is:ended")
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize(("page", "kept"), [(1, 1), (3, 2), (500, 10_000)])
def test_a_filter_judges_each_saga_as_it_stood_after_the_event(monkeypatch, which, page, kept):
    monkeypatch.setattr(tailing, "TAIL_PAGE_FRAMES", page)
    monkeypatch.setattr(tailing, "TAIL_SAGAS_KEPT", kept)

    async def main():
        store, _ = await told()
        paths, summaries, expected = outlines_of(await store.definitions()), {}, []
        for row in story():
            summaries[row.saga_id] = fold_row(summaries.get(row.saga_id), row, paths)
            if matches(summaries[row.saga_id], which.at(summaries[row.saga_id].updated)):
                expected.append(row)
        assert 0 < len(expected) < len(story())
        assert seen(await tail(store, which)) == events_of(expected)
        last, _ = await Tail(store, Reader(store, {}), which).last(2)
        assert seen(last) == events_of(expected)[-2:]

    asyncio.run(main())


def test_the_tail_of_a_whole_journal_is_the_histories_of_its_sagas():
    stores = [simulated(seed) for seed in range(10)]

    async def main():
        for store in stores:
            await store.open()
            histories = {}
            for each in await tail(store):
                histories.setdefault(each.saga_id, []).append(each.entry)
            reader = Reader(store, {})
            assert set(histories) == set(store._journal)
            for saga_id, entries in histories.items():
                assert entries == await reader.history(saga_id)
        assert any(store._journal for store in stores)

    asyncio.run(main())


def test_a_frame_that_cannot_be_read_and_a_saga_of_which_no_beginning_is_left_are_told_all_the_same():
    async def main():
        store, lease = await told()
        await store.commit(lease, Batch(2, frames=[FrameRow("s1", 4, b"[9,1,[]]"), *saga_frames("s7", [ev.Began()])]))
        del store._journal["s7"]  # pruned between the page and the look at what came before
        position = (await store.journal_end(before=1 << 62, limit=1))[0].position
        unreadable, *_, began = await tail(store, after=position - 3)
        assert unreadable.entry.event == "Unreadable" and "wire version 9" in unreadable.entry.details["error"]
        assert seen([began]) == [("s7", 2, "Began")]

    asyncio.run(main())


@step
async def pay(order: dict) -> None:
    raise Rejected("no money")


refused = Saga("refused", wait_for("go", dict), pay, input=dict)


def test_whoever_follows_is_told_what_comes_and_a_saga_is_followed_to_its_end():
    async def main():
        async with Orchestrator(MemoryStore(), sagas=[refused]) as orchestrator:
            saga = await orchestrator.start(refused, {})
            listening = orchestrator.tail(after=0, follow=True)
            follower = asyncio.create_task(collected(orchestrator.follow(saga.id)))
            await orchestrator.drain()
            await asyncio.sleep(0)
            assert not follower.done()
            await orchestrator.signal(saga.id, "go", {})
            history = await asyncio.wait_for(follower, 10)
            assert history == await orchestrator.history(saga.id) and history[-1].event == "Compensated"
            assert [(await anext(listening)).entry for _ in history] == history
            await listening.aclose()
            with pytest.raises(NotFound):
                await collected(orchestrator.follow("nobody"))

    asyncio.run(main())


def test_who_follows_a_saga_reads_its_journal_once_and_then_what_is_new():
    class Counting:
        """A store that counts the frames that it hands out."""

        def __init__(self, store):
            self.store, self.read = store, 0

        def __getattr__(self, name):
            return getattr(self.store, name)

        async def frames(self, saga_ids):
            return self._counted(await self.store.frames(saga_ids))

        async def later_frames(self, after):
            return self._counted(await self.store.later_frames(after))

        def _counted(self, found):
            self.read += sum(len(rows) for rows in found.values())
            return found

    async def main():
        counting = Counting(MemoryStore())
        waits = [wait_for(f"go{number}", dict) for number in range(30)]
        async with Orchestrator(counting.store, sagas=[Saga("long", *waits, input=dict)]) as orchestrator:
            saga = await orchestrator.start("long", {})
            following = tailing.follow(Reader(counting, {}), saga.id)
            history = [await anext(following)]
            for number in range(30):
                await orchestrator.signal(saga.id, f"go{number}", {})
                while history[-1].event != "WaitSatisfied":
                    history.append(await anext(following))
                history.append(await anext(following))
            history += [each async for each in following]
            assert history == await orchestrator.history(saga.id)
            assert counting.read < 4 * history[-1].seq

    asyncio.run(main())


def test_who_follows_a_saga_that_is_pruned_meanwhile_is_told_so():
    async def main():
        store = MemoryStore()
        async with Orchestrator(store, sagas=[refused]) as orchestrator:
            saga = await orchestrator.start(refused, {})
            following = orchestrator.follow(saga.id)
            assert (await anext(following)).event == "Started"
            await orchestrator.signal(saga.id, "go", {})
            await orchestrator.drain()
            await orchestrator.prune(older=0)
            with pytest.raises(NotFound, match="AM3010"):
                await collected(following)

    asyncio.run(main())


async def collected(entries):
    return [each async for each in entries]


def test_an_orchestrator_tells_the_last_events_and_goes_on_after_a_position():
    async def main():
        store, _ = await told()
        async with Orchestrator(store, worker=False) as orchestrator:
            everything = await collected(orchestrator.tail(after=0))
            assert await collected(orchestrator.tail(last=4)) == everything[-4:]
            assert await collected(orchestrator.tail()) == []
            assert {each.name for each in await collected(orchestrator.tail("name:order", after=0))} == {"order"}
            with pytest.raises(FilterError):
                orchestrator.tail("status:nonsense")

    asyncio.run(main())


def test_a_position_beyond_every_journal_is_its_end_and_one_before_it_its_beginning(tmp_path):
    async def main():
        async with Orchestrator(f"sqlite:///{tmp_path}/tail.db", sagas=[greet]) as orchestrator:
            await (await orchestrator.start(greet, "ann")).result()
            assert await collected(orchestrator.tail(after=10**30)) == []
            everything = await collected(orchestrator.tail(after=0))
            assert everything and await collected(orchestrator.tail(after=-(10**30))) == everything

    asyncio.run(main())
