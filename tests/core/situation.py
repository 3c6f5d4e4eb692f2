"""A point of the search, how it was reached, and what may be done from it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from amends.core.events import Event, decode_frame
from amends.core.graph import Graph
from amends.core.state import SagaState
from tests.core.layout import Layout
from tests.core.observer import Choice, Knowledge, Known
from tests.core.states import identity
from tests.core.world import NONE, UNDONE, Held, World

START = 1_700_000_000_000


class Violation(AssertionError):
    """An invariant does not hold; the message tells the way there."""


def expect(holds: object, message: str) -> None:
    """An invariant."""
    if not holds:
        raise Violation(message)


@dataclass(eq=False)
class Situation:
    """A folded saga, what its participants hold, and what an observer of the journal knows; and how it was reached."""

    state: SagaState
    world: World
    known: Knowledge
    now: int
    before: Situation | None = None
    move: str = ""
    frames: tuple[bytes, ...] = ()  # what this move journalled
    decided: bool = True  # whether the kernel was asked what follows
    number: int = 0

    @staticmethod
    def blank(graph: Graph, deaths_max: int) -> Situation:
        """Before the start."""
        state = SagaState(graph)
        state.deaths_max = deaths_max
        known = tuple(Choice() if slot in Layout(graph, ()).below else Known() for slot in range(len(graph.nodes)))
        return Situation(state, (Held(),) * len(known), known, START, move="start")

    def identity(self) -> tuple[Any, ...]:
        """What makes a situation different from another."""
        return (
            identity(self.state, self.now),
            tuple(h._replace(effect=NONE) if h.effect is UNDONE and h.blocked else h for h in self.world),
            tuple(known.identity() for known in self.known),
        )

    def journal(self) -> list[bytes]:
        """All frames up to here."""
        way: list[tuple[bytes, ...]] = []
        at: Situation | None = self
        while at is not None:
            way.append(at.frames)
            at = at.before
        return [frame for frames in reversed(way) for frame in frames]

    def story(self) -> str:
        """The way here, for a person."""
        lines: list[str] = []
        at: Situation | None = self
        while at is not None:
            events = [event for frame in at.frames for event in decode_frame(frame).events]
            lines.append(f"{at.move}\n" + "".join(f"      {event}\n" for event in events))
            at = at.before
        return "".join(reversed(lines))


@dataclass
class Move:
    """One thing that happens, and the world after it.

    Attributes:
        happened: what is journalled of it.
        ms: how much time passes before it.
        decided: whether the kernel is asked what follows.
        restart: when given, what happened is journalled alone, and these events lead the next frame.
    """

    name: str
    happened: list[Event]
    world: World
    ms: int = 0
    decided: bool = True
    restart: list[Event] | None = None


@dataclass
class Moves:
    """Which moves an exploration makes besides the plain answers."""

    crash: bool = True
    cancel: bool = True
    verbs: bool = True
    pause: bool = False
    late: bool = False  # timeouts whose success arrives later, requests that land later
    poison: bool = False
    drain: bool = False  # a shutdown between an answer and its decision
    downtime: bool = False  # jumps to keys' ends and just before the deadline
    together: bool = False  # two answers, an answer and a cancel, an answer and the deadline in one turn
    accept: tuple[str, ...] = ()  # the polls that an acceptance of an action may name; "" is the call itself
    undo_accept: tuple[str, ...] = ()  # the same of a compensation
    accepting: tuple[str, ...] = ()  # the steps that may accept; none given: all
    items: tuple[int, ...] = (0, 1, 2)  # how many items an `each` may have
    deaths_max: int = 100


@dataclass
class Count:
    """What an exploration saw."""

    sagas: int = 0
    situations: int = 0
    moves: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    transitions: Counter[tuple[str, str]] = field(default_factory=Counter)  # of steps
    statuses: set[tuple[str, str]] = field(default_factory=set)  # of the saga, from and to
    events: set[str] = field(default_factory=set)

    def add(self, other: Count) -> None:
        """Add another exploration's."""
        self.sagas += 1
        self.situations += other.situations
        self.moves += other.moves
        self.ends += other.ends
        self.transitions += other.transitions
        self.statuses |= other.statuses
        self.events |= other.events
