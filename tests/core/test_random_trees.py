"""Sagas of all nodes, nested by chance, walked by chance: the enumerator's moves and invariants, in combinations that
no enumeration reaches. A failing seed is in the message, and `walk(seed)` repeats it; `AMENDS_TREES=20000` takes more.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from amends.core import events as ev, fold, fold_steps
from amends.core.events import decode_frame
from amends.core.graph import Kind
from amends.core.state import SagaState
from amends.core.summary import Summary, fold_summary
from amends.core.transitions import BACKING_OFF, STUCK, StepStatus
from tests.core.moves import moves_from
from tests.core.random_trees import random_saga
from tests.core.situation import Move, Situation, Violation
from tests.core.trial import ByChance, Trial

TREES = int(os.environ.get("AMENDS_TREES", "320"))
WALKS = 3  # of each tree
BATCH = 40  # trees in one test
MOVES_MAX = 150


def walk(seed: int) -> str:
    """One walk; the saga's status at its end, or "open" when it stands anywhere else."""
    saga, moves = random_saga(random.Random(seed // WALKS))
    chance = random.Random(seed)
    luck = chance.choice([1, 1, 10])  # how much more often than usual a call succeeds
    trial = Trial(saga, moves)
    at = trial.start()
    line = _line_of(at, None)
    for _ in range(MOVES_MAX):
        ways = list(moves_from(at, trial.invariants.layout(at.state), moves))
        if not ways:
            break
        new = trial.make(at, _one_of(ways, chance, luck), ByChance(chance))
        trial.check(at, new)
        trial.check_frames(at, new)
        line = _line_of(new, line)
        _check_the_line(new, line)
        at = new
    trial.check_journal(at)
    return str(at.state.status) if at.state.finished else "open"


def _line_of(new: Situation, line: Summary | None) -> Summary:
    """The saga's line in a list, with what the last move journalled."""
    graph = new.state.graph
    for frame in new.frames:
        seq = line.seq + 1 if line else 1
        line = fold_summary(line, "s", decode_frame(frame), seq, graph.paths, graph.sizes)
    assert line is not None
    return line


def _check_the_line(new: Situation, line: Summary) -> None:
    """What a list says is what the saga's state says; it says of a paused one that, and of an ended one no hold."""
    state = new.state
    said = (line.status, line.paused, line.anomalous, line.turned_back, line.deadline, line.seq)
    true = (state.status, state.paused, state.anomalous, state.back, state.deadline, state.seq)
    holds = {node: hold for node in _reached(state) if (hold := _hold_of(state, node))}
    if said != true or (line.holds != holds and not state.paused and not state.ended):
        raise Violation(f"the line in the list: {said} {line.holds}, the state: {true} {holds}\n{new.story()}")


def _reached(state: SagaState) -> Iterator[int]:
    return (node for node, slot in enumerate(state.slots) if slot is not None)


def _hold_of(state: SagaState, node: int) -> str:
    slot = state.slot(node)
    if slot.status is StepStatus.WAITING:
        return "timer" if state.nodes[node].kind is Kind.SLEEP else "signal"
    if slot.status in STUCK:
        return "poison" if slot.reason == "poison" else "manual"
    if slot.status in BACKING_OFF:
        return "timer" if slot.status in (StepStatus.ACCEPTED, StepStatus.UNDO_ACCEPTED) else "retry"
    return ""


def _one_of(ways: list[Move], chance: random.Random, luck: int) -> Move:
    """A move by chance; first what kind of move, for there are many ways to crash and one to succeed."""
    kinds: dict[str, list[Move]] = {}
    for move in ways:
        kinds.setdefault(_kind_of(move), []).append(move)
    weights = [WEIGHTS.get(kind, 2) * (luck if kind in LUCKY else 1) for kind in kinds]
    return chance.choice(kinds[chance.choices(list(kinds), weights)[0]])


def _kind_of(move: Move) -> str:
    """By its first event; what shares its frame with others, or is followed by a restart, is a kind of its own."""
    if not move.happened:
        return "what is due" if move.name == DUE else "time"
    alone = len(move.happened) == 1 and not move.restart and not move.ms
    return type(move.happened[0]).__name__ + ("" if alone else ", more")


DUE = "the clock reaches what is due next"
LUCKY = ("ActionSucceeded", "CompensationSucceeded", "ProbeFound", "ActionAccepted", "what is due")
WEIGHTS = {
    "what is due": 12, "ActionSucceeded": 20, "ActionUnknown": 8, "ActionAccepted": 8, "CompensationSucceeded": 4,
    "LateSucceeded": 4, "PollPending": 4, "Resolved": 4, "Resumed": 4, "ActionRejected": 1, "CancelRequested": 0.3,
    "ActionSucceeded, more": 1, "ActionRejected, more": 0.3, "ActionUnknown, more": 1, "ActionNotSent, more": 1,
    "ActionAccepted, more": 1, "time": 1, "Paused": 1,
}  # fmt: skip


@pytest.mark.parametrize("first", range(0, TREES, BATCH))
def test_the_invariants_hold_on_every_walk(first: int):
    for seed in range(first * WALKS, (first + BATCH) * WALKS):
        try:
            walk(seed)
        except Violation as error:
            pytest.fail(f"walk({seed}): {error}")


def test_the_same_seed_walks_the_same_way_and_walks_come_to_every_end():
    ends = [walk(seed) for seed in range(60)]
    assert ends == [walk(seed) for seed in range(60)]
    assert {"completed", "compensated", "closed"} <= set(ends)


def caught(match: str) -> None:
    with pytest.raises(Violation, match=match):
        for seed in range(300):
            walk(seed)


def test_a_kernel_that_drops_what_is_unknown_is_caught(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fold_steps, "_became_unknown", lambda state, index, slot: None)
    caught("rule 1")


def test_a_kernel_that_repeats_a_compensation_that_was_refused_is_caught(monkeypatch: pytest.MonkeyPatch):
    refused = fold._HANDLERS[ev.CompensationRefused]

    def forgotten(state: SagaState, event: ev.CompensationRefused) -> None:
        refused(state, event)
        state.slot(event.node).undo_refused = False

    monkeypatch.setitem(fold._HANDLERS, ev.CompensationRefused, forgotten)
    caught("rule 6: a compensation that was refused starts again")


def test_a_kernel_that_repeats_an_action_that_was_refused_is_caught(monkeypatch: pytest.MonkeyPatch):
    rejected = fold._HANDLERS[ev.ActionRejected]

    def forgotten(state: SagaState, event: ev.ActionRejected) -> None:
        rejected(state, event)
        state.slot(event.node).rejected = state.slot(event.node).refused = False

    monkeypatch.setitem(fold._HANDLERS, ev.ActionRejected, forgotten)
    caught("an action starts after it was refused")
