"""What a journal tells: the marks that only it can hit, and a frame as a line of the trace.

Rules of this file: it looks and judges nothing; `invariants.py` judges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ...core import events as ev
from ...core.events import Event, Frame
from ...core.graph import Graph
from .chance import Chance

if TYPE_CHECKING:
    from .invariants import Watched

_MARKED: dict[type, str] = {
    ev.LateSucceeded: "late success settled a step",
    ev.ProbeFound: "probe found the effect",
    ev.ProbeRejected: "probe proved there is none",
    ev.AttemptAbandoned: "straggler abandoned",
    ev.DeadlinePassed: "deadline passed",
    ev.CancelRefused: "cancel during the pivot refused",
    ev.StepPassed: "best effort passed",
    ev.WaitTimedOut: "wait timed out",
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
    elif isinstance(event, ev.CompensationCut) and event.cause == "crash":
        watched.cut.add(index)
    elif isinstance(event, ev.CompensationSucceeded):
        if index in watched.cut:
            mark("compensation retried after a worker's death")
        if watched.proven.get(index) == "unknown":
            mark("unknown outcome undone")
    elif isinstance(event, ev.ActionRejected) and state.slot(index).refused:
        mark("plain refusal proved nothing")
    elif isinstance(event, ev.AnomalyNoted):
        mark("late success noted as an anomaly")
    elif isinstance(event, ev.DeadlinePassed) and state.committed:
        mark("deadline after the pivot")
    elif isinstance(event, ev.TurnedBack) and event.cause == "cancelled" and state.pivot >= 0:
        mark("cancel during the pivot granted")
    elif isinstance(event, ev.SignalReceived) and not state.waits.get(event.name):
        mark("signal before its wait")
    elif isinstance(event, ev.FollowUpsEnded) and event.failed:
        mark("follow-up failed")
    elif isinstance(event, ev.CompensationStarted) and state.deadline and state.at > state.deadline:
        mark("deadline during compensation")


def shown(graph: Graph, frame: Frame) -> str:
    """A frame in one line."""
    words = []
    for event in frame.events:
        fields = [
            graph.nodes[value].path if name == "node" and value >= 0 else _plain(value)
            for name in event.__struct_fields__
            if (value := getattr(event, name)) not in ("", -1, ev.NOTHING)
        ]
        words.append(f"{type(event).__name__}({', '.join(fields[:3])})")
    return " ".join(words)


def _plain(value: Any) -> str:
    return bytes(value).decode() if isinstance(value, msgspec.Raw) else str(value)
