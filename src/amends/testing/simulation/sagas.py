"""Random sagas, built with the public names and nothing else.

A saga has 2 to 9 steps in random nesting: parallel, choose, each, call, first_of, waits, sleeps, a pivot
with what may stand after it, follow-ups, and every option of a step. Its functions call the simulated
participants, and read random earlier results, so that what they see can be held against the journal.

Rules of this file: what is drawn is always a legal definition; a `DefinitionError` is a defect here.
A step's name is told apart from all others of the saga, whatever it stands in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from ...core.definition import Saga
from ...core.nodes import call, choose, each, first_of, parallel, sleep, wait_for, when
from ...core.steps import OnUnknown, Step, step
from ...policies.retry import Retry
from . import functions
from .functions import Order, Wired
from .participants import Participants, Spec, Token

_DEPTH = 2  # of what may hold other nodes


@dataclass
class Answer:
    """The payload of every signal."""

    value: int


@dataclass(frozen=True)
class Made:
    """A random saga: its definition, how its steps behave by their names, and the names of its signals."""

    saga: Saga[Any, Any]
    specs: dict[str, Spec]
    signals: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """Where a node is drawn: after the pivot, how deep, within an item, within a called saga."""

    after: bool = False
    depth: int = 0
    item: bool = False
    alone: bool = False  # in a called saga, which must be legal by itself

    def below(self) -> Place:
        """One level down."""
        return replace(self, depth=self.depth + 1)


Scope = dict[str, Any]  # what can be read: names with their types


class Maker:
    """Makes one saga.

    Parameters:
        rng: decides everything.
        participants: whom its functions call.
        fires: asked by what decides whether it raises this time.
    """

    def __init__(self, rng: Random, participants: Participants, fires: Callable[[str], bool]) -> None:
        self._rng = rng
        self._participants = participants
        self._fires = fires
        self._specs: dict[str, Spec] = {}
        self._signals: list[str] = []
        self._names = 0
        self._left = rng.randint(2, 9)  # steps
        self._others = 6  # other nodes

    def make(self, name: str) -> Made:
        """A saga of this name."""
        rng = self._rng
        scope: Scope = {}
        nodes = self._sequence(scope, Place(), rng.randint(1, 4))
        if not self._specs:
            nodes.insert(0, self._step({}, Place()))
        if rng.random() < 0.5:
            nodes += self._pivot(scope)
            nodes += self._sequence(scope, Place(after=True), rng.randint(0, 3))
        completed = [self._step(scope, Place(), follow_up=True)] if rng.random() < 0.25 else []
        compensated = [self._step({}, Place(), follow_up=True)] if rng.random() < 0.25 else []
        saga: Saga[Any, Any] = Saga(
            name,
            *nodes,
            input=Order,
            deadline=rng.choice([None, None, 3, 8, 20]),
            on_completed=completed,
            on_compensated=compensated,
        )
        return Made(saga, self._specs, tuple(self._signals))

    # --- nodes ---------------------------------------------------------------------------------------------

    def _sequence(self, scope: Scope, place: Place, length: int) -> list[Any]:
        return [self._node(scope, place) for _ in range(length)]

    def _node(self, scope: Scope, place: Place) -> Any:
        rng = self._rng
        drawn = rng.random()
        if self._left > 0 and (drawn < 0.5 or place.depth >= _DEPTH or self._others <= 0):
            return self._step(scope, place)
        self._others -= 1
        if place.depth < _DEPTH and drawn < 0.88:
            kinds = (self._parallel, self._choose, self._each, self._called, self._first_of)
            return rng.choice(kinds)(scope, place)
        if drawn < 0.95 and len(self._signals) < 4:
            return self._wait(scope, place)
        if rng.random() < 0.5:
            return sleep(rng.choice([0.5, 3, 15, 40]))
        return sleep(functions.length)

    def _branches(self, scope: Scope, place: Place) -> tuple[list[Any], list[Any]]:
        one, two = dict(scope), dict(scope)
        first = self._sequence(one, place.below(), self._rng.randint(1, 2))
        second = self._sequence(two, place.below(), self._rng.randint(1, 2))
        scope |= one | two
        return first, second

    def _parallel(self, scope: Scope, place: Place) -> Any:
        return parallel(*self._branches(scope, place))

    def _choose(self, scope: Scope, place: Place) -> Any:
        first, second = self._branches(scope, place)
        return choose(when(self._predicate(), *first), otherwise=tuple(second))

    def _each(self, scope: Scope, place: Place) -> Any:
        rng, inner = self._rng, dict(scope)
        items = functions.items(rng.randint(1, 3), self._fires)
        within = replace(place.below(), item=True)
        nodes = self._sequence(inner, within, rng.randint(0, 1)) if self._left > 0 else []
        last = self._step(inner, within)
        if last.name in inner:
            scope[last.name] = list[Token | None] if last.options.best_effort else list[Token]
        return each(items, *nodes, last, item=int, limit=rng.choice([1, 2, 8]))

    def _called(self, scope: Scope, place: Place) -> Any:
        rng, inner = self._rng, Scope()
        name = f"c{self._number()}"
        # A called saga is legal by itself: after the pivot it holds what is legal on both sides of it.
        within = Place(after=place.after, depth=place.depth + 1, alone=True)
        nodes = self._sequence(inner, within, rng.randint(0, 1)) if self._left > 0 and not place.after else []
        last = self._step(inner, within)
        saga: Saga[Any, Any] = Saga(name, *nodes, last, input=Order, result=last)
        if last.name in inner:
            scope[name] = Token
        mapper = functions.mapper(rng.randint(0, 3), self._fires, item=place.item) if rng.random() < 0.7 else None
        return call(saga, mapper)

    def _first_of(self, scope: Scope, place: Place) -> Any:
        """Two or three alternatives, whose last steps all return a Token or all nothing."""
        rng = self._rng
        returns = rng.random() < 0.8
        name = f"f{self._number()}" if rng.random() < 0.5 else ""
        alternatives: list[Any] = []
        for _ in range(rng.randint(2, 3)):
            inner = dict(scope)
            before = self._sequence(inner, place.below(), rng.choice([0, 0, 1])) if self._left > 0 else []
            alternatives.append((*before, self._step(inner, place.below(), returns=returns, refuses=0.4)))
        if returns and name:
            scope[name] = Token
        return first_of(*alternatives, name=name)

    def _wait(self, scope: Scope, place: Place) -> Any:
        rng = self._rng
        name = f"w{len(self._signals) + 1}"
        self._signals.append(name)
        if place.after or rng.random() < 0.4:
            inner = dict(scope)
            deepest = replace(place, depth=_DEPTH)
            nodes = self._sequence(inner, deepest, 1) if self._left > 0 else []
            scope |= inner
            scope[name] = Answer
            return wait_for(name, Answer, timeout=rng.choice([1, 4, 12]), on_timeout=tuple(nodes))
        scope[name] = Answer
        return wait_for(name, Answer, timeout=rng.choice([None, 2, 15, 40]))

    def _predicate(self) -> Callable[..., bool]:
        return functions.predicate(self._rng.randint(0, 3), self._fires)

    def _pivot(self, scope: Scope) -> list[Any]:
        if self._rng.random() < 0.8:
            return [self._step(scope, Place(), pivot=True)]
        one, two = dict(scope), dict(scope)
        first, second = (self._step(branch, Place(), pivot=True) for branch in (one, two))
        scope |= one | two
        return [choose(when(self._predicate(), first), otherwise=second)]

    def _number(self) -> int:
        self._names += 1
        return self._names

    # --- steps ---------------------------------------------------------------------------------------------

    def _step(
        self, scope: Scope, place: Place, *, pivot: bool = False, follow_up: bool = False, returns: bool | None = None,
        refuses: float | None = None,
    ) -> Any:  # fmt: skip
        rng = self._rng
        self._left -= 1
        name = f"s{len(self._specs) + 1}"
        after = place.after
        read_only = not pivot and not follow_up and rng.random() < 0.12
        best_effort = not pivot and not read_only and not follow_up and rng.random() < (0.3 if after else 0.12)
        best_effort = best_effort or (place.alone and after and not read_only)
        retriable = after and not read_only and not best_effort
        if returns is None:
            returns = rng.random() < 0.8
        spec = Spec(
            name,
            effect=not read_only,
            refuses=0.4 if pivot else rng.choice([0.15, 0.15, 0.0]) if refuses is None else refuses,
            conclusive=rng.random() < 0.6,
            returns=returns,
            slow=rng.choice([0.0, 0.0, 0.7]),
            slow_undo=rng.choice([0.0, 0.0, 0.7]),
        )
        self._specs[name] = spec
        reads = rng.sample(sorted(scope), min(len(scope), rng.randint(0, 2)))
        wired = Wired({each: scope[each] for each in reads}, {}, place.item)
        unknown: OnUnknown = rng.choice(["undo", "undo", "undo", "retry", "undo" if best_effort else "park"])
        made: Step[..., Any, Any] = step(
            name=name,
            timeout=rng.choice([0.3, 1, 3]),
            retry=Retry(
                attempts=rng.randint(1, 3), base="100ms", cap="2s", jitter=rng.choice(["full", "decorrelated"])
            ),
            read_only=read_only,
            pivot=pivot,
            retriable=retriable,
            best_effort=best_effort,
            on_unknown=unknown,
            key_ttl=rng.choice([2, 8]) if rng.random() < 0.12 else None,
        )(self._function(spec, wired, functions.result_of(returns, slow=spec.slow > 0)))
        if rng.random() < 0.85 and not (pivot or after or follow_up or read_only):
            own = {name: Token | None if rng.random() < 0.8 else Token} if returns else {}
            tuned = made.compensation(timeout=1, retry=Retry(attempts=rng.randint(2, 5), base="100ms", cap="2s"))
            tuned(self._function(spec, replace(wired, own=own), None))
        if not read_only and rng.random() < 0.35:
            probe = made.probe(timeout=1, retry=Retry(attempts=2, base="100ms", cap="1s"))
            probe(self._function(spec, wired, functions.result_of(returns, probe=True)))
        if returns:
            scope[name] = Token
        return made

    def _function(self, spec: Spec, wired: Wired, returns: Any) -> Callable[..., Any]:
        return functions.calls(self._participants, spec, wired, returns, functions.rhythm(self._rng))
