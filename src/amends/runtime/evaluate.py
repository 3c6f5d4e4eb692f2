"""The author's predicates and lengths, run at once when the kernel asks; an error in one is poison.

Rules of this file: what comes back is always an event, so that the answer is journalled and never
asked for again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core import events as ev
from ..core.definition import Saga
from ..core.events import Event
from ..core.graph import Kind
from ..core.state import SagaState
from ..policies.durations import milliseconds
from .texts import error_text


def evaluate(saga: Saga[Any, Any], state: SagaState, index: int, resources: Mapping[type, object], now: int) -> Event:
    """The event that answers `Evaluate(index)`."""
    node = state.nodes[index]
    try:
        if node.kind is Kind.SLEEP:
            length = _call(saga.bindings[index].duration, state, resources)
            return ev.SleepStarted(index, now + milliseconds(length, what=f"the length of {node.path}"))
        for position, predicate in enumerate(saga.bindings[index].predicates):
            if _call(predicate, state, resources):
                return ev.BranchChosen(index, position)
        return ev.BranchChosen(index, len(node.children) - 1)
    except Exception as error:
        return ev.StepParked(index, "poison", error_text(error))


def _call(function: Any, state: SagaState, resources: Mapping[type, object]) -> Any:
    args, kwargs = function.arguments(state.input, state.result_of, None, None, resources)
    return function.function(*args, **kwargs)
