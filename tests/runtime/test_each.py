"""`each` as it runs: lists, limits, keys, partial failure, and what a restart in the middle of it does."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType

import pytest

import amends.runtime.evaluate as evaluating
from amends import (
    Conflict,
    Context,
    NotFound,
    Orchestrator,
    Rejected,
    Retry,
    Saga,
    SagaCompensated,
    SagaFailed,
    SagaRequiresManual,
    UsageError,
    call,
    each,
    step,
    wait_for,
)  # fmt: skip
from amends.stores.memory import MemoryStore
from tests.runtime.stage import events_of, kill, scene, until

ONCE = Retry(attempts=1)


@dataclass
class Item:
    number: int


@dataclass
class Order:
    items: list[Item] = field(default_factory=list)


@dataclass
class Booking:
    number: int
    of: str


def order(count: int) -> Order:
    return Order([Item(number) for number in range(count)])


def items(order: Order) -> list[Item]:
    return order.items


class World:
    """A step and its compensation, for items; what they were called for, and what befalls them."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.keys: Counter[str] = Counter()
        self.effects: set[int] = set()
        self.failing: dict[int, Exception] = {}
        self.held: dict[int, asyncio.Event] = {}
        self.at_once = self.most_at_once = 0
        self.undo_fails: set[int] = set()

        @step(retry=ONCE)
        async def book(order: Order, item: Item, ctx: Context) -> Booking:
            self.calls.append(f"book {item.number}")
            self.keys[ctx.idempotency_key] += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                await asyncio.sleep(0)
                if item.number in self.held:
                    await self.held[item.number].wait()
                if item.number in self.failing:
                    raise self.failing[item.number]
            finally:
                self.at_once -= 1
            self.effects.add(item.number)
            return Booking(item.number, ctx.step)

        @book.compensation(retry=ONCE)
        async def unbook(item: Item, book: Booking | None, ctx: Context) -> None:
            self.calls.append(f"unbook {item.number} {'?' if book is None else book.of}")
            if item.number in self.undo_fails:
                raise RuntimeError("cannot be unbooked")
            self.effects.discard(item.number)

        self.book = book

    def holds(self, *numbers: int) -> None:
        self.held |= {number: asyncio.Event() for number in numbers}

    def release(self) -> None:
        for event in self.held.values():
            event.set()


@step
async def turn_back(order: Order) -> None:
    raise Rejected("turn back")


@scene
async def test_its_value_is_the_typed_list_of_the_results_in_the_items_order(ground):
    world = World()
    world.holds(0)
    saga = Saga("orders", each(items, world.book))
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, order(3))
        await until(lambda: world.effects == {1, 2}, "the later items to be done first")
        world.release()
        assert await handle.result() == [Booking(0, "book[0]"), Booking(1, "book[1]"), Booking(2, "book[2]")]
        assert set(world.keys) == {f"{handle.id}/book[{number}]/action" for number in range(3)}
        view = await orchestrator.get(handle.id)
        assert [step.path for step in view.steps] == ["book[0]", "book[1]", "book[2]"]
        assert view["book[1]"].result == {"number": 1, "of": "book[1]"}
        assert view.result == [{"number": number, "of": f"book[{number}]"} for number in range(3)]
        told = await orchestrator.history(handle.id)
        (listed,) = [entry for entry in told if entry.event == "ItemsListed"]
        assert (listed.step, listed.details["items"]) == ("each#1", [{"number": number} for number in range(3)])
        assert {entry.step for entry in told if entry.event == "ActionSucceeded"} == {"book[0]", "book[1]", "book[2]"}


@scene
async def test_a_later_step_takes_the_list_and_no_items_give_an_empty_one(ground):
    world, seen = World(), []

    @step
    async def count(book: list[Booking]) -> int:
        seen.append(book)
        return len(book)

    saga = Saga("orders", each(items, world.book), count, input=Order)
    async with ground.orchestrator(saga) as orchestrator:
        assert await (await orchestrator.start(saga, order(2))).result() == 2
        assert await (await orchestrator.start(saga, order(0))).result() == 0
    assert seen == [[Booking(0, "book[0]"), Booking(1, "book[1]")], []]


