"""Every way a small saga can go: each outcome of each call, each crash, each verb, the clock.

A search over *situations* (`situation.py`): a folded saga, what its participants hold (`world.py`), and what an
observer of the journal knows (`observer.py`). From each situation every move is made (`moves.py`: an answer, a crash,
a tick of the clock, a verb); what comes out is checked against the invariants of the design (`invariants.py`) and
counted once.

What is left out of a situation's identity (`states.py`) are numbers that no longer matter: counters beyond their
bound, and times but for the order of magnitude of what they are away (see `graphs.py` for why that is enough).
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

from amends.core.graph import Graph
from amends.core.state import SagaState, Slot
from amends.core.transitions import STEP_TRANSITIONS
from tests.core.moves import moves_from
from tests.core.situation import Count, Move, Moves, Situation, Violation
from tests.core.trial import Every, Trial

TOTAL = Count()  # of this test run; printed at its end


class Exploration:
    """All situations of one saga."""

    def __init__(self, graph: Graph, moves: Moves) -> None:
        self.moves = moves
        self.trial = Trial(graph, moves)
        self.count: Count = self.trial.count
        self.seen: dict[tuple[Any, ...], Situation] = {}
        self.queue: deque[Situation] = deque()
        self.edges: list[tuple[int, int]] = []

    def run(self) -> Count:
        """Search; raises `Violation` with the story of the first broken invariant."""
        with watched(self.count.transitions):
            start = self.trial.start()
            self._arrive(start, start)
            while self.queue:
                at = self.queue.popleft()
                for move in moves_from(at, self.trial.invariants.layout(at.state), self.moves):
                    self._make(at, move)
        if self.moves.verbs:
            self._check_that_an_end_is_always_possible()
        self.count.situations = len(self.seen)
        return self.count

    def _make(self, at: Situation, move: Move) -> None:
        """Make one move, in every way in which the author's own functions may answer."""
        ways = Every()
        while True:
            self.count.moves += 1
            self._arrive(at, self.trial.make(at, move, ways))
            if not ways.more():
                return

    def _arrive(self, at: Situation, new: Situation) -> None:
        known = self.seen.get(key := new.identity())
        self.trial.check(at, new, fresh=known is None)
        if known is None:
            new.number = len(self.seen)
            known = self.seen[key] = new
            self.queue.append(new)
            if new.state.finished:
                self.count.ends[new.state.status] += 1
            if new.state.finished or not new.number % 64:
                self.trial.check_journal(new)
        if at is not new and (known is new or self.count.moves % 16 == 0):
            self.trial.check_frames(at, new)
        self.edges.append((at.number, known.number))

    def _check_that_an_end_is_always_possible(self) -> None:
        """No situation is a trap: from each there is a way to the end (verbs included)."""
        back: dict[int, list[int]] = {}
        for source, target in self.edges:
            back.setdefault(target, []).append(source)
        situations = {situation.number: situation for situation in self.seen.values()}
        good = [number for number, situation in situations.items() if situation.state.finished]
        reached = set(good)
        while good:
            for source in back.get(good.pop(), ()):
                if source not in reached:
                    reached.add(source)
                    good.append(source)
        for number, situation in situations.items():
            if number not in reached:
                raise Violation(f"liveness: no way leads from here to an end\n{situation.story()}")


class watched:  # noqa: N801 -- reads as a clause
    """Count every transition of the step's table that is taken within the block."""

    def __init__(self, seen: Counter[tuple[str, str]]) -> None:
        self.seen = seen

    def __enter__(self) -> None:
        seen, self.move = self.seen, SagaState.move
        original = self.move

        def move(state: SagaState, index: int, slot: Slot, event: str) -> None:
            old = slot.status
            original(state, index, slot, event)
            seen[old, event] += 1
            assert slot.status is STEP_TRANSITIONS[old][event]

        SagaState.move = move

    def __exit__(self, *error: object) -> None:
        SagaState.move = self.move
