"""list, count and count_by of an orchestrator: by a filter's text, by keywords, and by both."""

from __future__ import annotations

import pytest

from amends import FilterError, Orchestrator, Rejected, Saga, UsageError, step, wait_for
from amends.core.filter_text import parse
from tests.runtime.stage import HandClock, scene


@step
async def book(seat: str) -> str:
    return seat


@book.compensation
async def unbook(seat: str) -> None:
    pass


@step
async def pay(seat: str) -> None:
    if seat == "taken":
        raise Rejected("no money")


trip = Saga("trip", book, pay)
visit = Saga("visit", book.named("reserve"), wait_for("go", str))


async def seen(sagas):
    return [saga.key async for saga in sagas]


async def three(orchestrator):
    for saga, seat, customer in ((trip, "free", "ann"), (trip, "taken", "bob"), (visit, "free", "ann")):
        await orchestrator.start(saga, seat, key=f"{saga.name}-{seat}", correlation={"customer": customer})
    await orchestrator.drain()


@scene
async def test_a_filter_narrows_a_list_and_a_count_alike():
    async with Orchestrator("sqlite://", sagas=[trip, visit]) as orchestrator:
        await three(orchestrator)
        for text, expected in (
            ("", ["visit-free", "trip-taken", "trip-free"]),
            ("customer:ann", ["visit-free", "trip-free"]),
            ("failed:pay", ["trip-taken"]),
            ("name:trip -failed:*", ["trip-free"]),
            (parse("key:trip-*"), ["trip-taken", "trip-free"]),
        ):
            assert await seen(orchestrator.list(text)) == expected
            assert await orchestrator.count(text) == len(expected)
        assert await seen(orchestrator.list("customer:ann", limit=1)) == ["visit-free"]


@scene
async def test_keywords_and_a_text_narrow_together():
    async with Orchestrator("sqlite://", sagas=[trip, visit]) as orchestrator:
        await three(orchestrator)
        assert await seen(orchestrator.list("customer:ann", name="trip")) == ["trip-free"]
        assert await orchestrator.count(filter="customer:ann", status="running") == 1
        assert await orchestrator.count_by("status", filter="customer:ann", name="visit") == {("running",): 1}


@scene
async def test_sagas_are_counted_by_one_field_or_several():
    async with Orchestrator("sqlite://", sagas=[trip, visit]) as orchestrator:
        await three(orchestrator)
        assert await orchestrator.count_by("name") == {("trip",): 2, ("visit",): 1}
        assert await orchestrator.count_by("name", "status", filter="name:trip") == {
            ("trip", "compensated"): 1,
            ("trip", "completed"): 1,
        }
        for by in ((), ("colour",)):
            with pytest.raises(UsageError, match="count_by"):
                await orchestrator.count_by(*by)


@scene
async def test_ages_count_from_the_orchestrators_clock():
    clock = HandClock()
    async with Orchestrator("sqlite://", sagas=[trip, visit], clock=clock) as orchestrator:
        await three(orchestrator)
        assert await orchestrator.count("waiting>1h") == 0
        clock.ahead_ms += 2 * 3_600_000
        assert await seen(orchestrator.list("waiting>1h")) == ["visit-free"]
        assert await seen(orchestrator.list("duration>1h")) == ["visit-free"]
        assert await orchestrator.count("ended>1h") == 2


@scene
async def test_a_view_tells_what_failed_and_since_when_it_waits():
    async with Orchestrator("sqlite://", sagas=[trip, visit]) as orchestrator:
        await three(orchestrator)
        views = {view.key: view async for view in orchestrator.list()}
        assert views["trip-taken"].failed == ("pay",)
        assert views["trip-taken"].waiting_since is None
        assert views["visit-free"].waiting_since == views["visit-free"].updated_at
        assert not views["visit-free"].manual and not views["visit-free"].intervened


@scene
async def test_what_is_no_filter_is_refused_before_anything_is_read():
    async with Orchestrator("sqlite://", sagas=[trip]) as orchestrator:
        for call in (
            orchestrator.count("stauts:x"),
            orchestrator.count_by("name", filter="stauts:x"),
            seen(orchestrator.list("stauts:x")),
        ):
            with pytest.raises(FilterError, match="did you mean status"):
                await call
