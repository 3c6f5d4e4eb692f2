"""Every small saga, through every outcome, crash, verb and due time, holds the invariants at every frame.

`enumerator.py` says what is checked, `family.py` which sagas. `AMENDS_ENUMERATE=full` takes every verb and every late
answer everywhere; it takes long.
"""

import os
from dataclasses import replace

import pytest

from amends.core.transitions import STEP_TRANSITIONS, StepStatus
from tests.core.enumerator import TOTAL, Exploration, Moves, Violation
from tests.core.family import family, full
from tests.core.graphs import graph, step

SAGAS = full() if os.environ.get("AMENDS_ENUMERATE") == "full" else family()
STRUCTURAL = {(StepStatus.PENDING, "entered")}  # the walk forward makes a slot that is ready; nothing moves to it
# The enumerator does not know `each`, `call`, `first_of`, `Accepted` and atomic steps yet: these statuses and events
# are walked by the rules (test_each, test_call, test_first_of, test_accepted, test_atomic) and the simulation only.
S = StepStatus
NOT_YET_ENUMERATED = frozenset({S.ACCEPTED, S.POLLING, S.UNDO_ACCEPTED, S.UNDO_POLLING, S.UNDOING})
EVENTS_NOT_YET_ENUMERATED = frozenset({
    "ActionAccepted", "CompensationAccepted", "ItemsListed", "CallEntered", "AlternativeStarted", "AlternativeFailed",
    "FirstOfFailed", "alternative_undone",
})  # fmt: skip


@pytest.mark.parametrize("name", SAGAS)
def test_the_invariants_hold_at_every_frame_of_every_way(name: str):
    saga, moves = SAGAS[name]
    TOTAL.add(Exploration(saga, moves).run())


def test_every_transition_of_the_table_was_taken_and_so_none_is_dead():
    if TOTAL.sagas < len(SAGAS):
        pytest.skip("only a run of the whole family can tell")
    table = {(status, event) for status, row in STEP_TRANSITIONS.items() for event in row}
    new = {
        (status, event) for status, event in table
        if status in NOT_YET_ENUMERATED
        or event.partition(":")[0] in EVENTS_NOT_YET_ENUMERATED
        or event.endswith(":first_of")
    }  # fmt: skip
    assert not new & set(TOTAL.transitions)  # the exception goes as soon as the family has these nodes
    assert table - new - set(TOTAL.transitions) == STRUCTURAL


def test_a_kernel_that_drops_what_is_unknown_is_caught(monkeypatch: pytest.MonkeyPatch):
    from amends.core import fold_steps

    monkeypatch.setattr(fold_steps, "_became_unknown", lambda state, index, slot: None)
    with pytest.raises(Violation, match="rule 1"):
        Exploration(graph(step("a")), Moves()).run()


def test_a_participant_without_barrier_is_caught_by_the_world_and_not_by_the_state(monkeypatch: pytest.MonkeyPatch):
    from tests.core import enumerator

    monkeypatch.setattr(enumerator, "unmade", lambda held: held._replace(effect=2 * (held.effect > 0)))
    with pytest.raises(Violation, match="S12"):
        Exploration(graph(step("a")), Moves(late=True)).run()


def test_the_same_saga_gives_the_same_number_of_situations_twice():
    one, other = (Exploration(graph(step("a"), step("b")), replace(Moves())).run() for _ in range(2))
    assert (one.situations, one.moves) == (other.situations, other.moves)
