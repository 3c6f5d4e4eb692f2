"""What is drawn of a definition: a tree of pieces, each of one of five forms.

    LEAF     a box
    SERIES   one after the other
    FORK     side by side, all of them
    CHOICE   one of several, each with the words that lead to it
    FRAME    a piece with a border and a title around it

Which form a node has is a table by kind. A kind that is not in it is a FRAME with its name, or a LEAF when
nothing is in it, so that a graph of a later release is drawn as far as it is known.

    AM2080  a stored structure is damaged, so it cannot be drawn

Rules of this file: pure. A stored structure is read by the names of its fields, not as the `Node` of today.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any

import msgspec

from ..core.definition import Saga
from ..core.graph import Kind, Node, structure_of
from ..errors import UsageError
from ..policies.durations import human


class Form(Enum):
    """How a piece is drawn."""

    LEAF = "leaf"
    SERIES = "series"
    FORK = "fork"
    CHOICE = "choice"
    FRAME = "frame"


@dataclass(frozen=True)
class Mark:
    """How a node stands in one saga. `tone`: one of TONES, for colour beside icon and words."""

    icon: str
    words: str
    tone: str = ""


TONES = ("good", "bad", "going", "unknown", "manual", "undone", "idle")


@dataclass(frozen=True)
class Piece:
    """One node, or a part of one.

    Attributes:
        index: the node's.
        label: its name.
        sign: an icon of its kind, "" for a plain step.
        notes: what it says of itself, in few words each.
        undo: the name of its compensation, "" for none.
        children: the pieces in it; `words` stands beside each of a CHOICE.
        mark: how it stands in the saga that is drawn.
        pivot: whether it is the point of no return.
    """

    form: Form
    index: int
    label: str = ""
    sign: str = ""
    notes: tuple[str, ...] = ()
    undo: str = ""
    children: tuple[Piece, ...] = ()
    words: tuple[str, ...] = ()
    mark: Mark | None = None
    pivot: bool = False


@dataclass(frozen=True)
class Plan:
    """A whole drawing: the graph, and what follows its two ends; `told` is whose saga the marks are of."""

    name: str
    version: int
    root: Piece
    after_completed: Piece | None = None
    after_compensated: Piece | None = None
    told: str = ""

    @property
    def title(self) -> str:
        """Its heading."""
        return f"{self.name} v{self.version}"


@dataclass(frozen=True)
class Names:
    """What only the functions of a definition know, by node index."""

    undo: Mapping[int, str] = field(default_factory=dict)
    when: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    length: Mapping[int, str] = field(default_factory=dict)


NO_NAMES = Names()
NO_MARKS: Mapping[str, Mark] = MappingProxyType({})


def names_of(saga: Saga[Any, Any]) -> Names:
    """The names of a definition's functions, and its lengths of time."""
    undo, when, length = {}, {}, {}
    for index, (binding, policy) in enumerate(zip(saga.bindings, saga.graph.policies, strict=True)):
        if binding.compensation is not None:
            undo[index] = _name(binding.compensation.function)
        if binding.predicates:
            when[index] = tuple(_name(each.function) for each in binding.predicates)
        if binding.duration is not None:
            length[index] = f"{_name(binding.duration.function)}()"
        elif policy.wait_ms or policy.sleep_ms:
            length[index] = human(policy.wait_ms or policy.sleep_ms)
    return Names(undo, when, length)


def _name(function: Callable[..., Any]) -> str:
    name = getattr(function, "__name__", type(function).__name__)
    return "a condition" if name == "<lambda>" else str(name)


def plan(
    of: Saga[Any, Any] | bytes, *, names: Names | None = None, marks: Mapping[str, Mark] = NO_MARKS, told: str = ""
) -> Plan:
    """What is to be drawn of a definition; `text`, `mermaid` and `svg` draw it.

    Parameters:
        of: a definition, or the structure that a store keeps of one.
        names: of its functions; those of the definition itself when one is given.
        marks: how nodes stand in one saga, by path.
        told: what is said of that saga in the heading.

    Raises:
        UsageError: the structure is damaged (AM2080).
    """
    if isinstance(of, Saga):
        return _Planning(structure_of(of.graph), names or names_of(of), marks).plan(told)
    return _Planning(of, names or NO_NAMES, marks).plan(told)


# --- nodes to pieces -----------------------------------------------------------------------------


class _Planning:
    """One stored structure on its way to a plan."""

    def __init__(self, stored: bytes, names: Names, marks: Mapping[str, Mark]) -> None:
        try:
            self.structure = msgspec.json.decode(stored)
            self.nodes = [_Read(row) for row in self.structure["nodes"]]
            self.name, self.version = str(self.structure["name"]), int(self.structure["version"])
            self.root = int(self.structure["root"])
            self.expires = {int(at): int(length) for at, length in self.structure.get("expires", ())}
            self._check()
        except (msgspec.DecodeError, ValueError, TypeError, KeyError, IndexError) as error:
            raise UsageError(f"the stored structure cannot be drawn: {error!r}", code="AM2080") from error
        self.names = names
        self.marks = marks

    def _check(self) -> None:
        """That it is a tree: every child comes after its parent."""
        for at, node in enumerate(self.nodes):
            if not all(isinstance(child, int) and at < child < len(self.nodes) for child in node.children):
                raise ValueError(f"node {at} has children {node.children}")
        for at in (self.root, self.after("after_completed"), self.after("after_compensated")):
            if at >= len(self.nodes):
                raise ValueError(f"there is no node {at}")

    def after(self, name: str) -> int:
        """The root of the follow-up steps; -1 for none."""
        return int(self.structure.get(name, -1))

    def plan(self, told: str) -> Plan:
        """All of it."""
        completed, compensated = self.after("after_completed"), self.after("after_compensated")
        return Plan(
            self.name,
            self.version,
            self.piece(self.root),
            self.piece(completed) if completed >= 0 else None,
            self.piece(compensated) if compensated >= 0 else None,
            told,
        )

    def piece(self, index: int) -> Piece:
        """The piece of a node, with all that is in it."""
        node = self.nodes[index]
        draw = _BY_KIND.get(node.kind)
        return draw(self, index, node) if draw is not None else _unknown(self, index, node)

    def children(self, node: _Read) -> tuple[Piece, ...]:
        """The pieces of a node's children."""
        return tuple(self.piece(child) for child in node.children)

    def mark(self, node: _Read) -> Mark | None:
        """How the node stands."""
        return self.marks.get(node.path)


