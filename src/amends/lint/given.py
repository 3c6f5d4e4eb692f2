"""Where the arguments of a compensation come from, in words, for one slot of a driven saga.

Rules of this file: sources are those of the wiring; whether there is a value is asked of the state, through the same
view (`Seen`) that the runtime decodes from. Values are the labels of `driving`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ..core.calls import Argument, Source
from ..core.definition import Saga
from ..core.seen import Seen
from ..core.state import SagaState


@dataclass(frozen=True)
class Given:
    """One argument: the parameter's name, and where its value comes from."""

    name: str
    source: str


def given_to(saga: Saga[Any, Any], state: SagaState, slot: int) -> tuple[Given, ...]:
    """The arguments of the compensation at a slot, as it would be called now."""
    call = saga.bindings[state.nodes[slot].index].compensation
    assert call is not None, "the kernel calls only what there is"
    return tuple(Given(each.name, _source(saga, state, slot, each)) for each in call.wired)


def _source(saga: Saga[Any, Any], state: SagaState, slot: int, argument: Argument) -> str:
    seen = Seen(state, slot)
    match argument.source:
        case Source.CONTEXT:
            return "context"
        case Source.INPUT:
            return _input(saga, argument.node)
        case Source.ITEM:
            return f"item [{bytes(seen.item(argument.node)).decode()}]"
        case Source.OWN_RESULT:
            return "its result" if state.slot(slot).result is not None else "None (outcome unknown)"
        case Source.RESULT:
            return _result(saga, seen, argument.node)
        case Source.RESOURCE:
            return f"resource {argument.resource.__name__}" if argument.resource else "resource"
        case _:
            return "refusals so far"


def _input(saga: Saga[Any, Any], call: int) -> str:
    """The saga's input, or what a called saga has in its place; a call without a function of its own hands it on."""
    while call >= 0:
        binding = saga.bindings[call]
        if binding.mapper is not None:
            return f"input of {saga.graph.nodes[call].path}"
        call = binding.around
    return "input"


def _result(saga: Saga[Any, Any], seen: Seen, node: int) -> str:
    raw = seen.result(node)
    if raw is None:
        return f"None (no {saga.graph.nodes[node].path})"
    label = json.loads(bytes(raw))
    if isinstance(label, list):
        return f"results of {', '.join(str(each) for each in label)}"
    return f"result of {label}"