@pytest.mark.parametrize("limit", [1, 3, 12])
@scene
async def test_as_many_items_run_at_a_time_as_its_limit_says_and_no_more(ground, limit):
    together, running, most = asyncio.Barrier(limit), 0, 0

    @step
    async def book(item: Item) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        async with together:  # passed only if as many run
            pass
        running -= 1

    saga = Saga("orders", each(items, book, limit=limit), input=Order)
    async with ground.orchestrator(saga) as orchestrator:
        await (await orchestrator.start(saga, order(12))).result()
    assert most == limit


@scene
async def test_an_item_that_waits_keeps_its_place(ground):
    world = World()
    world.holds(0, 1)
    saga = Saga("orders", each(items, world.book, limit=2))
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, order(4))
        await until(lambda: len(world.calls) == 2)
        assert (await orchestrator.get(handle.id))["book[2]"].status == "pending"
        world.held[1].set()
        await until(lambda: len(world.calls) == 4)  # one at a time beside the one that is held
        assert world.calls == ["book 0", "book 1", "book 2", "book 3"]
        world.release()
        assert len(await handle.result()) == 4


@scene
async def test_one_item_s_rejection_undoes_those_done_from_the_last_and_begins_no_other(ground):
    world = World()
    world.failing[4] = Rejected("sold out")
    world.holds(3, 4)
    saga = Saga("orders", each(items, world.book, limit=2))
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, order(20))
        await until(lambda: len(world.calls) == 5)
        world.held[4].set()
        await until(lambda: events_have(orchestrator, handle.id, "TurnedBack"))
        assert not any("unbook" in each for each in world.calls)  # none before every running attempt has ended
        world.release()
        with pytest.raises(SagaCompensated, match=r"book\[4\] rejected: .*sold out"):
            await handle.result()
        view = await orchestrator.get(handle.id)
    assert world.calls[5:] == [f"unbook {number} book[{number}]" for number in (3, 2, 1, 0)]
    assert world.effects == set()
    statuses = Counter(str(step.status) for step in view.steps)
    assert statuses == {"compensated": 4, "rejected": 1, "pending": 15}


async def events_have(orchestrator, saga_id, event):
    return event in await events_of(orchestrator, saga_id)


@scene
async def test_an_item_s_unknown_step_is_undone_with_the_rest(ground):
    world = World()
    world.failing[1] = RuntimeError("no answer")
    saga = Saga("orders", each(items, world.book))
    async with ground.orchestrator(saga) as orchestrator:
        with pytest.raises(SagaCompensated, match=r"book\[1\] unknown"):
            await (await orchestrator.start(saga, order(3))).result()
    assert sorted(each for each in world.calls if "unbook" in each) == [
        "unbook 0 book[0]",
        "unbook 1 ?",
        "unbook 2 book[2]",
    ]


@pytest.mark.parametrize("way", ["killed", "stopped"])
@scene
async def test_a_restart_in_the_middle_calls_nothing_that_is_done_and_what_ran_again_under_its_key(ground, way):
    world = World()
    world.holds(2, 3)
    saga = Saga("orders", each(items, world.book, limit=2))
    first = ground.orchestrator(saga)
    await first.__aenter__()
    handle = await first.start(saga, order(6))
    await until(lambda: len(world.calls) == 4)
    await (kill(first) if way == "killed" else first.close())
    world.release()
    async with ground.orchestrator(saga) as second:
        assert [booking.number for booking in await second.handle(handle.id).result()] == list(range(6))
        assert (await second.get(handle.id))["book[2]"].attempts == 2
    assert world.keys == {
        f"{handle.id}/book[{number}]/action": 2 if number in (2, 3) else 1 for number in range(6)
    }  # fmt: skip


