"""Which command lines the state of a saga allows, written out so that they can be copied.

The verbs themselves are asked: each is tried on the folded state, and whoever raises `Conflict` is left
out. So what is offered here cannot drift from what the orchestrator accepts.

Rules of this file: pure; nothing is applied.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass

from ..core import verbs
from ..core.events import NOTHING, Event
from ..core.graph import Kind
from ..core.state import SagaState
from ..core.transitions import BACKING_OFF, STUCK, StepStatus
from ..errors import AmendsError, UsageError

_WHY = "--reason WHY"
_LINES_MAX = 100  # of an `each` of thousands nobody reads more, and each takes a look at all of the saga


@dataclass(frozen=True)
class Remedy:
    """One command line.

    Attributes:
        command: to be copied; words in capitals are for the reader to fill in.
        means: what it says or does.
        step: the step it is about, "" for the saga as a whole.
    """

    command: str
    means: str
    step: str = ""


def remedies(state: SagaState, *, now_ms: int, store: str = "") -> list[Remedy]:
    """What a person may do now about what is parked, backing off, paused or waiting for a signal.

    Parameters:
        store: the address to repeat in each line; "" when it need not be named.
    """
    place = f" --store {shlex.quote(store)}" if store else ""
    found: list[Remedy] = []
    for index, slot in enumerate(state.slots):
        if slot is None:
            continue
        if len(found) >= _LINES_MAX:
            break
        kind = state.nodes[index].kind
        if kind is Kind.STEP and (slot.status in STUCK or slot.status in BACKING_OFF):
            found += _of_step(state, index, place)
        if kind is Kind.WAIT and slot.status is StepStatus.WAITING:
            # In an `each` or a `call` its own path is meant; the plain name wakes the one that has waited longest.
            path = state.path_of(index)
            line = f"amends signal {state.saga_id} {shlex.quote(path)} JSON{place}"
            found.append(Remedy(line, "hand over what it waits for", path))
    waiting = found or state.stuck or state.paused or any(each in BACKING_OFF for each in _statuses(state))
    return found + _of_saga(state, now_ms, place) if waiting else []


def _statuses(state: SagaState) -> list[StepStatus]:
    return [slot.status for slot in state.slots if slot is not None]


def _of_step(state: SagaState, index: int, place: str) -> list[Remedy]:
    path = state.path_of(index)
    words = f"{state.saga_id} {shlex.quote(path)}"
    done, not_done, skipped = _MEANINGS[state.turned(index)]
    lines = []
    result = _allowed(lambda: verbs.resolve(state, index, "done", None, "?", ""))
    if result == "with a result":
        lines.append((f"resolve {words} done --result JSON", done))
    elif result:
        lines.append((f"resolve {words} done", done))
    if _allowed(lambda: verbs.resolve(state, index, "not_done", NOTHING, "?", "")):
        lines.append((f"resolve {words} not_done", not_done))
    if _allowed(lambda: verbs.skip(state, index, "?", "")):
        lines.append((f"skip {words}", skipped))
    return [Remedy(f"amends {line} {_WHY}{place}", means, path) for line, means in lines]


_MEANINGS = {
    True: (
        "its compensation was done by hand",
        "its action never took effect, so nothing is owed",
        "leave its effect as it is; the saga ends closed",
    ),
    False: (
        "its action took effect",
        "its action never took effect",
        "leave it out; the saga ends closed",
    ),
}  # by whether it is on its way back


def _of_saga(state: SagaState, now_ms: int, place: str) -> list[Remedy]:
    tries: tuple[tuple[str, str, Callable[[], list[Event]]], ...] = (
        ("retry", "call again what is parked or backing off", lambda: verbs.retry(state, "?", "", now_ms)),
        ("resume", "go on", lambda: verbs.resume(state, "?", "")),
        ("cancel", "turn back and undo what was done", lambda: verbs.cancel(state, "?", "")),
    )
    return [
        Remedy(f"amends {verb} {state.saga_id} {_WHY}{place}", means)
        for verb, means, attempt in tries
        if _allowed(attempt)
    ]


def _allowed(attempt: Callable[[], list[Event]]) -> str:
    """Whether the verb would do something, and whether it wants a result for that; "" when it refuses."""
    try:
        return "yes" if attempt() else ""
    except UsageError as error:
        return "with a result" if error.code == "AM2011" else ""
    except AmendsError:
        return ""
