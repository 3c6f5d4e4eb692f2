"""The commonest turns in one piece: a saga begins, a step returned and the next one begins, the last one returned.

They are nine of ten turns of sagas that do well. `fold` and `decide` come to the very same events and the very
same state (`tests/core/test_straight.py` holds the two against each other on random sagas); here it is done without
asking what has to be asked in general, at a quarter of the cost. Whatever is not plainly of that kind (something is
due, or turning back, or waits, a FIRST_OF anywhere) is left to them: None.

Rules of this file: as `fold`'s; it decides nothing that `decide` would decide otherwise.
"""

from __future__ import annotations

from .events import ActionStarted, ActionSucceeded, Began, Completed, Event, Started
from .graph import ENDS
from .members import members
from .state import SagaState, Slot
from .transitions import SagaStatus, StepStatus

_G = members(SagaStatus)
_S = members(StepStatus)
_BEGAN, _COMPLETED = Began(), Completed()


def begin(state: SagaState, event: Started, now: int) -> list[Event] | None:
    """A new saga up to its first step; None when that is not a matter of course."""
    entry = state.graph.entry
    if not entry or state.started is not None or 0 < event.deadline <= now:
        return None
    state.started = event
    state.saga_id = event.saga_id
    state.input = event.input
    state.deadline = event.deadline
    state.status = _G.RUNNING
    slots = state.slots
    for sequence in entry[:-1]:
        slots[sequence] = Slot()
    index = entry[-1]
    state.active = 1
    return [event, _BEGAN, _begun(state, index)]


def go_on(state: SagaState, event: ActionSucceeded, now: int) -> list[Event] | None:
    """A step returned: what follows from it; None when that is not a matter of course."""
    index = event.node
    following = state.graph.following
    if index >= len(following):
        return None
    after = following[index]
    slot = state.slots[index]
    if (
        after == -1
        or slot is None
        or slot.status is not _S.RUNNING
        or state.status is not _G.RUNNING
        or state.agenda
        or state.due
        or state.stuck
        or state.back
        or state.paused
        or state.cancelling
        or state.deadline_passed
        or 0 < state.deadline <= now
        or state.failing is not None
    ):
        return None
    if after == ENDS:
        if state.active != 1 or state.skips:
            return None
        _succeeded(state, index, slot, event)
        state.active = 0
        state.status = _G.COMPLETED
        state.finished = True
        return [event, _COMPLETED]
    _succeeded(state, index, slot, event)
    node = state.nodes[after]
    parent = state.slots[node.parent]
    assert parent is not None, "a sequence is reached before its children"
    parent.cursor = node.position
    return [event, _begun(state, after)]


def _succeeded(state: SagaState, index: int, slot: Slot, event: ActionSucceeded) -> None:
    slot.status = _S.SUCCEEDED
    slot.result = event.result
    if slot.unknown or slot.deaths or slot.late is not None:
        slot.unknown = False
        slot.deaths = 0
        slot.late = None
    if state.nodes[index].pivot:
        state.committed = True


def _begun(state: SagaState, index: int) -> Event:
    slot = state.slots[index] = Slot()
    slot.status = _S.RUNNING
    slot.calls = 1
    slot.first_at = state.at
    if state.nodes[index].pivot:
        state.pivot = index
    return ActionStarted(index)
