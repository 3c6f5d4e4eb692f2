"""One move of one saga: what happened and what the kernel decides are folded, and checked at every event and frame."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any, Protocol

from msgspec import Raw

from amends.core import events as ev
from amends.core.decide import Evaluate, decide, has_nothing_to_decide
from amends.core.events import Event, decode_frame, encode_frame
from amends.core.fold import fold, fold_frame, load
from amends.core.graph import Graph, Kind
from amends.core.state import SagaState
from amends.core.straight import begin, go_on
from amends.core.transitions import ENDS
from tests.core.graphs import SLEEP
from tests.core.invariants import Invariants
from tests.core.observer import Choice, Known, called_again, chosen, observed
from tests.core.situation import START, Count, Move, Moves, Situation, Violation, expect
from tests.core.states import clone, difference, same
from tests.core.world import Held

TAKEN: Counter[tuple[str, str]] = Counter()  # turns of straight.py: the first and the last event
ROUNDS_MAX = 60  # rounds of decide in one frame; more is a loop
END_EVENTS = frozenset({ev.Completed, ev.Compensated, ev.Closed})


class Answers(Protocol):
    """How the author's own functions answer: which branch, how many items, or that they raise."""

    def pick(self, ways: int) -> int:
        """One of so many ways."""
        ...


class Every:
    """All ways, one after another: `more` turns to the next one, until there is none."""

    def __init__(self) -> None:
        self._given: list[int] = []
        self._taken: list[tuple[int, int]] = []

    def pick(self, ways: int) -> int:
        """The way that this round takes."""
        place = len(self._taken)
        choice = self._given[place] if place < len(self._given) else 0
        self._taken.append((choice, ways))
        return choice

    def more(self) -> bool:
        """Turn to the next round; False when there is none."""
        taken = self._taken
        while taken and taken[-1][0] + 1 == taken[-1][1]:
            taken.pop()
        self._given = [choice for choice, _ in taken]
        if taken:
            self._given[-1] += 1
        self._taken = []
        return bool(taken)


