"""The tables are closed and reachable; `decide` is pure, deterministic, and costs what was made ready."""

import ast
import inspect

import pytest

from amends.core import decide as decide_module, events as ev
from amends.core.decide import decide
from amends.core.fold import fold, load
from amends.core.state import IllegalTransition, SagaState
from amends.core.transitions import (
    ACTIVE,
    BACKING_OFF,
    CALLING,
    ENDS,
    SAGA_TRANSITIONS,
    STEP_TRANSITIONS,
    STUCK,
    UNDECIDED,
    SagaStatus,
    StepStatus,
)  # fmt: skip
from tests.core.graphs import graph, parallel, step, wait
from tests.core.rules.driver import START, Run
from tests.core.states import clone, contents

STRUCTURAL = {
    "entered",
    "undo_entered",
    "alternative_undone",
    "ended:late",
}  # pseudo-events, declared in transitions.py
TABLES = [
    pytest.param(SAGA_TRANSITIONS, SagaStatus, SagaStatus.SCHEDULED, id="saga"),
    pytest.param(STEP_TRANSITIONS, StepStatus, StepStatus.PENDING, id="step"),
]


@pytest.mark.parametrize(("table", "statuses", "start"), TABLES)
class TestTables:
    def test_every_status_is_a_key_and_every_target_a_status(self, table, statuses, start):
        assert set(table) == set(statuses)
        assert {target for row in table.values() for target in row.values()} <= set(statuses)

    def test_every_name_is_an_event_or_a_declared_pseudo_event(self, table, statuses, start):
        for row in table.values():
            for name in row:
                assert name in STRUCTURAL or hasattr(ev, name.partition(":")[0]), name

    def test_every_status_can_be_reached(self, table, statuses, start):
        found, open_ends = {start}, [start]
        while open_ends:
            for target in set(table[open_ends.pop()].values()) - found:
                found.add(target)
                open_ends.append(target)
        assert found == set(statuses)


def test_an_end_of_a_saga_leads_nowhere():
    assert all(not SAGA_TRANSITIONS[end] for end in ENDS)


def test_the_classes_of_statuses_are_disjoint_and_together_are_the_active_ones():
    assert not (CALLING & UNDECIDED or CALLING & BACKING_OFF or UNDECIDED & BACKING_OFF or ACTIVE & STUCK)
    assert CALLING | UNDECIDED | BACKING_OFF == ACTIVE


def test_from_every_active_status_a_step_can_come_to_rest():
    rest = set(StepStatus) - ACTIVE
    for status in ACTIVE:
        found, open_ends = {status}, [status]
        while open_ends:
            for target in set(STEP_TRANSITIONS[open_ends.pop()].values()) - found:
                found.add(target)
                open_ends.append(target)
        assert found & rest, status


def test_what_the_table_does_not_hold_is_refused_and_names_saga_event_step_and_status():
    run = Run(graph(step("a")))
    with pytest.raises(IllegalTransition, match="saga s: CompensationStarted of a is illegal in running"):
        fold(run.state, ev.CompensationStarted(run.a.index))
    with pytest.raises(IllegalTransition, match="Compensated is illegal in running"):
        fold(run.state, ev.Compensated())
    with pytest.raises(IllegalTransition, match="never reached"):
        fold(Run(graph(step("a"), step("b"))).state, ev.ActionStarted(2))


def situations() -> list[SagaState]:
    """States in which decide has something to say."""
    run = Run(graph(parallel(step("a"), step("b")), step("c"), deadline=True))
    found = []
    for event in (ev.ActionUnknown(2, "x"), ev.ActionRejected(3, "no"), ev.ActionCut(2), ev.ActionNotSent(3)):
        state = clone(run.state)
        state.at = run.now
        found.append(fold(state, event))
    return found


@pytest.mark.parametrize("state", situations())
def test_decide_changes_nothing_and_says_the_same_twice(state: SagaState):
    before = contents(clone(state))
    first = decide(state.graph, state, START)
    assert contents(state) == before
    assert first and decide(state.graph, state, START) == first
    assert decide(state.graph, clone(state), START) == first


def test_decide_and_fold_name_no_clock_and_no_chance():
    tree = ast.parse(inspect.getsource(decide_module))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported <= {"hashlib"}


class Counting(list):
    """A list of slots that counts how often one is looked at."""

    looks = 0

    def __getitem__(self, index):
        Counting.looks += 1
        return super().__getitem__(index)

    def __iter__(self):
        raise AssertionError("decide walks over all slots")


def looks_of_one_turn(length: int) -> int:
    run = Run(graph(*(step(f"s{number}") for number in range(length))))
    for _ in range(length // 2):
        run.tell(ev.ActionSucceeded(next(i for i, s in enumerate(run.state.slots) if s and s.status == "running")))
    running = next(i for i, s in enumerate(run.state.slots) if s and s.status == "running")
    run.state.slots = Counting(run.state.slots)
    Counting.looks = 0
    run.tell(ev.ActionSucceeded(running))
    return Counting.looks


def test_a_turn_costs_what_was_made_ready_and_not_the_length_of_the_saga():
    assert looks_of_one_turn(2_000) == looks_of_one_turn(20) < 20


def test_a_saga_of_two_thousand_branches_decides_each_once():
    run = Run(graph(parallel(*(step(f"s{number}") for number in range(2_000)))))
    assert len(run.calls) == 2_000
    run.state.slots = Counting(run.state.slots)
    Counting.looks = 0
    run.tell(ev.ActionSucceeded(2))
    assert Counting.looks < 10


def test_load_is_the_fold_of_all_frames():
    run = Run(graph(step("a"), step("b"))).a.raises().wait().a.rejected().a.undone()
    again = load(run.graph, run.frames)
    assert contents(again) == contents(run.state)


def test_a_clone_shares_nothing_that_changes():
    run = Run(graph(parallel(step("a"), step("b"), wait("w")))).a.raises()
    fold(run.state, ev.SignalReceived("later", ev.NOTHING, "one"))  # so that there is something of each kind
    before = contents(clone(run.state))
    assert all(before[name] for name in ("waits", "signals", "signal_ids", "errors"))
    other = clone(run.state)
    other.at = run.now
    fold(other, ev.ActionRejected(run.b.index, "no"))
    fold(other, ev.SignalReceived("later", ev.NOTHING, "two"))
    fold(other, ev.SignalReceived("w", ev.NOTHING, "three"))
    other.waits["w"].append(9)
    assert contents(run.state) == before
