"""What differs between two structures of a definition: the one stored with sagas in flight, and today's.

    changes(stored, todays)    what the fingerprint covers: such a saga needs its own version
    tuning(stored, todays)     what it does not cover, as far as it is stored: it reaches sagas in flight

Nodes are told apart by their paths. Blocks without a name (`parallel#4`) have none that lasts, so they are seen only
as the surroundings of what stands in them; sleeps are counted. Functions and types are stored nowhere, so nothing is
said of them here.

Rules of this file: pure; it says what differs, and not what that means for a saga.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from ..core.graph import Graph, Kind, Node
from ..policies.durations import human

_KINDS = {
    Kind.STEP: "step", Kind.SEQUENCE: "sequence", Kind.PARALLEL: "parallel", Kind.CHOOSE: "choose",
    Kind.WAIT: "wait", Kind.SLEEP: "sleep", Kind.EACH: "each", Kind.FIRST_OF: "first_of", Kind.CALL: "call",
}  # fmt: skip

# By a node's field: what is said when it has come to be so, and when it is so no more.
_FLAGS = {
    "pivot": ("is the pivot now", "is no pivot any more"),
    "retriable": ("is retriable now", "is not retriable any more"),
    "read_only": ("is read_only now", "is not read_only any more"),
    "best_effort": ("is best_effort now", "is not best_effort any more"),
    "compensation": ("has a compensation now", "has no compensation any more"),
    "needs_result": ("has a compensation that needs its result now", "has no compensation that needs its result now"),
    "probe": ("has a probe now", "has no probe any more"),
    "computed": ("computes its length now", "has a constant length now"),
    "read": ("has a result that others read now", "has a result that nobody reads any more"),
}
_TEXTS = {"on_unknown": "on_unknown=", "signal": "signal "}


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    Attributes:
        kind: what became of it.
        path: the node's; "" for the saga as a whole.
        what: where it stands, or what of it is another; words that follow the path.
    """

    kind: Literal["added", "removed", "moved", "changed"]
    path: str
    what: str


def changes(stored: Graph, todays: Graph) -> tuple[Change, ...]:
    """What of the structure differs; empty when only name and version may."""
    old, new = _Order(stored), _Order(todays)
    found = [Change("removed", path, f"it was {old.place(path)}") for path in old.paths if path not in new.nodes]
    found += [Change("added", path, new.place(path)) for path in new.paths if path not in old.nodes]
    found += [Change("moved", path, f"{new.place(path)}; it was {old.place(path)}") for path in _moved(old, new)]
    for path in new.paths:
        if path in old.nodes:
            found += [Change("changed", path, each) for each in _node(path, old, new)]
    before = old.results
    for path, now in new.results.items():
        if before.get(path, now) != now:
            found.append(Change("changed", path, f"its result is {now}; it was {before[path]}"))
    if not found and _bare(stored) != _bare(todays):
        found.append(
            Change("changed", "", "its blocks (parallel, choose, each, first_of) are others, or nest in another way")
        )
    return tuple(found)


def tuning(stored: Graph, todays: Graph) -> tuple[Change, ...]:
    """What differs of the tuning that is stored; timeouts, retries and the deadline are not."""
    old, new = _Order(stored), _Order(todays)
    found = []
    for path in new.paths:
        if path in old.nodes:
            before, after = old.expires(path), new.expires(path)
            if before != after:
                found.append(Change("changed", path, f"expires {_length(after)}; it was {_length(before)}"))
    return tuple(found)


class _Order:
    """The nodes of a graph that have a name that lasts, in their order."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.nodes: dict[str, Node] = {}
        sleeps = 0
        for node in graph.nodes:
            path = node.path
            if node.kind is Kind.SLEEP and "#" in path:
                sleeps += 1
                path = f"{path.partition('#')[0]} {sleeps}"
            if "#" not in path:
                self.nodes[path] = node
        self.paths = tuple(self.nodes)

    @property
    def results(self) -> dict[str, str]:
        """Whose value is the saga's result, at the path "", and that of each call."""
        graph = self._graph
        found = {"": self._value(graph.result)}
        return found | {graph.nodes[at].path: self._value(of) for at, of in sorted(graph.results.items())}

    def around(self, path: str) -> tuple[str, ...]:
        """What a node stands in, from the outside."""
        graph, found = self._graph, []
        node = self.nodes[path]
        while node.parent >= 0:
            position, node = node.position, graph.nodes[node.parent]
            if node.kind in (Kind.CHOOSE, Kind.FIRST_OF):
                found.append(f"{self._name(node)}, branch {position + 1}")
            elif node.kind is not Kind.SEQUENCE:
                found.append(self._name(node))
        follows = {graph.after_completed: "on_completed", graph.after_compensated: "on_compensated"}
        found += [follows[node.index]] if node.index in follows else []
        return tuple(reversed(found))

    def place(self, path: str) -> str:
        """Where a node stands, in words."""
        around, at = self.around(path), self.paths.index(path)
        inside = [f"in {' in '.join(reversed(around))}"] if around else []
        before = self.paths[at - 1] if at else ""
        return ", ".join([*inside, f"after {before}" if before else "first"])

    def atomic(self, path: str) -> bool:
        """Whether a step commits with its own frame."""
        return self.nodes[path].index in self._graph.atomic

    def expires(self, path: str) -> int:
        """After which time its effect lapses, in milliseconds; 0 for never."""
        return self._graph.policies[self.nodes[path].index].expires_ms

    def _name(self, node: Node) -> str:
        kind = _KINDS[node.kind]
        return kind if "#" in node.path else f"{kind} {node.path}"

    def _value(self, index: int) -> str:
        return "None" if index < 0 else f"that of {self._graph.nodes[index].path.partition('#')[0]}"


def _moved(old: _Order, new: _Order) -> Iterator[str]:
    """The nodes of both that stand in something else, or not in the order of the others."""
    ours = [path for path in old.paths if path in new.nodes]
    theirs = [path for path in new.paths if path in old.nodes]
    kept: set[str] = set()
    for block in SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks():
        kept.update(theirs[block.b : block.b + block.size])
    for path in theirs:
        if path not in kept or old.around(path) != new.around(path):
            yield path


def _node(path: str, old: _Order, new: _Order) -> Iterator[str]:
    """What of one node is another."""
    before, after = old.nodes[path], new.nodes[path]
    if before.kind is not after.kind:
        yield f"is a {_KINDS[after.kind]} now; it was a {_KINDS[before.kind]}"
        return
    for field, (gained, lost) in _FLAGS.items():
        if getattr(before, field) != getattr(after, field):
            yield gained if getattr(after, field) else lost
    for field, named in _TEXTS.items():
        if getattr(before, field) != getattr(after, field):
            yield f'{named}"{getattr(after, field)}"; it was "{getattr(before, field)}"'
    if old.atomic(path) != new.atomic(path):
        yield "is atomic now" if new.atomic(path) else "is not atomic any more"


def _bare(graph: Graph) -> tuple[object, ...]:
    return (graph.nodes, graph.root, graph.after_completed, graph.after_compensated)


def _length(milliseconds: int) -> str:
    return f"after {human(milliseconds)}" if milliseconds else "never"
