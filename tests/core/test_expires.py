"""`step(expires=)`: an effect that lapses by itself. It is told of, and nothing is decided by it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import timedelta

import pytest

from amends import DefinitionError, Orchestrator, Rejected, Retry, Saga, SagaCompensated, step
from amends.core.graph import structure_from, structure_of
from amends.drawing.plan import plan
from amends.drawing.text import text
from amends.stores.memory import MemoryStore

DAY = timedelta(days=1)


@dataclass
class Order:
    total: int = 1


def made(expires=None, *, total=1):
    """Authorize, then pay; the second is refused when there is nothing to pay."""
    undone = []

    @step(expires=expires, retry=Retry(attempts=1))
    async def authorize(order: Order) -> int:
        if order.total == 13:
            raise RuntimeError("no answer")
        return order.total

    @authorize.compensation
    async def void(order: Order) -> None:
        undone.append("void")

    @step
    async def pay(order: Order) -> None:
        if not order.total:
            raise Rejected("nothing to pay")

    return Saga("order", authorize, pay), undone


def seen(saga, total, store=None, *, look=None):
    """The view of one saga that has ended."""

    async def main():
        async with Orchestrator(store or MemoryStore(), sagas=[saga]) as orchestrator:
            handle = await orchestrator.start(saga, Order(total))
            with contextlib.suppress(SagaCompensated):
                await handle.result()
            if look is None:
                return await orchestrator.get(handle.id)
        async with Orchestrator(store, worker=False, sagas=look) as orchestrator:
            return await orchestrator.get(handle.id)

    return asyncio.run(main())


def test_an_effect_that_lapses_says_when_reckoned_from_its_first_attempt():
    view = seen(made("7d")[0], 1)
    assert view["authorize"].expires_at - view.started_at >= 7 * DAY
    assert view["authorize"].expires_at - view.started_at < 7 * DAY + timedelta(minutes=1)
    assert view["pay"].expires_at is None
    assert seen(made()[0], 1)["authorize"].expires_at is None


def test_a_lapsing_effect_is_undone_all_the_same_and_then_lapses_no_more():
    saga, undone = made("1ms")
    view = seen(saga, 0)
    assert view.status == "compensated"
    assert undone == ["void"]
    assert view["authorize"].expires_at is None


def test_an_unknown_effect_that_was_undone_lapses_no_more():
    saga, undone = made("7d")
    view = seen(saga, 13)
    assert (view.status, undone) == ("compensated", ["void"])
    assert view["authorize"].expires_at is None


def test_who_looks_without_the_definition_sees_it_too_and_as_it_was_registered_last():
    store = MemoryStore()
    assert seen(made("7d")[0], 1, store, look=())["authorize"].expires_at is not None
    view = seen(made("3d")[0], 1, store, look=())
    assert view["authorize"].expires_at - view.started_at < 4 * DAY


def test_it_is_tuning_and_no_part_of_the_fingerprint():
    plain, week, day = (made(expires)[0] for expires in (None, "7d", "1d"))
    assert plain.fingerprint == week.fingerprint == day.fingerprint
    assert structure_from(structure_of(week.graph)).expires == ((week.graph.find("authorize"), 7 * 86_400_000),)
    assert b"expires" not in structure_of(plain.graph)
    assert week.graph.policies[week.graph.find("authorize")].expires_ms == 7 * 86_400_000


def test_a_drawing_says_so():
    saga = made("7d")[0]
    for of in (saga, structure_of(saga.graph)):
        assert "lapses after 7d" in text(plan(of))
    assert "lapses" not in text(plan(made()[0]))


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"expires": "soon"}, "AM1401"),
        ({"expires": 0}, "AM1401"),
        ({"expires": "7d", "read_only": True}, "AM1404"),
        ({"expires": "7d", "pivot": True}, "AM1404"),
        ({"expires": "7d", "atomic": True}, "AM1404"),
    ],
)
def test_what_contradicts_it_is_refused(options, code):
    with pytest.raises(DefinitionError, match="expires=") as refused:
        step(**options)
    assert refused.value.code == code


def test_what_does_not_contradict_it_is_taken():
    for options in ({"best_effort": True}, {"retriable": True}, {"key_ttl": "1d"}, {"on_unknown": "park"}):
        step(expires="7d", **options)