class ByChance:
    """Any way, by chance."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def pick(self, ways: int) -> int:
        """A way by chance."""
        return self._chance.randrange(ways)


class _told:  # noqa: N801 -- reads as a clause
    """A violation within the block, or an error, is told with the way there."""

    def __init__(self, new: Situation) -> None:
        self.new = new

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *trace: object) -> None:
        if isinstance(error, Exception):
            what = "" if kind is Violation else f"{type(error).__name__}: "
            raise Violation(f"{what}{error}\n{self.new.story()}") from error


class Trial:
    """The moves of one saga."""

    def __init__(self, graph: Graph, moves: Moves) -> None:
        self.graph = graph
        self.moves = moves
        self.invariants = Invariants(graph)
        self.count = Count()

    def start(self) -> Situation:
        """The situation after the start."""
        graph = self.graph
        deadline = START + graph.deadline_ms if graph.deadline_ms else 0
        first = ev.Started("s", "saga", 1, "", ev.NOTHING, deadline, graph.deadline_ms)
        blank = Situation.blank(graph, self.moves.deaths_max)
        return self.make(blank, Move("start", [first], blank.world, decided=False), Every())

    def check(self, at: Situation, new: Situation, *, fresh: bool = True) -> None:
        """Check what a move led to; unless it is fresh, only the end that it may be.

        What must hold at rest asks nothing that is not in a situation's identity, so it is asked once.
        """
        with _told(new):
            if fresh:
                self.invariants.check_at_rest(new)
            if new.state.ended and not at.state.ended:
                self.invariants.check_end(new)

    def make(self, at: Situation, move: Move, answers: Answers) -> Situation:
        """Make a move; raises `Violation` with the story of what does not hold."""
        new = Situation(clone(at.state), move.world, at.known, at.now + move.ms, at, move.name, decided=move.decided)
        with _told(new):
            if move.restart is None:
                self._frame(new, move.happened, answers, decided=move.decided)
            else:
                self._frame(new, move.happened, answers, decided=False)
                self._frame(new, move.restart, answers, decided=True)
        return new

    def _frame(self, new: Situation, happened: list[Event], answers: Answers, *, decided: bool) -> None:
        state, now = new.state, new.now
        was_at, state.at = state.at, now
        frame: list[Event] = []
        new.frames = (*new.frames, b"")
        try:
            commands: list[Any] = list(happened) or (decide(self.graph, state, now) if decided else [])
            straight = self._straight(state, commands, now) if decided else None
            self._rounds(new, commands, frame, answers, decided)
            if straight is not None:
                events, by_itself = straight
                expect(events == frame, f"straight.py: {events}, fold and decide: {frame}")
                expect(same(by_itself, state), f"straight.py differs: {difference(by_itself, state)}")
        finally:
            new.frames = (*new.frames[:-1], encode_frame(now, frame))  # a violation is told with the events up to it
        if not frame:
            new.frames, state.at = new.frames[:-1], was_at
            return
        state.seq += 1

    def _straight(self, state: SagaState, happened: list[Any], now: int) -> tuple[list[Event], SagaState] | None:
        """What straight.py makes of the turn, and of a state of its own; None when it leaves the turn alone."""
        if len(happened) != 1:
            return None
        (event,), by_itself = happened, clone(state)
        if isinstance(event, ev.Started):
            events = begin(by_itself, event, now)
        elif isinstance(event, ev.ActionSucceeded):
            events = go_on(by_itself, event, now)
        else:
            return None
        if events is None:
            expect(same(by_itself, state), "straight.py left the turn alone, but not the state")
            return None
        TAKEN[type(event).__name__, type(events[-1]).__name__] += 1
        return events, by_itself

    def _rounds(self, new: Situation, commands: list[Any], frame: list[Event], answers: Answers, decided: bool) -> None:
        rounds = 0
        while commands:
            rounds += 1
            for command in commands:
                event = self._answer(new, command.node, answers) if type(command) is Evaluate else command
                frame.append(event)
                self._fold(new, event)
            if rounds > ROUNDS_MAX:
                raise Violation("decide never comes to rest")
            commands = decide(self.graph, new.state, new.now) if decided else []
            expect(not (commands and has_nothing_to_decide(new.state)), "has_nothing_to_decide() is wrong")

    def _answer(self, new: Situation, slot: int, answers: Answers) -> Event:
        """What the author's function of a node says; the last way is that it raises."""
        state, node, items = new.state, new.state.nodes[slot], self.moves.items
        ways = len(node.children) if node.kind is Kind.CHOOSE else len(items) if node.kind is Kind.EACH else 1
        choice = answers.pick(ways + self.moves.poison)
        if choice == ways:
            return ev.StepParked(slot, "poison", "the author's function raised")
        match node.kind:
            case Kind.CHOOSE:
                return ev.BranchChosen(slot, choice)
            case Kind.CALL:
                return ev.CallEntered(slot, Raw(b"{}"))
            case Kind.EACH:
                given = [Raw(b"%d" % number) for number in range(items[choice])]
                body, limit = node.children[0], state.policy_of(slot).limit
                return ev.ItemsListed(slot, given, limit, len(state.slots), body, self.graph.sizes[body])
        return ev.SleepStarted(slot, new.now + SLEEP)

    # --- folding and observing -----------------------------------------------------------------------------

    def _fold(self, new: Situation, event: Event) -> None:
        """Fold one event, and check it against what was before it."""
        state = new.state
        self.invariants.check_event(new, event)
        was, ended, back = state.status, state.ended, state.back
        fold(state, event)
        self.count.events.add(type(event).__name__)
        if state.status is not was:
            self.count.statuses.add((was, state.status))
        self._observe(new, event, back)
        self.invariants.check_saga(state, was, ended=ended, back=back)

    def _observe(self, new: Situation, event: Any, back: bool) -> None:
        kind, node = type(event), getattr(event, "node", -1)
        if kind is ev.ItemsListed:
            body = self.graph.nodes[event.body : event.body + event.size]
            fresh = tuple(Choice() if node.kind is Kind.FIRST_OF else Known() for node in body) * len(event.items)
            new.known += fresh
            new.world += (Held(),) * len(fresh)
        elif kind is ev.RetryRequested:
            new.known = tuple(called_again(known) if type(known) is Known else known for known in new.known)
        elif node >= 0 and kind is not ev.TurnedBack:
            new.known = (*new.known[:node], self._seen(new, new.known[node], event, back), *new.known[node + 1 :])

    def _seen(self, new: Situation, known: Known | Choice, event: Any, back: bool) -> Known | Choice:
        if type(known) is Choice:
            return chosen(known, event)
        node = new.state.nodes[event.node]
        if node.kind is not Kind.STEP:
            return known
        return observed(known, event, back=back, certain=node.index in self.invariants.certain)

    # --- the journal -----------------------------------------------------------------------------------------

    def check_frames(self, at: Situation, new: Situation) -> None:
        """What a move journalled, read and folded anew, gives the same state."""
        again = clone(at.state)
        for frame in new.frames:
            fold_frame(again, decode_frame(frame))
        if not same(again, new.state):
            raise Violation(f"S4: the journal folds to another state: {difference(again, new.state)}\n{new.story()}")

    def check_journal(self, new: Situation) -> None:
        """The whole journal, folded anew, gives the same state, and tells of one end at most."""
        frames = [decode_frame(frame) for frame in new.journal()]
        again = load(self.graph, frames)
        again.deaths_max = new.state.deaths_max
        expect(same(again, new.state), f"S4: load() gives another state: {difference(again, new.state)}\n{new.story()}")
        ends = [event for frame in frames for event in frame.events if type(event) in END_EVENTS]
        expect(len(ends) == (new.state.status in ENDS), f"S1: ends: {ends}")
