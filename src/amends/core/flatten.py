"""What an author wrote, as a flat list: every node with its index, path, parent and place.

Indices are given in preorder, so a node's index is above its parent's and its earlier siblings'.
A sequence inside a sequence is spliced into it; a SEQUENCE node is made only where a branch needs
one. Follow-ups come last, below SEQUENCEs of their own.

Paths: a step's or wait's is its name, behind those of the calls and named first_ofs it stands in. What
has no name gets one with a '#', which no name can hold. Inside a `call` is a *scope*: names are unique
within one, and functions see the names of theirs only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import DefinitionError
from ..limits import DEPTH_MAX, NODES_MAX, PATH_CHARS_MAX
from .graph import Kind
from .nodes import AnyNode, AnyStep, Called, Choose, Each, FirstOf, Parallel, Sleep, Wait, When
from .steps import Step

Source = AnyStep | Wait[Any] | Sleep | Choose | Parallel | Each | Called | FirstOf | None


@dataclass(slots=True)
class Draft:
    """A node on its way into the graph; `source` is what the author wrote, None for a SEQUENCE.

    `name` is its path within its scope, "" for none; `scope` the index of the CALL around it, or -1.
    """

    index: int
    kind: Kind
    path: str
    parent: int
    position: int
    source: Source
    follow_up: bool
    name: str
    scope: int
    children: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Tree:
    """The drafts of one saga.

    `names` leads from a node's scope and name to its index, `results` from a CALL to the node whose
    value is the called saga's result.
    """

    saga: str
    drafts: tuple[Draft, ...]
    names: dict[tuple[int, str], int]
    results: dict[int, int]
    root: int
    after_completed: int
    after_compensated: int


def flatten(saga: str, nodes: Sequence[AnyNode], on_completed: object, on_compensated: object) -> Tree:
    """The tree of a saga's nodes and follow-ups.

    Raises:
        DefinitionError: AM1103 to AM1107, AM1111, AM1114, AM1306.
    """
    flattening = _Flattening(saga)
    root = flattening.sequence(nodes, parent=-1, depth=0)
    if not flattening.drafts[root].children:
        raise DefinitionError(f'saga "{saga}" has no node; give it at least one step', code="AM1103")
    completed = flattening.follow_ups(on_completed, "on_completed")
    compensated = flattening.follow_ups(on_compensated, "on_compensated")
    return Tree(saga, tuple(flattening.drafts), flattening.names, flattening.results, root, completed, compensated)


class _Flattening:
    def __init__(self, saga: str) -> None:
        self.saga = saga
        self.drafts: list[Draft] = []
        self.names: dict[tuple[int, str], int] = {}
        self.paths: dict[str, int] = {}
        self.results: dict[int, int] = {}
        self.follow_up = False
        self.scope = -1
        self.prefix = ""

    def sequence(self, nodes: Iterable[AnyNode], parent: int, depth: int) -> int:
        index = self._add(Kind.SEQUENCE, "", parent, None)
        self._splice(nodes, index, depth)
        return index

    def follow_ups(self, nodes: object, what: str) -> int:
        steps = [nodes] if isinstance(nodes, Step) else nodes
        if not isinstance(steps, (tuple, list)):
            raise DefinitionError(f'saga "{self.saga}": {what}= takes a list of steps, not {nodes!r}', code="AM1111")
        for step in steps:
            if not isinstance(step, Step):
                raise DefinitionError(
                    f'saga "{self.saga}": {what}= takes steps only, not {_shown(step)}; '
                    f"put branches and waits into a saga that a follow-up step starts",
                    code="AM1111",
                )
            if step.options.pivot:
                raise DefinitionError(
                    f'saga "{self.saga}": {what}= holds step "{step.name}", a pivot; after the end there is nothing '
                    f"to turn back from, so drop pivot=True",
                    code="AM1306",
                )
        if not steps:
            return -1
        self.follow_up = True
        return self.sequence(steps, parent=-1, depth=0)

    def _splice(self, nodes: Iterable[AnyNode], parent: int, depth: int) -> None:
        if depth > DEPTH_MAX:
            raise DefinitionError(
                f'saga "{self.saga}": nodes nest more than {DEPTH_MAX} deep; flatten it', code="AM1107"
            )
        for node in nodes:
            if isinstance(node, (tuple, list)):
                self._splice(node, parent, depth + 1)
            else:
                self._node(node, parent, depth)

    def _node(self, node: AnyNode, parent: int, depth: int) -> None:
        match node:
            case Step():
                self._add(Kind.STEP, node.name, parent, node)
            case Parallel():
                index = self._add(Kind.PARALLEL, "", parent, node)
                for branch in node.nodes:
                    self._branch(branch, index, depth + 1)
            case Choose():
                index = self._add(Kind.CHOOSE, "", parent, node)
                for alternative in node.alternatives:
                    self.sequence(alternative.nodes, index, depth + 1)
                self.sequence((node.otherwise,), index, depth + 1)
            case Wait():
                index = self._add(Kind.WAIT, node.name, parent, node)
                if node.on_timeout is not None:
                    self.sequence((node.on_timeout,), index, depth + 1)
            case Sleep():
                self._add(Kind.SLEEP, "", parent, node)
            case Each():
                index = self._add(Kind.EACH, "", parent, node)
                self._branch(node.nodes, index, depth + 1)
            case FirstOf():
                index = self._add(Kind.FIRST_OF, node.name, parent, node)
                around = self.prefix
                self.prefix += f"{node.name}/" if node.name else ""
                for given in node.nodes:
                    self._branch(given, index, depth + 1)
                self.prefix = around
            case Called():
                self._called(node, parent, depth)
            case _:
                raise DefinitionError(
                    f'saga "{self.saga}": {_shown(node)} is no node; give steps, parallel(), choose(), each(), call(), '
                    f"first_of(), wait_for(), sleep(), or a tuple of these",
                    code="AM1104",
                )

    def _called(self, node: Called, parent: int, depth: int) -> None:
        index = self._add(Kind.CALL, node.name, parent, node)
        around = self.scope, self.prefix
        self.scope, self.prefix = index, f"{self.prefix}{node.name}/"
        root = self.sequence(node.saga.written.nodes, index, depth + 1)
        explicit = node.saga.written.result
        giver = last_value(self.drafts, root) if explicit is None else self.names[index, explicit.name]
        if giver >= 0:
            self.results[index] = giver
        self.scope, self.prefix = around

    def _branch(self, node: AnyNode, parent: int, depth: int) -> None:
        """One branch of a container: a SEQUENCE only when it is more than one node."""
        while isinstance(node, (tuple, list)) and len(node) == 1:
            node = node[0]
        if not isinstance(node, (tuple, list)):
            self._splice((node,), parent, depth)
        elif node:
            self.sequence(node, parent, depth)
        else:
            what = self.drafts[parent].kind.name.lower()
            raise DefinitionError(f'saga "{self.saga}": a branch of {what}() is empty; drop it', code="AM1103")

    def _add(self, kind: Kind, name: str, parent: int, source: Source) -> int:
        index = len(self.drafts)
        if index >= NODES_MAX:
            raise DefinitionError(f'saga "{self.saga}" has more than {NODES_MAX} nodes; split it', code="AM1107")
        path = f"{self.prefix}{name or f'{kind.name.lower()}#{index}'}"
        if name:
            self._check_path(name, path, source)
            self.names[self.scope, name] = index
            self.paths[path] = index
        position = 0
        if parent >= 0:
            siblings = self.drafts[parent].children
            position = len(siblings)
            siblings.append(index)
        self.drafts.append(Draft(index, kind, path, parent, position, source, self.follow_up, name, self.scope))
        return index

    def _check_path(self, name: str, path: str, source: Source) -> None:
        if len(path) > PATH_CHARS_MAX:
            raise DefinitionError(
                f'saga "{self.saga}": the path "{path}" has {len(path)} characters; it is part of idempotency keys and '
                f"may have {PATH_CHARS_MAX}: shorten a name on the way",
                code="AM1114",
            )
        taken = self.names.get((self.scope, name), self.paths.get(path))
        if taken is None:
            return
        if self.drafts[taken].source is source and isinstance(source, Step):
            raise DefinitionError(
                f'saga "{self.saga}": step "{name}" stands in it twice; write {name}.named("other") for the second',
                code="AM1106",
            )
        raise DefinitionError(
            f'saga "{self.saga}": two nodes have the path "{path}"; paths are unique, and so are names within a saga, '
            f'follow-ups included: rename one (name=, .named("other"))',
            code="AM1105",
        )


def last_value(drafts: Sequence[Draft], root: int) -> int:
    """The last node of a SEQUENCE, or -1 when it has no value."""
    last = drafts[drafts[root].children[-1]]
    return -1 if last.kind in (Kind.PARALLEL, Kind.SLEEP) else last.index


def _shown(node: object) -> str:
    if isinstance(node, When):
        return "a when(...) outside choose(...)"
    if callable(node) and hasattr(node, "__name__"):
        return f"the function {node.__name__} (is it missing @step?)"
    return repr(node)