@scene
async def test_a_crash_while_items_are_undone_goes_on_undoing_and_doubles_nothing(ground):
    world = World()
    undone, release = [], asyncio.Event()

    @step
    async def book(item: Item) -> int:
        return item.number

    @book.compensation
    async def unbook(item: Item, ctx: Context) -> None:
        undone.append(ctx.idempotency_key)
        if item.number == 2:
            await release.wait()

    saga = Saga("orders", each(items, book, limit=1), turn_back, input=Order)
    first = ground.orchestrator(saga)
    await first.__aenter__()
    handle = await first.start(saga, order(5))
    await until(lambda: len(undone) == 3)
    await kill(first)
    release.set()
    async with ground.orchestrator(saga) as second:
        with pytest.raises(SagaCompensated):
            await second.handle(handle.id).result()
    keys = [f"{handle.id}/book[{number}]/compensation" for number in (4, 3, 2, 2, 1, 0)]
    assert undone == keys
    assert not world.calls


@scene
async def test_the_items_are_asked_for_once_and_a_restart_sees_those(ground):
    world, asked = World(), []
    world.holds(1)

    def changing(order: Order) -> list[Item]:
        asked.append(len(asked))
        return [Item(10 * len(asked)), Item(1)]

    saga = Saga("orders", each(changing, world.book), input=Order)
    first = ground.orchestrator(saga)
    await first.__aenter__()
    handle = await first.start(saga, order(0))
    await until(lambda: len(world.calls) == 2)
    await kill(first)
    world.release()
    async with ground.orchestrator(saga) as second:
        assert [booking.number for booking in await second.handle(handle.id).result()] == [10, 1]
    assert asked == [0]


@scene
async def test_another_limit_holds_for_the_sagas_that_list_their_items_from_then_on(ground):
    world = World()
    world.holds(0)
    wide, narrow = (Saga("orders", each(items, world.book, limit=limit)) for limit in (3, 1))
    assert wide.fingerprint == narrow.fingerprint
    first = ground.orchestrator(wide)
    await first.__aenter__()
    old = await first.start(wide, order(9))
    await until(lambda: len(world.calls) >= 9)  # all but the one that is held have run beside it
    await kill(first)
    world.release()
    async with ground.orchestrator(narrow) as second:
        assert len(await second.handle(old.id).result()) == 9
        world.most_at_once = 0
        await (await second.start(narrow, order(9))).result()
        assert world.most_at_once == 1


class TestWhatItsItemsFunctionGives:
    """What is no list of items is poison: the saga is parked, and goes on when the code is mended."""

    @pytest.fixture(autouse=True)
    def limits(self, monkeypatch):
        monkeypatch.setattr(evaluating, "ITEMS_MAX", 5)
        monkeypatch.setattr(evaluating, "ITEMS_BYTES_MAX", 60)

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            pytest.param(lambda: 1 / 0, "ZeroDivisionError", id="raises"),
            pytest.param(lambda: 5, "AM2007.*each#1: int is no list of items", id="a number"),
            pytest.param(lambda: "abc", "AM2007.*str is no list", id="a text"),
            pytest.param(lambda: {"a": 1}, "AM2007.*dict is no list", id="a dictionary"),
            pytest.param(lambda: None, "AM2007.*NoneType is no list", id="none"),
            pytest.param(lambda: range(6), "AM2007.*more than 5 items", id="too many"),
            pytest.param(lambda: ["x" * 70], "AM2007.*60 bytes", id="too large"),
            pytest.param(lambda: [1, float("nan")], "AM2102.*item 1 of each#1", id="no JSON"),
            pytest.param(lambda: (n // (n - 1) for n in range(3)), "ZeroDivisionError", id="raises on the way"),
        ],
    )
    def test_it_is_parked_and_a_retry_asks_again(self, ground, given, said):
        answers = [given, lambda: [7]]

        @step
        async def use(item) -> int:
            return item

        def asks(order: Order):
            return answers[0]()

        saga = Saga("orders", each(asks, use), input=Order)

        @scene
        async def play():
            async with ground.orchestrator(saga) as orchestrator:
                handle = await orchestrator.start(saga, order(0))
                with pytest.raises(SagaRequiresManual, match=r"each#1 \(poison\)") as raised:
                    await handle.result()
                (told,) = raised.value.errors
                assert re.search(said, told)
                with pytest.raises(Conflict, match="no step"):
                    await orchestrator.resolve(handle.id, "each#1", outcome="done", reason="why not")
                answers.pop(0)
                assert await orchestrator.retry(handle.id, reason="mended")
                assert await handle.result() == [7]

        play()

    @scene
    async def test_any_iterable_is_a_list(self, ground):
        @step
        async def use(item: int) -> int:
            return item

        answers = [(1, 2), iter([1, 2]), {1, 2}, range(1, 3)]
        saga = Saga("orders", each(lambda order: answers.pop(), use, item=int), input=Order)
        async with ground.orchestrator(saga) as orchestrator:
            while answers:
                assert await (await orchestrator.start(saga, order(0))).result() == [1, 2]


