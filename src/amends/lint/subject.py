"""`Subject`: one saga as the rules look at it: its steps in order, their functions, and what may follow what.

Rules of this file: it answers questions of fact and judges nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..core.calls import Argument, Binding, Call, Source as From
from ..core.definition import Saga
from ..core.graph import Graph, Kind, Node, Policy
from ..core.steps import Step
from .findings import Place
from .source import Files, Source, source_of


@dataclass(frozen=True)
class Function:
    """A function of the saga: a step's action, compensation or probe, or a predicate and the like.

    `role` is "action", "compensation", "probe", or what else it is: "predicate", "items", "input", "duration".
    """

    role: str
    call: Call
    source: Source

    @cached_property
    def context(self) -> str:
        """The name of the parameter that takes the Context, "" for none."""
        return next((each.name for each in self.call.wired if each.source is From.CONTEXT), "")

    @cached_property
    def has_key(self) -> bool:
        """Whether it uses a key of the Context, or hands the Context on to who may."""
        if not self.context:
            return False
        handed_on = any(
            isinstance(node, ast.Name)
            and node.id == self.context
            and not isinstance(self.source.parents.get(node), ast.Attribute)
            for node in self.source.body
        )
        return handed_on or self.source.mentions(self.context, "idempotency_key", "action_key", "headers")

    @property
    def own_result(self) -> Argument | None:
        """The parameter that takes the step's own result, for a compensation."""
        return next((each for each in self.call.wired if each.source is From.OWN_RESULT), None)


@dataclass(frozen=True)
class Act:
    """A step where it stands in the graph."""

    step: Step[..., Any, Any]
    node: Node
    policy: Policy
    binding: Binding
    atomic: bool
    action: Function
    compensation: Function | None
    probe: Function | None

    @property
    def path(self) -> str:
        """Its path."""
        return self.node.path

    @property
    def places(self) -> tuple[Place, ...]:
        """Those of its action."""
        return self.action.source.places

    @property
    def functions(self) -> Iterator[Function]:
        """Its action, and its compensation and probe where it has them."""
        yield from (each for each in (self.action, self.compensation, self.probe) if each is not None)

    @property
    def has_effect(self) -> bool:
        """Whether it may change anything that would have to be undone."""
        return not (self.node.read_only or self.node.follow_up)

    @property
    def kept(self) -> bool:
        """Whether its effect would stay, and a person be asked, when the saga turned back past it."""
        node = self.node
        return self.has_effect and not (node.compensation or node.pivot or node.retriable or node.best_effort)

    @property
    def may_fail(self) -> bool:
        """Whether it may turn the saga back."""
        return not (self.node.follow_up or self.node.best_effort or self.node.retriable)


class Subject:
    """One saga, and all that rules ask of it."""

    def __init__(self, saga: Saga[Any, Any], files: Files) -> None:
        self.saga = saga
        self.files = files
        self.graph: Graph = saga.graph

    @cached_property
    def acts(self) -> tuple[Act, ...]:
        """Its steps in the order of the graph, follow-ups last."""
        return tuple(self._act(node) for node in self.graph.nodes if node.kind is Kind.STEP)

    @cached_property
    def deciders(self) -> tuple[Function, ...]:
        """The functions that are called between attempts: predicates, items, inputs and durations."""
        found = []
        for binding in self.saga.bindings:
            found += [("predicate", each) for each in binding.predicates]
            named = (("items", binding.items), ("input", binding.mapper), ("duration", binding.duration))
            found += [(role, each) for role, each in named if each is not None]
        return tuple(self._function(role, each) for role, each in found)

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Where `Saga(...)` is called."""
        file, line = self.saga.place
        return (Place(file, line),)

    def wait_places(self, node: Node) -> tuple[Place, ...]:
        """Where the `wait_for` of a node stands, when it can be told; else where the saga is built."""
        file, _ = self.saga.place
        found = [
            Place(file, each.lineno, each.col_offset + 1)
            for each in self.files.of_kind(file, ast.Call)
            if _last(each.func) == "wait_for"
            and each.args
            and isinstance(each.args[0], ast.Constant)
            and each.args[0].value == node.signal
        ]
        return (found[0], *self.places) if len(found) == 1 else self.places

    def following(self, act: Act) -> list[Node]:
        """The leaves that may come after a step, or run beside it, on a path that passes it; none for a follow-up."""
        if act.node.follow_up:
            return []
        return [
            other
            for other in self.graph.nodes
            if other.kind in (Kind.STEP, Kind.WAIT, Kind.SLEEP)
            and other.index != act.node.index
            and not other.follow_up
            and self._may_follow(act.node, other)
        ]

    def around(self, node: Node, kind: Kind) -> Node | None:
        """The nearest container of a kind around a node."""
        while node.parent >= 0:
            node = self.graph.nodes[node.parent]
            if node.kind is kind:
                return node
        return None

    def can_turn_back(self, node: Node) -> bool:
        """Whether a leaf may turn the saga back by itself."""
        if node.kind is Kind.STEP:
            return not (node.best_effort or node.retriable)
        bounded = self.graph.policies[node.index].wait_ms or self.graph.deadline_ms
        return node.kind is Kind.WAIT and not node.children and bool(bounded)

    def _may_follow(self, first: Node, second: Node) -> bool:
        """By their nearest common container: later in a sequence, beside each other in a parallel."""
        ours, theirs = self._line(first), self._line(second)
        common = next(index for index in ours if index in theirs)
        if self.graph.nodes[common].kind in (Kind.CHOOSE, Kind.FIRST_OF):
            return False
        if self.graph.nodes[common].kind is Kind.PARALLEL:
            return True
        return second.index > first.index

    def _line(self, node: Node) -> list[int]:
        line = [node.index]
        while node.parent >= 0:
            line.append(node.parent)
            node = self.graph.nodes[node.parent]
        return line

    def _act(self, node: Node) -> Act:
        binding = self.saga.bindings[node.index]
        assert binding.action is not None
        return Act(
            self.saga.steps[node.path],
            node,
            self.graph.policies[node.index],
            binding,
            node.index in self.graph.atomic,
            self._function("action", binding.action),
            self._function("compensation", binding.compensation) if binding.compensation else None,
            self._function("probe", binding.probe) if binding.probe else None,
        )

    def _function(self, role: str, call: Call) -> Function:
        types = {each.name: each.resource for each in call.wired if each.resource is not None}
        return Function(role, call, source_of(self.files, call.function, types))


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
