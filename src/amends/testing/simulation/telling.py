"""What a journal tells: the marks that only it can hit, and a frame as a line of the trace.

Rules of this file: it looks and judges nothing; `invariants.py` judges.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from ...core import events as ev
from ...core.events import Event, Frame
from ...core.graph import Kind
from ...core.places import block_of
from ...core.state import SagaState
from ...core.transitions import CALLING, StepStatus
from .chance import Chance

if TYPE_CHECKING:
    from .invariants import Watched

_S = StepStatus
_MARKED: dict[type, str] = {
    ev.LateSucceeded: "late success settled a step",
    ev.ProbeFound: "probe found the effect",
    ev.ProbeRejected: "probe proved there is none",
    ev.AttemptAbandoned: "straggler abandoned",
    ev.DeadlinePassed: "deadline passed",
    ev.CancelRefused: "cancel during the pivot refused",
    ev.StepPassed: "best effort passed",
    ev.WaitTimedOut: "wait timed out",
    ev.FirstOfFailed: "first_of could not be undone",
    ev.Completed: "completed",
    ev.Compensated: "compensated",
    ev.Closed: "closed",
}


def mark_event(chance: Chance, watched: Watched, event: Event) -> None:
    """Hit the sometimes-assertions that this event, just folded, is."""
    state, mark = watched.state, chance.mark
    name = _MARKED.get(type(event))
    if name is not None:
        mark(name)
    index: int = getattr(event, "node", -1)
    if isinstance(event, (ev.StepParked, ev.StepOwed)) and event.reason in ("poison", "key_expired"):
        mark("key expired" if event.reason == "key_expired" else "poison")
        if state.nodes[index].kind in (Kind.EACH, Kind.CALL):
            mark("items or an input that raised")
    elif isinstance(event, ev.CompensationCut) and event.cause == "crash":
        watched.cut.add(index)
    elif isinstance(event, ev.CompensationSucceeded):
        if index in watched.cut:
            mark("compensation retried after a worker's death")
        if watched.proven.get(index) == "unknown":
            mark("unknown outcome undone")
        if "/" in state.path_of(index) and _within(state, index, Kind.CALL):
            mark("called saga undone")
        if _within(state, index, Kind.EACH):
            mark("items undone")
    elif isinstance(event, ev.ActionRejected) and state.slot(index).refused:
        mark("plain refusal proved nothing")
    elif isinstance(event, ev.AnomalyNoted):
        mark("late success noted as an anomaly")
    elif isinstance(event, ev.DeadlinePassed) and state.committed:
        mark("deadline after the pivot")
    elif isinstance(event, ev.SignalReceived) and event.name not in state.waits:
        mark("signal before its wait")
    elif isinstance(event, ev.FollowUpsEnded) and event.failed:
        mark("follow-up failed")
    elif isinstance(event, ev.CompensationStarted) and state.deadline and state.at > state.deadline:
        mark("deadline during compensation")
    elif isinstance(event, ev.TurnedBack):
        _turned_back(chance, state, event)
    elif isinstance(event, ev.ItemsListed) and not event.items:
        mark("each without items")
    elif isinstance(event, ev.AlternativeFailed) and _within(state, index, Kind.EACH):
        mark("first_of in an item failed")


def mark_before(chance: Chance, state: SagaState, event: Event) -> None:
    """Hit those that can be told only before the event is folded."""
    index: int = getattr(event, "node", -1)
    if isinstance(event, ev.AlternativeStarted) and event.position:
        child = state.nodes[index].children[state.slot(index).cursor] + index - state.nodes[index].index
        undone = any(state.status_of(below) is _S.COMPENSATED for below in state.subtree(child))
        chance.mark("alternative undone before the next" if undone else "next alternative tried")
    elif isinstance(event, ev.TurnedBack):
        if any(state.status_of(slot) is _S.UNDOING for slot in range(len(state.slots))):
            chance.mark("turned back while an alternative was undone")
        if any(state.status_of(slot) is _S.ACCEPTED for slot in range(len(state.slots))):
            chance.mark("accepted, then turned back")
    elif index >= 0 and state.slots[index] is not None:
        _accepted(chance, state, event, index, state.status_of(index))


def _accepted(chance: Chance, state: SagaState, event: Event, index: int, status: StepStatus) -> None:
    """What became of what was accepted."""
    asked = status is _S.POLLING or (status is _S.RUNNING and state.slot(index).poll_until > 0)
    undo_asked = status is _S.UNDO_POLLING or (status is _S.COMPENSATING and state.slot(index).poll_until > 0)
    mark = chance.mark
    if isinstance(event, ev.ActionAccepted):
        if _within(state, index, Kind.EACH):
            mark("accepted within an item")
        if state.nodes[index].pivot:
            mark("pivot accepted")
    elif isinstance(event, ev.ActionSucceeded) and asked:
        mark("accepted, then done")
    elif isinstance(event, ev.ActionRejected) and asked:
        mark("accepted, then refused")
    elif isinstance(event, ev.ActionUnknown) and event.cause == "poll":
        mark("accepted, then given up")
    elif isinstance(event, ev.PollPending) and event.error:
        mark("poll failed")
    elif isinstance(event, ev.PollCut) and event.cause == "crash":
        mark("crash during a poll")
    elif isinstance(event, ev.CompensationSucceeded) and undo_asked:
        mark("compensation accepted, then done")
    elif isinstance(event, ev.CompensationRefused) and undo_asked:
        mark("compensation accepted, then refused")
    elif isinstance(event, ev.StepOwed) and status is _S.UNDO_ACCEPTED:
        mark("compensation accepted, then given up")


def _turned_back(chance: Chance, state: SagaState, event: ev.TurnedBack) -> None:
    if event.cause == "cancelled" and state.pivot >= 0:
        chance.mark("cancel during the pivot granted")
    if event.node < 0:
        return
    if any(state.nodes[around].kind is Kind.FIRST_OF for around in state.around(event.node)):
        chance.mark("no alternative left")
    if event.node >= len(state.graph.nodes):
        block = block_of(state.blocks, event.node)
        mine = (event.node - block.first) // block.size
        for item in range(block.count):
            root = block.first + item * block.size
            if item != mine and any(state.status_of(below) in CALLING for below in state.subtree(root)):
                chance.mark("item failed with others running")
                break


def _within(state: SagaState, index: int, kind: Kind) -> bool:
    """Whether a node of this kind stands around the slot."""
    node = state.nodes[index]
    while node.parent >= 0:
        node = state.graph.nodes[node.parent]
        if node.kind is kind:
            return True
    return False


def shown(path_of: Callable[[int], str], frame: Frame) -> str:
    """A frame in one line; `path_of` gives the path of a slot."""
    words = []
    for event in frame.events:
        fields = [
            path_of(value) if name in ("node", "step") and value >= 0 else _plain(value)
            for name in event.__struct_fields__
            if (value := getattr(event, name)) not in ("", -1, ev.NOTHING)
        ]
        words.append(f"{type(event).__name__}({', '.join(fields[:3])})")
    return " ".join(words)


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return str(len(value))
    return bytes(value).decode() if isinstance(value, msgspec.Raw) else str(value)
