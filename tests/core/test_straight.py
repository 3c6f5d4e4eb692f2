"""Turns in one piece: the very events and the very state that fold and decide come to.

Every trial of the enumerator and of the random trees holds the two against each other (`trial.py`); here it is seen
that they do so, and that a difference would be found.
"""

from __future__ import annotations

import random

import pytest

from amends.core import events as ev, straight
from amends.core.decide import decide
from amends.core.fold import fold
from amends.core.graph import ENDS, Graph
from amends.core.state import SagaState
from tests.core import trial
from tests.core.graphs import choose, first_of, graph, parallel, step, wait
from tests.core.moves import moves_from
from tests.core.situation import START, Moves, Violation
from tests.core.states import difference, same

WALKS = 300


def plain_saga(chance: random.Random) -> Graph:
    """Mostly steps in a row."""
    names = iter(f"n{number}" for number in range(40))

    def some() -> list:
        return [step(next(names)) for _ in range(chance.choice([1, 2, 3]))]

    nodes = some()
    if chance.random() < 0.4:
        nodes.append(chance.choice([parallel(some(), some()), choose(some(), some()), wait(next(names))]))
        nodes += some()
    if chance.random() < 0.4:
        nodes += [step(next(names), pivot=True), step(next(names), retriable=True), step(next(names), retriable=True)]
    mail = [step(next(names))] if chance.random() < 0.2 else None
    return graph(*nodes, completed=mail, deadline=chance.random() < 0.5)


def walk(seed: int) -> None:
    """Let such a saga run, mostly well; `trial.py` holds each turn against straight.py."""
    chance = random.Random(seed)
    moves = Moves(pause=True, late=True, drain=True, downtime=True, together=True)
    run = trial.Trial(plain_saga(chance), moves)
    at = run.start()
    for _ in range(30):
        ways = list(moves_from(at, run.invariants.layout(at.state), moves))
        if not ways:
            return
        good = [way for way in ways if list(map(type, way.happened)) == [ev.ActionSucceeded] and way.restart is None]
        at = run.make(at, chance.choice(good if good and chance.random() < 0.8 else ways), trial.ByChance(chance))


def test_the_two_turns_of_a_running_saga_are_taken_and_come_to_the_same():
    before = trial.TAKEN.copy()
    for seed in range(WALKS):
        walk(seed)
    taken = trial.TAKEN - before
    assert taken["ActionSucceeded", "ActionStarted"] > 100
    assert taken["ActionSucceeded", "Completed"] > 20


def test_a_saga_begins_as_fold_and_decide_would_begin_it():
    taken = 0
    for seed in range(WALKS):
        saga = plain_saga(random.Random(seed))
        for deadline in (0, START, START + 1):
            event = ev.Started("s", "saga", 1, "", ev.NOTHING, deadline, deadline and 5)
            one, other = SagaState(saga), SagaState(saga)
            one.at = other.at = START
            frame, commands = [], [event]
            while commands:
                for command in commands:
                    fold(one, command)
                    frame.append(command)
                commands = decide(saga, one, START)
            events = straight.begin(other, event, START)
            if events is None:
                continue
            taken += 1
            assert events == frame
            assert same(one, other), difference(one, other)
    assert taken == 2 * WALKS


@pytest.mark.parametrize("wrong", ["cursor", "calls", "active", "event"])
def test_a_difference_is_found(monkeypatch, wrong):
    real = straight.go_on

    def mistaken(state, event, now):
        events = real(state, event, now)
        if events is not None and type(events[-1]) is ev.ActionStarted:
            node = state.nodes[events[-1].node]
            if wrong == "cursor":
                state.slot(node.parent).cursor += 1
            elif wrong == "calls":
                state.slot(node.index).calls += 1
            elif wrong == "active":
                state.active += 1
            else:
                events = [*events, ev.ActionStarted(node.index)]
        return events

    monkeypatch.setattr(trial, "go_on", mistaken)
    with pytest.raises(Violation, match=r"straight\.py"):
        for seed in range(WALKS):
            walk(seed)


def test_only_what_stands_plainly_one_after_the_other_is_followed():
    plain = graph(step("a"), step("b"), parallel([step("c"), step("d")], [step("e")]), step("f"))
    name = {node.path: node.index for node in plain.nodes}
    after = {path: plain.following[index] for path, index in name.items() if path in "abcdef" and path}
    assert after == {"a": name["b"], "b": -1, "c": name["d"], "d": -1, "e": -1, "f": ENDS}
    assert plain.entry[-1] == name["a"]
    assert graph(wait("go"), step("a")).entry == ()
    alternatives = graph(step("a"), first_of([step("b")], [step("c")]), step("d"))
    assert (alternatives.entry, alternatives.following) == ((), ())
    assert ENDS not in graph(step("a"), completed=[step("mail")]).following[:2]
