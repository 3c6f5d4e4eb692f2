"""Every small saga, through every outcome, crash, verb and due time, holds the invariants at every frame.

`invariants.py` says what is checked, `family.py` which sagas. `AMENDS_ENUMERATE=full` takes every verb and every late
answer everywhere; it takes long.
"""

import gc
import os
from dataclasses import replace
from typing import get_args

import pytest

from amends.core import events as ev
from amends.core.transitions import SAGA_TRANSITIONS, STEP_TRANSITIONS, StepStatus
from tests.core.enumerator import TOTAL, Exploration
from tests.core.family import family, full
from tests.core.graphs import graph, step
from tests.core.situation import Count, Moves, Violation

SAGAS = full() if os.environ.get("AMENDS_ENUMERATE") == "full" else family()
STRUCTURAL = {(StepStatus.PENDING, "entered")}  # the walk forward makes a slot that is ready; nothing moves to it


@pytest.fixture(autouse=True)
def no_garbage_collection():
    """A search keeps many objects and makes no cycles; looking for some costs a tenth of its time."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("name", SAGAS)
def test_the_invariants_hold_at_every_frame_of_every_way(name: str):
    saga, moves = SAGAS[name]
    TOTAL.add(Exploration(saga, moves).run())


@pytest.fixture
def total() -> Count:
    if TOTAL.sagas < len(SAGAS):
        pytest.skip("only a run of the whole family can tell")
    return TOTAL


def test_every_transition_of_the_table_was_taken_and_so_none_is_dead(total: Count):
    table = {(status, event) for status, row in STEP_TRANSITIONS.items() for event in row}
    assert table - set(total.transitions) == STRUCTURAL


def test_every_transition_of_the_sagas_table_was_taken(total: Count):
    assert total.statuses == {(was, status) for was, row in SAGA_TRANSITIONS.items() for status in row.values()}


def test_every_event_was_folded_but_those_that_tell_of_the_worker(total: Count):
    events = {kind.__name__ for kind in get_args(ev.AnyEvent)}
    assert events - total.events == {"Held", "Released", "AttemptAbandoned"}


def test_a_kernel_that_drops_what_is_unknown_is_caught(monkeypatch: pytest.MonkeyPatch):
    from amends.core import fold_steps

    monkeypatch.setattr(fold_steps, "_became_unknown", lambda state, index, slot: None)
    with pytest.raises(Violation, match="rule 1"):
        Exploration(graph(step("a")), Moves()).run()


def test_a_participant_without_barrier_is_caught_by_the_world_and_not_by_the_state(monkeypatch: pytest.MonkeyPatch):
    from tests.core import world

    monkeypatch.setattr(world, "unmade", lambda held: held._replace(effect=2 * (held.effect > 0)))
    with pytest.raises(Violation, match="S12"):
        Exploration(graph(step("a")), Moves(late=True)).run()


def test_the_same_saga_gives_the_same_number_of_situations_twice():
    one, other = (Exploration(graph(step("a"), step("b")), replace(Moves())).run() for _ in range(2))
    assert (one.situations, one.moves) == (other.situations, other.moves)
