"""Sagas of all nodes, nested by chance, within what a definition may be: where a pivot stands, and what after it.

saga, moves = random_saga(random.Random(7))
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from amends.core.graph import Graph
from tests.core.graphs import Spec, call, choose, each, first_of, graph, once, parallel, sleep, step, wait
from tests.core.situation import Moves

DEPTH = 3
BEFORE: list[dict[str, Any]] = [
    {}, {}, {}, {"probe": True}, {"compensation": False}, {"read_only": True}, {"best_effort": True},
    {"best_effort": True, "compensation": False}, {"best_effort": True, "probe": True}, {"on_unknown": "park"},
    {"on_unknown": "park", "probe": True}, {"on_unknown": "retry"}, {"needs_result": True}, {"key_ttl": True},
    {"key_ttl": True, "probe": True}, {"key_ttl": True, "on_unknown": "park"}, {"atomic": True},
    {"atomic": True, "compensation": False}, {"atomic": True, "best_effort": True},
]  # fmt: skip
AFTER: list[dict[str, Any]] = [
    {"retriable": True}, {"retriable": True}, {"retriable": True, "probe": True}, {"retriable": True, "key_ttl": True},
    {"retriable": True, "read": True}, {"retriable": True, "atomic": True}, {"read_only": True},
    {"best_effort": True, "compensation": False}, {"best_effort": True},
]  # fmt: skip
PIVOTS: list[dict[str, Any]] = [{}, {"probe": True}, {"key_ttl": True}, {"atomic": True}]


def random_saga(chance: random.Random) -> tuple[Graph, Moves]:
    """A saga, and the moves that may be made with it."""
    growing = _Growing(chance)
    nodes = growing.body(DEPTH)
    if chance.random() < 0.4:
        nodes += growing.from_the_pivot()
    growing.after = False
    saga = graph(
        *nodes,
        completed=growing.follow_ups(),
        compensated=growing.follow_ups(),
        deadline=chance.random() < 0.6,
    )
    polls = chance.choice([(), ("ask",), ("",), ("ask", "")])
    moves = Moves(
        pause=True, late=True, poison=chance.random() < 0.5, drain=True, downtime=True, together=True, accept=polls,
        undo_accept=polls, deaths_max=chance.choice([100, 3]),
    )  # fmt: skip
    return saga, moves


class _Growing:
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.names = 0
        self.after = False  # behind the pivot

    def name(self) -> str:
        self.names += 1
        return f"n{self.names}"

    def body(self, depth: int) -> list[Spec]:
        return [self.node(depth) for _ in range(self.chance.choice([1, 1, 2, 2, 3]))]

    def node(self, depth: int) -> Spec:
        if depth == 0 or self.chance.random() < 0.4:
            return self.step()
        kinds: list[Callable[[int], Spec]] = [
            self.parallel, self.choose, self.each, self.each, self.call, self.first_of, self.first_of, self.first_of,
            self.wait, self.sleep,
        ]  # fmt: skip
        return self.chance.choice(kinds)(depth - 1)

    def step(self) -> Spec:
        flags = self.chance.choice(AFTER if self.after else BEFORE)
        return self.chance.choice([step, once])(self.name(), **flags)

    def parallel(self, depth: int) -> Spec:
        return parallel(*(self.body(depth) for _ in range(2)))

    def choose(self, depth: int) -> Spec:
        return choose(self.body(depth), self.chance.choice([[], self.body(depth)]))

    def each(self, depth: int) -> Spec:
        return each(*self.body(depth), limit=self.chance.choice([1, 2, 3]))

    def call(self, depth: int) -> Spec:
        return call(self.name(), *self.body(depth))

    def first_of(self, depth: int) -> Spec:
        name = self.chance.choice(["", self.name()])
        return first_of(*(self.body(depth) for _ in range(self.chance.choice([1, 2, 2, 3]))), name=name)

    def wait(self, depth: int) -> Spec:
        how = self.chance.randrange(3)
        signal = self.chance.choice(["", "x"])
        if how == 0 or self.after:
            return wait(self.name(), on_timeout=self.chance.choice([[], self.body(depth)]), signal=signal)
        return wait(self.name(), timeout=how == 1, signal=signal)

    def sleep(self, depth: int) -> Spec:
        return sleep(computed=self.chance.random() < 0.5)

    def from_the_pivot(self) -> list[Spec]:
        """The pivot, at the top, in a call, or in a branch of a choice, and what stands after it."""
        pivot = step(self.name(), pivot=True, **self.chance.choice(PIVOTS))
        self.after = True
        nodes = [pivot, *self.body(1)]
        how = self.chance.randrange(4)
        if how == 0:
            nodes = [call(self.name(), *nodes)]
        elif how == 1:
            self.after = False
            other = self.body(1)
            self.after = True
            nodes = [choose(nodes, other)]
        return nodes + self.body(2)

    def follow_ups(self) -> list[Spec] | None:
        if self.chance.random() < 0.6:
            return None
        kinds: list[dict[str, Any]] = [{}, {"probe": True}, {"best_effort": True}, {"atomic": True}]
        return [step(self.name(), compensation=False, **self.chance.choice(kinds)) for _ in range(2)]
