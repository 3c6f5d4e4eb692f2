"""The results that can be seen from one point of a graph: what the wiring's walk carries along.

In a sequence the scope grows; after each branch it is wound back to where the branch began, and
what came of the branch is put back as its container says: certain after a `parallel`, not certain
after a `choose`. So a later result cannot be seen, and a walk costs O(nodes). A `call` or `each`
will walk its nodes with a scope of its own, whose names are without their prefix.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .annotations import Annotation, bare


@dataclass(frozen=True, slots=True)
class Assigned:
    """A result in scope; `certain` when every path that leads here assigned it."""

    node: int
    name: str
    declared: Annotation
    certain: bool


class Scope:
    """The results that can be seen from one point of the graph, by name and by type."""

    def __init__(self) -> None:
        self._order: list[Assigned] = []
        self._by_name: dict[str, Assigned] = {}
        self._by_type: dict[int, list[Assigned]] = {}

    def add(self, assigned: Assigned) -> None:
        """From here on it can be seen."""
        self._order.append(assigned)
        self._by_name[assigned.name] = assigned
        self._by_type.setdefault(_type_key(assigned.declared), []).append(assigned)

    def mark(self) -> int:
        """This point, for `wind_back`."""
        return len(self._order)

    def wind_back(self, mark: int) -> list[Assigned]:
        """Forget what came after `mark`, and return it."""
        gone = self._order[mark:]
        del self._order[mark:]
        for assigned in reversed(gone):
            del self._by_name[assigned.name]
            self._by_type[_type_key(assigned.declared)].pop()
        return gone

    def named(self, name: str) -> Assigned | None:
        """The result of the step or wait of that name, when it can be seen."""
        return self._by_name.get(name)

    def typed(self, wanted: Annotation) -> list[Assigned]:
        """The results whose bare type is `wanted`, in the order of the graph."""
        return [each for each in self._by_type.get(_type_key(wanted), ()) if bare(each.declared) == wanted]

    def __iter__(self) -> Iterator[Assigned]:
        return iter(self._order)


def _type_key(annotation: Annotation) -> int:
    """Equal types have equal keys; those few that cannot be hashed share one."""
    try:
        return hash(bare(annotation))
    except TypeError:
        return 0
