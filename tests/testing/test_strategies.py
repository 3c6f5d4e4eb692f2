"""Inputs that are generated can be stored, keep to their bounds, and reach the saga; schedules are scenarios."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, TypedDict

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given, settings, strategies as st

from amends import Context, Saga, step
from amends.errors import UsageError
from amends.testing import Case, Recorder, replay
from amends.testing.exploring.scenario import parse
from amends.testing.strategies import inputs, schedules

QUICK = settings(max_examples=30, deadline=None)


class Kind(Enum):
    GIFT = "gift"
    SALE = "sale"


@dataclass
class Line:
    sku: str
    count: Annotated[int, msgspec.Meta(ge=1, le=5)]


@dataclass
class Order:
    id: Annotated[str, msgspec.Meta(min_length=3, max_length=8)]
    lines: list[Line]
    kind: Kind
    note: str | None = None
    made: list[str] = field(default_factory=list, init=False)


class Struct(msgspec.Struct):
    total: Annotated[float, msgspec.Meta(gt=0, lt=10)]
    tags: Annotated[list[int], msgspec.Meta(min_length=1)]


@attrs.define
class Attrs:
    name: str
    pair: tuple[int, str]


class Model(pydantic.BaseModel):
    name: str
    count: int = pydantic.Field(ge=0)


class Typed(TypedDict):
    name: str
    of: dict[str, int]


def saga_of(kind: Any) -> Saga[Any, Any]:
    @step(read_only=True)
    async def look(ctx: Context) -> None: ...

    return Saga("look", look, input=kind)


@pytest.mark.parametrize("kind", [Order, Struct, Attrs, Model, Typed, Line, dict, list[int], str, int, bool, Any])
def test_what_is_generated_can_be_stored_and_is_of_its_type(kind: Any) -> None:
    saga = saga_of(kind)

    @QUICK
    @given(inputs(saga))
    def check(value: Any) -> None:
        assert saga.decode_input(saga.encode_input(value)) == value
        if isinstance(kind, type) and kind not in (Typed, Any):
            assert isinstance(value, kind)

    check()


@QUICK
@given(inputs(saga_of(Order)))
def test_bounds_are_kept(order: Order) -> None:
    assert 3 <= len(order.id) <= 8
    assert all(1 <= line.count <= 5 for line in order.lines)
    assert isinstance(order.kind, Kind)


@QUICK
@given(inputs(saga_of(Struct)))
def test_bounds_of_numbers_and_lists_are_kept(struct: Struct) -> None:
    assert 0 < struct.total < 10
    assert struct.tags


@QUICK
@given(inputs(saga_of(Order), id=st.just("abc"), note=st.none()))
def test_a_field_may_have_a_strategy_of_its_own(order: Order) -> None:
    assert (order.id, order.note) == ("abc", None)


def test_a_field_that_is_not_there_is_told() -> None:
    with pytest.raises(UsageError, match="has no field idd; its fields: id, lines, kind, note"):
        inputs(saga_of(Order), idd=st.just("abc"))


class Bank:
    def __init__(self) -> None:
        self.recorder = Recorder()


@step
async def pay(line: Line, bank: Bank, ctx: Context) -> str:
    return await bank.recorder.apply(ctx.idempotency_key, "r")


@pay.compensation
async def refund(bank: Bank, ctx: Context) -> None:
    await bank.recorder.undo(ctx.action_key)


async def refund_if_known(pay: str | None, bank: Bank, ctx: Context) -> None:
    if pay:
        await bank.recorder.undo(ctx.action_key)


@step(pivot=True)
async def ship(line: Line, bank: Bank, ctx: Context) -> str:
    return await bank.recorder.apply(ctx.idempotency_key, "s")


sell = Saga("sell", pay, ship, input=Line, resources=[Bank], deadline="1h")


@QUICK
@given(schedules(sell))
def test_a_schedule_is_a_scenario(schedule: str) -> None:
    assert len(parse(schedule).faults) <= 3


@QUICK
@given(inputs(sell), schedules(sell))
def test_a_right_saga_holds_whatever_comes(line: Line, schedule: str) -> None:
    replay(sell, Case(line, resources=[Bank]), schedule, whole=False)


def test_schedules_find_a_mistake() -> None:
    wrong = step(name="pay")(pay.action.call)
    wrong.compensation(refund_if_known)
    saga = Saga("wrong", wrong, ship.named("send"), input=Line, resources=[Bank])

    @settings(max_examples=300, deadline=None, derandomize=True)
    @given(schedules(saga, faults=1))
    def holds(schedule: str) -> None:
        replay(saga, Case(Line("pen", 1), resources=[Bank]), schedule, whole=False)

    with pytest.raises(AssertionError, match="all or nothing"):
        holds()
