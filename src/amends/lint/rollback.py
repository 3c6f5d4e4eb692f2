"""The rollback table: for every point at which a saga can fail, what is undone, in which order, and where it ends.

    table = rollback(place_order)

A row stands for all ways of failing, and all branches on the way, that come out alike. Each is driven through the
kernel (`failing`), so the table cannot say anything else than what would happen.

Rules of this file: pure; it merges and names what the runs found, and judges nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..core.definition import Saga
from ..core.graph import Graph, Kind, Node
from ..limits import ROLLBACK_RUNS_MAX
from .failing import Choices, Failure, Outcome, Way

Made = tuple[tuple[int, int], ...]  # possibilities taken at nodes, by node


@dataclass(frozen=True)
class Row:
    """Failures of one point that come out alike.

    Attributes:
        ways: how it fails.
        when: on which branches before it; each entry is one possibility. None at all: on every one.
        outcome: what becomes of the saga.
    """

    ways: tuple[str, ...]
    when: tuple[str, ...]
    outcome: Outcome


@dataclass(frozen=True)
class Point:
    """A step, wait or sleep at which the saga can fail.

    Attributes:
        path: its path.
        kind: "step", "pivot", "wait" or "sleep".
        where: the branches that lead to it, in words.
        rows: what may happen; empty when no way leads there.
    """

    path: str
    kind: str
    where: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Table:
    """All of a saga's points in their order; `notes` are sentences on what was taken for granted."""

    name: str
    version: int
    points: tuple[Point, ...]
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """Its heading."""
        return f"{self.name} v{self.version}"


def rollback(saga: Saga[Any, Any]) -> Table:
    """The rollback table of a definition. Nothing of it is run.

    Parameters:
        saga: what `Saga(...)` made.
    """
    points, bounded = [], []
    for node in saga.graph.nodes:
        if node.kind in (Kind.STEP, Kind.WAIT, Kind.SLEEP) and not node.follow_up:
            found = _Found(saga, node)
            points.append(Point(node.path, _kind(node), found.words(found.forced.items()), tuple(found.rows())))
            if found.bounded:
                bounded.append(node.path)
    return Table(saga.name, saga.version, tuple(points), tuple(_notes(saga.graph, bounded)))


def _kind(node: Node) -> str:
    if node.kind is Kind.STEP:
        return "pivot" if node.pivot else "step"
    return node.kind.name.lower()


def _notes(graph: Graph, bounded: list[str]) -> Iterator[str]:
    kinds = {node.kind for node in graph.nodes if not node.follow_up}
    yield "Every compensation is taken as acknowledged, and what goes on after a failure as succeeding."
    yield "When it is cancelled, the call under way ends first, and is taken as succeeding."
    if graph.deadline_ms:
        yield "The deadline cuts the call under way, so its outcome is unknown; but no pivot, nor what comes after it."
    if Kind.PARALLEL in kinds:
        yield "Steps beside the one that fails, in a parallel, are taken as done."
    if Kind.EACH in kinds:
        yield "An each is shown with two items, which take the same branches; it is the second that fails."
    if Kind.FIRST_OF in kinds:
        yield "Alternatives before the one that is under way are taken as refused at their first call."
    if bounded:
        yield f"Of the ways that lead there, only the first {ROLLBACK_RUNS_MAX} were tried: {', '.join(bounded)}."


class _Found:
    """What the runs of one point came to."""

    def __init__(self, saga: Saga[Any, Any], node: Node) -> None:
        self.saga = saga
        self.node = node
        self.forced = _forced(saga.graph, node)
        self.bounded = False
        self._counts: dict[int, int] = {}

    def rows(self) -> Iterator[Row]:
        """One row for each outcome, and each set of branches on which ways have it in common."""
        found: dict[Outcome, dict[Way, list[Made]]] = {}
        for way in _ways(self.saga.graph, self.node):
            for made, outcome in self._runs(way):
                found.setdefault(outcome, {}).setdefault(way, []).append(made)
        for outcome, by_way in found.items():
            alike: dict[tuple[Made, ...], list[str]] = {}
            for way, runs in by_way.items():
                alike.setdefault(self._merged(runs), []).append(way.value)
            for branches, ways in alike.items():
                yield Row(tuple(ways), tuple(self.words(each) for each in branches if each), outcome)

    def _runs(self, way: Way) -> Iterator[tuple[Made, Outcome]]:
        planned: tuple[int, ...] | None = ()
        for _ in range(ROLLBACK_RUNS_MAX):
            choices = Choices(self.forced, planned or ())
            outcome = Failure(self.saga, self.node.index, way, choices).outcome()
            self._counts |= choices.counts
            if outcome is not None:
                yield tuple(sorted(choices.made.items())), outcome
            planned = choices.following()
            if planned is None:
                return
        self.bounded = True

    def _merged(self, runs: Iterable[Made]) -> tuple[Made, ...]:
        """The same runs in fewer words: what comes out alike on every branch of a node does not depend on it."""
        left = set(runs)
        merged = True
        while merged:
            merged = False
            for node in {each for made in left for each, _ in made}:
                others: dict[Made, set[Made]] = {}
                for made in left:
                    if node in dict(made):
                        rest = tuple(pair for pair in made if pair[0] != node)
                        others.setdefault(rest, set()).add(made)
                for rest, same in others.items():
                    if len(same) == self._counts[node]:
                        left = (left - same) | {rest}
                        merged = True
        return tuple(sorted(left))

    def words(self, made: Iterable[tuple[int, int]]) -> str:
        """Branches, as people name them."""
        return " and ".join(self._word(self.saga.graph.nodes[node], option) for node, option in made)

    def _word(self, node: Node, option: int) -> str:
        if node.kind is Kind.WAIT:
            return f"no {node.path} in time" if option else f"{node.path} in time"
        if node.kind is Kind.FIRST_OF:
            return f"alternative {option + 1} of {node.path}"
        names = [_name(each.function) for each in self.saga.bindings[node.index].predicates]
        return names[option] if option < len(names) else f"not {' nor '.join(names)}"


def _name(function: Any) -> str:
    name = str(getattr(function, "__name__", type(function).__name__))
    return "a condition" if name == "<lambda>" else name


def _forced(graph: Graph, node: Node) -> dict[int, int]:
    """What has to be taken on the way to a node, outermost first."""
    found = {}
    while node.parent >= 0:
        parent = graph.nodes[node.parent]
        if parent.kind in (Kind.CHOOSE, Kind.FIRST_OF):
            found[parent.index] = node.position
        elif parent.kind is Kind.WAIT:
            found[parent.index] = 1
        node = parent
    return dict(reversed(found.items()))


def _ways(graph: Graph, node: Node) -> Iterator[Way]:
    if node.kind is Kind.STEP:
        yield from (Way.REJECTED, Way.NOT_SENT, Way.UNKNOWN)
    elif graph.policies[node.index].wait_ms and not node.children:
        yield Way.TIMEOUT
    if graph.deadline_ms:
        yield Way.DEADLINE
    yield Way.CANCEL
