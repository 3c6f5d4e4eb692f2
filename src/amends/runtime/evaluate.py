"""The author's predicates, lengths, items and inputs, run at once when the kernel asks; an error in one is poison.

Rules of this file: what comes back is always an event, so that the answer is journalled and never
asked for again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

from msgspec import Raw

from ..core import events as ev
from ..core.calls import Binding, Call
from ..core.definition import Saga
from ..core.events import Event
from ..core.graph import Kind
from ..core.seen import Seen
from ..core.state import SagaState
from ..errors import UsageError
from ..limits import ITEMS_BYTES_MAX, ITEMS_MAX
from ..policies.durations import milliseconds
from .texts import error_text, unawaited


def evaluate(saga: Saga[Any, Any], state: SagaState, index: int, resources: Mapping[type, object], now: int) -> Event:
    """The event that answers `Evaluate(index)`."""
    node = state.nodes[index]
    asking = _Asking(saga.bindings[node.index], state, index, resources)
    try:
        match node.kind:
            case Kind.SLEEP:
                length = asking.call(asking.binding.duration)
                return ev.SleepStarted(index, now + milliseconds(length, what=f"the length of {node.path}"))
            case Kind.EACH:
                return _listed(asking)
            case Kind.CALL:
                return ev.CallEntered(index, _given(asking))
        for position, predicate in enumerate(asking.binding.predicates):
            if asking.holds(predicate):
                return ev.BranchChosen(index, position)
        return ev.BranchChosen(index, len(node.children) - 1)
    except Exception as error:
        return ev.StepParked(index, "poison", error_text(error))


class _Asking:
    """One question: the node's functions, and what they see."""

    def __init__(self, binding: Binding, state: SagaState, index: int, resources: Mapping[type, object]) -> None:
        self.binding = binding
        self.state = state
        self.index = index
        self._resources = resources

    def call(self, function: Call | None) -> Any:
        assert function is not None, "the graph asks only what the definition has"
        args, kwargs = function.arguments(Seen(self.state, self.index), None, None, self._resources)
        return function.function(*args, **kwargs)

    def holds(self, predicate: Call) -> bool:
        """A predicate's answer. Raises UsageError: AM2008."""
        answer = self.call(predicate)
        if isinstance(answer, Awaitable):  # and true, as every object is
            raise unawaited(answer, predicate.where)
        return bool(answer)


def _listed(asking: _Asking) -> Event:
    """The items of an EACH, each encoded as the item's type."""
    state, index, codec = asking.state, asking.index, asking.binding.given
    path = state.path_of(index)
    assert codec is not None, "an EACH has a codec for its items"
    items = asking.call(asking.binding.items)
    if isinstance(items, (str, bytes, Mapping)) or not isinstance(items, Iterable):
        raise UsageError(
            f"the items of {path}: {type(items).__name__} is no list of items; return a list", code="AM2007"
        )
    encoded: list[Raw] = []
    size = 0
    for item in items:
        encoded.append(codec.encode(item, what=f"item {len(encoded)} of {path}"))
        size += len(bytes(encoded[-1]))
        if len(encoded) > ITEMS_MAX or size > ITEMS_BYTES_MAX:
            raise UsageError(
                f"the items of {path}: more than {ITEMS_MAX} items, or {ITEMS_BYTES_MAX} bytes of them; start a saga "
                f"per part of them",
                code="AM2007",
            )
    body = state.nodes[index].children[0]
    return ev.ItemsListed(
        index, encoded, state.policy_of(index).limit, len(state.slots), body, state.graph.sizes[body]
    )  # fmt: skip


def _given(asking: _Asking) -> Raw:
    """The input of a CALL: what its function makes, or the input around it."""
    binding, state, index = asking.binding, asking.state, asking.index
    assert binding.given is not None, "a CALL has a codec for its input"
    if binding.mapper is not None:
        return binding.given.encode(asking.call(binding.mapper), what=f"the input of {state.path_of(index)}")
    return Seen(state, index).input(binding.around)
