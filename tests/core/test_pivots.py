"""Rule 9 of DESIGN section 4, where it can be checked when a saga is built."""

from __future__ import annotations

from typing import Any

import pytest

from amends.core.definition import Saga, call, choose, each, first_of, parallel, sleep, step, wait_for, when
from amends.errors import DefinitionError


def made(name: str, **options: Any) -> Any:
    return step(name=name, **options)(lambda order: None)


def yes(order: Any) -> bool:
    return True


before, other = made("before"), made("other")
pivot, second = made("pivot", pivot=True), made("second", pivot=True)
retried, more = made("retried", retriable=True), made("more", retriable=True)
looked = made("looked", read_only=True)
tried = made("tried", best_effort=True)


def items(order: Any) -> list[int]:
    return [1]


def inner(*nodes: Any) -> Any:
    return call(Saga("inner", *nodes))


def wait(on_timeout: Any = "turn_back") -> Any:
    return wait_for("go", None, timeout=1, on_timeout=on_timeout)


@pytest.mark.parametrize(
    "nodes",
    [
        pytest.param([before, pivot, retried, looked, tried, sleep(1), wait(more)], id="all that may follow"),
        pytest.param([pivot, parallel(retried, (looked, more)), choose(when(yes, tried))], id="combinations after it"),
        pytest.param([before, choose(when(yes, pivot, retried), otherwise=other)], id="in a branch"),
        pytest.param([choose(when(yes, pivot), otherwise=second), retried], id="one in each branch"),
        pytest.param(
            [choose(when(yes, (pivot,)), otherwise=()), retried], id="a retriable that some path reaches without"
        ),
        pytest.param([(before, [pivot])], id="in a nested sequence at the top"),
        pytest.param([parallel(looked, tried), wait(), before], id="no pivot at all"),
        pytest.param([before, inner(pivot), retried], id="in a call"),
        pytest.param([inner(before, pivot, retried), more], id="in a call, with what follows it"),
        pytest.param([choose(when(yes, inner(pivot))), retried], id="in a call in a branch"),
        pytest.param([inner(choose(when(yes, pivot))), retried], id="in a branch in a call"),
        pytest.param(
            [pivot, each(items, retried, looked, tried), first_of(more, looked.named("last"))],
            id="each and first_of after it",
        ),
        pytest.param(
            [each(items, before), first_of(other, before.named("last")), pivot], id="each and first_of before it"
        ),
    ],
)
def test_what_is_legal_is_built(nodes):
    assert Saga("shop", *nodes)


@pytest.mark.parametrize(
    ("code", "nodes"),
    [
        pytest.param("AM1301", [pivot, second], id="two in a row"),
        pytest.param("AM1301", [choose(when(yes, pivot)), second], id="one behind a branch with one"),
        pytest.param("AM1301", [pivot, choose(when(yes, second))], id="one in a branch behind one"),
        pytest.param("AM1301", [choose(when(yes, pivot, second))], id="two in one branch"),
        pytest.param("AM1302", [parallel(pivot, before)], id="in a parallel"),
        pytest.param("AM1302", [parallel(before, (other, pivot))], id="in a sequence of a parallel"),
        pytest.param("AM1302", [wait(pivot)], id="in a wait's timeout"),
        pytest.param("AM1302", [choose(when(yes, choose(when(yes, pivot))))], id="in a choose of a choose"),
        pytest.param("AM1302", [parallel(choose(when(yes, pivot)))], id="in a choose of a parallel"),
        pytest.param("AM1302", [choose(when(yes, parallel(pivot)))], id="in a parallel of a choose"),
        pytest.param("AM1303", [pivot, before], id="an ordinary step after it"),
        pytest.param("AM1303", [pivot, parallel(retried, before)], id="an ordinary step in a parallel after it"),
        pytest.param(
            "AM1303", [choose(when(yes, pivot)), before], id="an ordinary step that some path reaches through it"
        ),
        pytest.param("AM1303", [pivot, wait(before)], id="an ordinary step in a wait's timeout after it"),
        pytest.param("AM1304", [retried], id="a retriable step without a pivot"),
        pytest.param("AM1304", [retried, pivot], id="a retriable step before it"),
        pytest.param(
            "AM1304", [choose(when(yes, pivot), otherwise=retried)], id="a retriable step in the other branch"
        ),
        pytest.param("AM1305", [pivot, wait()], id="a wait that turns back"),
        pytest.param("AM1305", [pivot, wait_for("go", None)], id="a wait without end"),
        pytest.param("AM1305", [pivot, parallel(retried, wait())], id="a wait in a parallel"),
        pytest.param("AM1301", [inner(pivot), second], id="one behind a call with one"),
        pytest.param("AM1301", [pivot, inner(second)], id="one in a call behind one"),
        pytest.param("AM1302", [each(items, pivot)], id="in an each"),
        pytest.param("AM1302", [each(items, inner(pivot))], id="in a call in an each"),
        pytest.param("AM1302", [first_of(pivot, before)], id="in a first_of"),
        pytest.param("AM1302", [first_of(before, inner(pivot))], id="in a call in a first_of"),
        pytest.param("AM1302", [parallel(before, inner(pivot))], id="in a call in a parallel"),
        pytest.param(
            "AM1302", [choose(when(yes, inner(choose(when(yes, pivot)))))], id="in a choose in a call in a choose"
        ),
        pytest.param("AM1303", [pivot, each(items, retried, before)], id="an ordinary step in an each after it"),
        pytest.param("AM1303", [pivot, first_of(retried, before)], id="an ordinary step in a first_of after it"),
        pytest.param("AM1303", [pivot, inner(before)], id="an ordinary step in a call after it"),
        pytest.param("AM1303", [inner(pivot), before], id="an ordinary step after a call with one"),
        pytest.param("AM1304", [each(items, retried)], id="a retriable step in an each before it"),
        pytest.param("AM1304", [first_of(before, retried)], id="a retriable step in a first_of before it"),
        pytest.param("AM1305", [pivot, each(items, wait())], id="a wait in an each"),
        pytest.param("AM1305", [pivot, first_of(wait(), retried)], id="a wait in a first_of"),
    ],
)
def test_what_is_not_is_refused(code, nodes):
    with pytest.raises(DefinitionError) as caught:
        Saga("shop", *nodes)
    assert caught.value.code == code
    assert 'saga "shop"' in caught.value.message


def test_a_saga_whose_retriable_steps_wait_for_a_caller_s_pivot_cannot_be_built_alone():
    with pytest.raises(DefinitionError, match="AM1304"):  # so what is called after a pivot is read-only or best effort
        Saga("inner", retried)
    assert Saga("shop", pivot, call(Saga("inner", looked, tried)))


def test_a_retriable_follow_up_needs_a_pivot_on_the_way_to_it():
    assert Saga("shop", pivot, on_completed=[retried])
    for options in ({"on_completed": [retried]}, {"on_compensated": [retried]}):
        with pytest.raises(DefinitionError, match="AM1304"):
            Saga("shop", before, **options)
    with pytest.raises(DefinitionError, match="AM1304"):
        Saga("shop", pivot, on_compensated=[retried])