class TestPeople:
    @scene
    async def test_what_is_parked_of_an_item_is_retried_resolved_and_skipped_by_its_path(self, ground):
        world = World()
        world.undo_fails |= {0, 1, 2}
        saga = Saga("orders", each(items, world.book), turn_back, input=Order)
        async with ground.orchestrator(saga) as orchestrator:
            handle = await orchestrator.start(saga, order(3))
            with pytest.raises(SagaRequiresManual, match=r"book\[0\] \(exhausted\), book\[1\] \(exhausted\)"):
                await handle.result()
            with pytest.raises(NotFound, match=r"no step 'book\[3\]'; it has: book\[0\], book\[1\], book\[2\], turn_"):
                await orchestrator.skip(handle.id, "book[3]", reason="written off")
            with pytest.raises(NotFound, match="no step 'book'"):
                await orchestrator.skip(handle.id, "book", reason="written off")
            assert await orchestrator.resolve(handle.id, "book[1]", outcome="done", reason="by hand")
            assert await orchestrator.skip(handle.id, "book[0]", reason="written off")
            world.undo_fails.clear()
            assert await orchestrator.retry(handle.id, reason="mended")
            with pytest.raises(SagaFailed) as raised:
                await handle.result()
            assert (raised.value.status, raised.value.stays) == ("closed", ("book[0]",))
            view = await orchestrator.get(handle.id)
            assert [str(view[f"book[{n}]"].status) for n in range(3)] == ["skipped", "compensated", "compensated"]

    @scene
    async def test_an_item_s_result_is_asked_for_when_its_list_has_no_place_for_none(self, ground):
        @step(pivot=True)
        async def pay(order: Order) -> None: ...

        @step(retriable=True)
        async def ship(item: Item) -> Booking:
            raise Rejected("no such address")

        @step(retriable=True)
        async def tell(ship: list[Booking]) -> int:
            return len(ship)

        for name, last in (("read", [tell]), ("result", [])):
            saga = Saga(name, pay, each(items, ship), *last, input=Order)
            async with ground.orchestrator(saga) as orchestrator:
                handle = await orchestrator.start(saga, order(1))
                with pytest.raises(SagaRequiresManual):
                    await handle.result()
                with pytest.raises(UsageError, match="AM2011"):
                    await orchestrator.resolve(handle.id, "ship[0]", outcome="done", reason="by hand")
                with pytest.raises(Conflict, match="is read later"):
                    await orchestrator.skip(handle.id, "ship[0]", reason="no need")
                given = {"number": 5, "of": "hand"}
                await orchestrator.resolve(handle.id, "ship[0]", outcome="done", result=given, reason="by hand")
                assert await handle.result() == (1 if last else [Booking(5, "hand")])

    @scene
    async def test_a_follow_up_after_turning_back_reads_a_list_that_is_whole_or_none(self, ground):
        world, seen = World(), []

        @step
        async def sorry(book: list[Booking] | None) -> None:
            seen.append(None if book is None else len(book))

        saga = Saga("orders", each(items, world.book), turn_back, input=Order, on_compensated=[sorry])
        async with ground.orchestrator(saga) as orchestrator:
            for failing in ({}, {1: Rejected("sold out")}):
                world.failing = failing
                handle = await orchestrator.start(saga, order(3))
                with pytest.raises(SagaCompensated):
                    await handle.result()
                await orchestrator.drain()
                assert not (await orchestrator.get(handle.id)).followup_failed
        assert seen == [3, None]

    @scene
    async def test_signals_reach_an_item_s_wait_by_its_path_or_the_one_that_waits_longest_by_name(self, ground):
        @step
        async def noted(ok: int) -> int:
            return ok

        saga = Saga("orders", each(items, wait_for("ok", int), noted), input=Order)
        async with ground.orchestrator(saga) as orchestrator:
            handle = await orchestrator.start(saga, order(3))
            assert await orchestrator.signal(handle.id, "ok[2]", 20)
            assert await orchestrator.signal(handle.id, "ok", 30)
            with pytest.raises(NotFound, match="AM3004"):
                await orchestrator.signal(handle.id, "ok[3]", 20)
            assert await orchestrator.signal(handle.id, "ok", 31)
            assert await handle.result() == [30, 31, 20]