class _Read:
    """One stored node, by the names of its fields: a field that it does not have yet is at its default."""

    def __init__(self, row: list[Any]) -> None:
        self._fields = dict(zip(Node.__struct_fields__, row, strict=False))
        self.kind: int = self._fields["kind"]
        self.path: str = str(self._fields["path"])
        self.children: list[int] = self._fields.get("children", [])

    def __getattr__(self, name: str) -> Any:
        return self._fields.get(name)


_NOTES = (
    ("pivot", "pivot"), ("retriable", "retriable"), ("read_only", "read only"), ("best_effort", "best effort"),
    ("probe", "probe"),
)  # fmt: skip


def _step(planning: _Planning, index: int, node: _Read) -> Piece:
    notes = [words for flag, words in _NOTES if getattr(node, flag)]
    if node.on_unknown not in (None, "undo"):
        notes.append(f"unknown: {node.on_unknown}")
    if index in planning.expires:
        notes.append(f"lapses after {human(planning.expires[index])}")
    undo = planning.names.undo.get(index, "undo") if node.compensation else ""
    sign = "◆" if node.pivot else ""
    return Piece(
        Form.LEAF, index, node.path, sign, tuple(notes), undo, mark=planning.mark(node), pivot=bool(node.pivot)
    )  # fmt: skip


def _sequence(planning: _Planning, index: int, node: _Read) -> Piece:
    children: list[Piece] = []
    for child in planning.children(node):  # a sequence in a sequence is one
        children += child.children if child.form is Form.SERIES else [child]
    return children[0] if len(children) == 1 else Piece(Form.SERIES, index, children=tuple(children))


def _parallel(planning: _Planning, index: int, node: _Read) -> Piece:
    return Piece(Form.FORK, index, "parallel", children=planning.children(node), mark=planning.mark(node))


def _choose(planning: _Planning, index: int, node: _Read) -> Piece:
    children = planning.children(node)
    known = planning.names.when.get(index, ())
    known = known if len(known) == len(children) - 1 else tuple(f"condition {at}" for at in range(1, len(children)))
    return Piece(
        Form.CHOICE, index, "choose", children=children, words=(*known, "otherwise"), mark=planning.mark(node)
    )  # fmt: skip


def _wait(planning: _Planning, index: int, node: _Read) -> Piece:
    length = planning.names.length.get(index, "")
    notes = ["signal"] if node.signal in (None, "", node.path) else [f"signal {node.signal}"]
    if length:
        notes.append(f"at most {length}")
    leaf = Piece(Form.LEAF, index, node.path, "◷", tuple(notes), mark=planning.mark(node))
    if not node.children:
        return leaf
    late = Piece(
        Form.CHOICE, index, "in time?", children=(Piece(Form.SERIES, index), *planning.children(node)),
        words=("signal", "timeout"),
    )  # fmt: skip
    return Piece(Form.SERIES, index, children=(leaf, late))


def _sleep(planning: _Planning, index: int, node: _Read) -> Piece:
    length = planning.names.length.get(index, "computed" if node.computed else "")
    return Piece(Form.LEAF, index, "sleep", "☾", (length,) if length else (), mark=planning.mark(node))


def _of(node: _Read) -> str:
    """Its name, unless that is a made one such as `each#6`."""
    return "" if "#" in node.path else f" of {node.path}"


def _each(planning: _Planning, index: int, node: _Read) -> Piece:
    limit = f", {node.limit} at a time" if node.limit else ""
    return Piece(
        Form.FRAME, index, f"each item{_of(node)}{limit}", "≡", children=planning.children(node),
        mark=planning.mark(node),
    )  # fmt: skip


def _first_of(planning: _Planning, index: int, node: _Read) -> Piece:
    children = planning.children(node)
    words = ("first", *("or else" for _ in children[1:]))
    name = node.path if _of(node) else "first of"
    return Piece(Form.CHOICE, index, name, children=children, words=words, mark=planning.mark(node))


def _call(planning: _Planning, index: int, node: _Read) -> Piece:
    name = f"call {node.path}" if _of(node) else "call"
    return Piece(Form.FRAME, index, name, "↳", children=planning.children(node), mark=planning.mark(node))


def _unknown(planning: _Planning, index: int, node: _Read) -> Piece:
    form = Form.FRAME if node.children else Form.LEAF
    return Piece(
        form, index, node.path, "·", (f"kind {node.kind}",), children=planning.children(node), mark=planning.mark(node)
    )


_BY_KIND: dict[int, Callable[[_Planning, int, _Read], Piece]] = {
    Kind.STEP: _step,
    Kind.SEQUENCE: _sequence,
    Kind.PARALLEL: _parallel,
    Kind.CHOOSE: _choose,
    Kind.WAIT: _wait,
    Kind.SLEEP: _sleep,
    Kind.EACH: _each,
    Kind.FIRST_OF: _first_of,
    Kind.CALL: _call,
}
