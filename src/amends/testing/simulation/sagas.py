"""Random sagas, built with the public names and nothing else.

A saga has 2 to 8 steps in random nesting: parallel, choose, waits, sleeps, a pivot with what may stand
after it, follow-ups, and every option of a step. Its functions call the simulated participants, and
read random earlier results, so that what they see can be held against the journal.

Rules of this file: what is drawn is always a legal definition; a `DefinitionError` is a defect here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from ...core.context import Context
from ...core.definition import Saga
from ...core.nodes import choose, parallel, sleep, wait_for, when
from ...core.steps import OnUnknown, Step, step
from ...policies.retry import Retry
from .participants import Participants, Spec, Token


@dataclass
class Order:
    """The input of every simulated saga."""

    number: int


@dataclass
class Answer:
    """The payload of every signal."""

    value: int


@dataclass(frozen=True)
class Made:
    """A random saga: its definition, how its steps behave, and the names of its waits."""

    saga: Saga[Any, Any]
    specs: dict[str, Spec]
    signals: tuple[str, ...]


class Maker:
    """Makes one saga.

    Parameters:
        rng: decides everything.
        participants: whom its functions call.
        fires: asked by predicates whether they raise this time.
    """

    def __init__(self, rng: Random, participants: Participants, fires: Callable[[str], bool]) -> None:
        self._rng = rng
        self._participants = participants
        self._fires = fires
        self._specs: dict[str, Spec] = {}
        self._signals: list[str] = []
        self._left = rng.randint(2, 8)  # steps
        self._others = 6  # other nodes

    def make(self, name: str) -> Made:
        """A saga of this name."""
        rng = self._rng
        scope: dict[str, type] = {}
        nodes = self._sequence(scope, after=False, depth=0, length=rng.randint(1, 4))
        if not any(isinstance(node, Step) for node in nodes):
            nodes.insert(0, self._step({}, after=False))
        if rng.random() < 0.5:
            nodes += self._pivot(scope)
            nodes += self._sequence(scope, after=True, depth=0, length=rng.randint(0, 3))
        completed = [self._step(scope, follow_up=True)] if rng.random() < 0.25 else []
        compensated = [self._step({}, follow_up=True)] if rng.random() < 0.25 else []
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

    def _sequence(self, scope: dict[str, type], *, after: bool, depth: int, length: int) -> list[Any]:
        return [self._node(scope, after=after, depth=depth) for _ in range(length)]

    def _node(self, scope: dict[str, type], *, after: bool, depth: int) -> Any:
        rng = self._rng
        drawn = rng.random()
        if self._left > 0 and (drawn < 0.6 or depth >= 2 or self._others <= 0):
            return self._step(scope, after=after)
        self._others -= 1
        if drawn < 0.7 and depth < 2:
            return parallel(*self._branches(scope, after=after, depth=depth))
        if drawn < 0.8 and depth < 2:
            first, second = self._branches(scope, after=after, depth=depth)
            return choose(when(self._predicate(), *first), otherwise=tuple(second))
        if drawn < 0.92 and len(self._signals) < 4:
            return self._wait(scope, after=after, depth=depth)
        if rng.random() < 0.5:
            return sleep(rng.choice([0.5, 3, 15, 40]))
        return sleep(_length_by_number)

    def _branches(self, scope: dict[str, type], *, after: bool, depth: int) -> tuple[list[Any], list[Any]]:
        one, two = dict(scope), dict(scope)
        first = self._sequence(one, after=after, depth=depth + 1, length=self._rng.randint(1, 2))
        second = self._sequence(two, after=after, depth=depth + 1, length=self._rng.randint(1, 2))
        scope.update(one)
        scope.update(two)
        return first, second

    def _wait(self, scope: dict[str, type], *, after: bool, depth: int) -> Any:
        rng = self._rng
        name = f"w{len(self._signals) + 1}"
        self._signals.append(name)
        if after or rng.random() < 0.4:
            inner = dict(scope)
            nodes = self._sequence(inner, after=after, depth=2, length=1) if self._left > 0 else []
            scope.update(inner)
            scope[name] = Answer
            return wait_for(name, Answer, timeout=rng.choice([1, 4, 12]), on_timeout=tuple(nodes))
        scope[name] = Answer
        return wait_for(name, Answer, timeout=rng.choice([None, 2, 15, 40]))

    def _predicate(self) -> Callable[..., bool]:
        bit, fires = self._rng.randint(0, 3), self._fires

        def is_set(order: Order) -> bool:
            if fires("predicate.raises"):
                raise RuntimeError("a predicate that raised")
            return bool(order.number >> bit & 1)

        return is_set

    def _pivot(self, scope: dict[str, type]) -> list[Any]:
        if self._rng.random() < 0.8:
            return [self._step(scope, pivot=True)]
        one, two = dict(scope), dict(scope)
        chosen = choose(when(self._predicate(), self._step(one, pivot=True)), otherwise=self._step(two, pivot=True))
        scope.update(one)
        scope.update(two)
        return [chosen]

    # --- steps ---------------------------------------------------------------------------------------------

    def _step(
        self, scope: dict[str, type], *, after: bool = False, pivot: bool = False, follow_up: bool = False
    ) -> Any:
        rng = self._rng
        self._left -= 1
        path = f"s{len(self._specs) + 1}"
        read_only = not pivot and not follow_up and rng.random() < 0.12
        best_effort = not pivot and not read_only and not follow_up and rng.random() < (0.3 if after else 0.12)
        retriable = after and not read_only and not best_effort
        returns = rng.random() < 0.8
        reads = tuple(rng.sample(sorted(scope), min(len(scope), rng.randint(0, 2))))
        spec = Spec(
            path,
            effect=not read_only,
            refuses=0.4 if pivot else rng.choice([0.15, 0.15, 0.0]),
            conclusive=rng.random() < 0.6,
            returns=returns,
            reads=reads,
        )
        self._specs[path] = spec
        typed = {name: scope[name] for name in reads}
        undone = rng.random() < 0.85 and not (pivot or after or follow_up or read_only)
        unknown: OnUnknown = rng.choice(["undo", "undo", "undo", "retry", "undo" if best_effort else "park"])
        made: Step[..., Any, Any] = step(
            name=path,
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
        )(self._function(spec, typed, returns=returns))
        if undone:
            own: dict[str, Any] = {path: Token | None if rng.random() < 0.8 else Token} if returns else {}
            tuned = made.compensation(timeout=1, retry=Retry(attempts=rng.randint(2, 5), base="100ms", cap="2s"))
            tuned(self._function(spec, typed, own=own))
        if not read_only and rng.random() < 0.35:
            made.probe(timeout=1, retry=Retry(attempts=2, base="100ms", cap="1s"))(
                self._function(spec, typed, found=True, returns=returns)
            )
        if returns:
            scope[path] = Token
        return made

    def _function(
        self, spec: Spec, reads: dict[str, type], *, own: dict[str, Any] | None = None, found: bool = False,
        returns: bool = False,
    ) -> Callable[..., Any]:  # fmt: skip
        """A function with the parameters drawn, that calls the participants and tells what it was given."""
        participants = self._participants
        wired: dict[str, Any] = {"order": Order, "ctx": Context}
        wired |= {name: kind | None for name, kind in reads.items()}
        wired |= own or {}
        signature = inspect.Signature(
            [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind) for name, kind in wired.items()],
            return_annotation=(Token | None if found else Token) if returns else (bool if found else None),
        )

        async def call(**given: Any) -> Any:
            ctx = given.pop("ctx")
            given.pop("order")
            return await participants.call(spec, ctx, given)

        call.__signature__ = signature  # type: ignore[attr-defined]
        call.__name__ = spec.path
        return call


def _length_by_number(order: Order) -> float:
    return 0.5 + order.number % 7