@scene
async def test_an_each_in_an_each_numbers_both_and_a_call_in_one_its_name(ground):
    paths, keys = [], []

    @dataclass
    class Box:
        items: list[Item]

    def boxes(order: Order) -> list[Box]:
        return [Box(order.items[:1]), Box(order.items)]

    def of_box(box: Box) -> list[Item]:
        return box.items

    def given(item: Item) -> Item:
        return item

    @step
    async def label(thing: Item, ctx: Context) -> int:
        paths.append(ctx.step)
        keys.append(ctx.idempotency_key)
        return thing.number

    ship = Saga("ship", label)
    saga = Saga("orders", each(boxes, each(of_box, call(ship, given))), input=Order)
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, order(2))
        assert await handle.result() == [[0], [0, 1]]
        assert sorted(paths) == ["ship[0][0]/label", "ship[1][0]/label", "ship[1][1]/label"]
        assert sorted(keys) == [f"{handle.id}/{path}/action" for path in sorted(paths)]
        assert (await orchestrator.get(handle.id))["ship[1][1]/label"].result == 1


@scene
async def test_plain_functions_run_in_threads_beside_each_other(ground):
    together = threading.Barrier(3, timeout=10)

    @step
    def book(item: Item) -> int:
        together.wait()  # passed only if three run at a time
        return item.number

    saga = Saga("orders", each(items, book, limit=3), input=Order)
    async with ground.orchestrator(saga) as orchestrator:
        assert await (await orchestrator.start(saga, order(6))).result() == list(range(6))


@scene
async def test_a_thousand_items_are_all_done_once_across_a_crash(ground):
    world = World()
    saga = Saga("orders", each(items, world.book, limit=50))
    first = ground.orchestrator(saga)
    await first.__aenter__()
    handle = await first.start(saga, order(1_000))
    await until(lambda: len(world.effects) > 300)
    await kill(first)
    async with ground.orchestrator(saga) as second:
        assert [booking.number for booking in await second.handle(handle.id).result()] == list(range(1_000))
    assert len(world.keys) == 1_000
    assert sum(count > 1 for count in world.keys.values()) <= 100


@pytest.mark.parametrize("fails", [False, True])
def test_the_work_of_an_item_does_not_grow_with_the_list(fails):
    """Counted in Python lines run, not in seconds; `bench/each.py` has the seconds."""

    @step
    async def reserve(item: int) -> int:
        return item

    @reserve.compensation
    async def release(item: int, ctx: Context) -> None: ...

    @step(retry=ONCE)
    async def activate(item: int) -> None:
        if item < 0:
            raise Rejected("no")

    @activate.compensation
    async def deactivate(item: int, ctx: Context) -> None: ...

    def listed(order: list[int]) -> list[int]:
        return order

    saga = Saga("many", each(listed, reserve, activate, item=int, limit=20), input=list[int])

    async def run(numbers: list[int]) -> None:
        async with Orchestrator(MemoryStore(), sagas=[saga]) as orchestrator:
            handle = await orchestrator.start(saga, numbers)
            with contextlib.suppress(SagaCompensated):
                await handle.result()

    def lines_per_item(count: int) -> float:
        lines = 0

        def trace(frame: FrameType, event: str, arg: object) -> Callable[..., object]:
            nonlocal lines
            lines += event == "line"
            return trace

        numbers = [*range(1, count), -1 if fails else count]
        sys.settrace(trace)
        try:
            asyncio.run(run(numbers))
        finally:
            sys.settrace(None)
        return lines / count

    few, many = lines_per_item(300), lines_per_item(1_200)
    assert many < 1.3 * few, f"{few:.0f} lines for an item of 300, {many:.0f} for one of 1,200"
