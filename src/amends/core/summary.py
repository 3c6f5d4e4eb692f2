"""The fold behind lists: one saga's line, from its frames alone.

Rules of this file: pure; needs no graph (paths come as an argument), so that a process without the
definitions can list every saga; equal for any way of cutting the journal into runs. A summary that
was handed out is never changed: every frame makes a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from . import events as e


class Summary(Struct, kw_only=True):
    """One saga's line in a list; `fold_summary` makes it. Times in milliseconds, 0 for not yet.

    `holds` is what keeps the saga waiting, per node; `held` what keeps the worker from moving it at
    all. `seq` is the last frame folded in.
    """

    saga_id: str
    name: str
    version: int
    fingerprint: str
    status: str = "scheduled"
    step: str = ""
    cause: str = ""
    key: str = ""
    correlation: dict[str, str] = {}
    started: int = 0
    updated: int = 0
    ended: int = 0
    deadline: int = 0
    seq: int = 0
    paused: bool = False
    anomalous: bool = False
    followup_failed: bool = False
    turned_back: bool = False
    holds: dict[int, str] = {}
    held: str = ""


HOLDS = ("version", "paused", "poison", "manual", "retry", "signal", "timer")
"""Every reason a saga can be on hold for, the one that is shown first."""

_MOVING = frozenset({"retry", "signal", "timer"})

_HOLD_OF_EVENT: dict[type[e.Event], str] = {
    e.SleepStarted: "timer",
    e.WaitStarted: "signal",
    e.RetryScheduled: "retry",
    e.CompensationRetryScheduled: "retry",
    e.ProbeRetryScheduled: "retry",
    e.StepParked: "manual",
    e.StepOwed: "manual",
}
_TOUCHING: frozenset[type[e.Event]] = frozenset(
    {e.ActionStarted, e.CompensationStarted, e.ProbeStarted, e.WaitStarted, e.SleepStarted, e.StepParked, e.StepOwed}
)
# These speak of a node without moving it on, so its hold stays.
_STILL: frozenset[type[e.Event]] = frozenset({e.AnomalyNoted, e.AttemptAbandoned, e.TurnedBack})


def hold_of(summary: Summary) -> str:
    """Why the saga waits, one of HOLDS; "" when nothing holds it or it has ended."""
    if summary.ended:
        return ""
    found = set(summary.holds.values())
    found.add(summary.held)
    if summary.paused:
        found.add("paused")
    return next((hold for hold in HOLDS if hold in found), "")


def fold_summary(summary: Summary | None, saga_id: str, frame: e.Frame, seq: int, paths: Sequence[str]) -> Summary:
    """The summary after one more frame.

    Parameters:
        summary: after frame `seq - 1`; None before frame 1.
        frame: the journal's frame `seq`.
        paths: the path of each node of the saga's graph; a node beyond its end is shown as `#index`.

    Raises:
        ValueError: frame 1 does not begin with `Started`.
    """
    events = frame.events
    if summary is None:
        if not events or type(events[0]) is not e.Started:
            raise ValueError(f"the journal of {saga_id} does not begin with its start")
        new = _begun(saga_id, events[0], frame.at)
    else:
        new = replace(summary, holds=dict(summary.holds))
    new.updated, new.seq = frame.at, seq
    for event in events:
        kind = type(event)
        node = getattr(event, "node", -1)
        if node >= 0 and kind not in _STILL:
            hold = _HOLD_OF_EVENT.get(kind)
            if hold is None:
                new.holds.pop(node, None)
            else:
                new.holds[node] = "poison" if getattr(event, "reason", "") == "poison" else hold
            if kind in _TOUCHING:
                new.step = _path(paths, node)
        special = _SPECIAL.get(kind)
        if special is not None:
            special(new, event, frame.at, paths)
    return new


def fold_undecodable(summary: Summary | None, saga_id: str, seq: int, why: str) -> Summary:
    """The summary after a frame that this release cannot read: on hold as poison, and listed all the same."""
    if summary is None:
        return Summary(saga_id=saga_id, name="", version=0, fingerprint="", cause=_line(why), seq=seq, held="poison")
    return replace(summary, cause=summary.cause or _line(why), seq=seq, held="poison")


def _begun(saga_id: str, event: e.Started, at: int) -> Summary:
    return Summary(
        saga_id=saga_id,
        name=event.name,
        version=event.version,
        fingerprint=event.fingerprint,
        key=event.key,
        correlation=event.correlation,
        started=at,
        deadline=event.deadline,
    )


def _path(paths: Sequence[str], node: int) -> str:
    return paths[node] if node < len(paths) else f"#{node}"


def _line(text: str) -> str:
    return " ".join(text.split())


def _cause(head: str, tail: str) -> str:
    return f"{head}: {_line(tail)}" if tail.strip() else head


def _status(status: str) -> Callable[[Summary, Any, int, Sequence[str]], None]:
    def change(summary: Summary, event: Any, at: int, paths: Sequence[str]) -> None:
        summary.status = status

    return change


def _end(status: str) -> Callable[[Summary, Any, int, Sequence[str]], None]:
    def change(summary: Summary, event: Any, at: int, paths: Sequence[str]) -> None:
        summary.status, summary.ended, summary.holds = status, at, {}
        if status == "completed":
            summary.cause = ""  # a cause says why a saga did not succeed; what was parked on the way is history

    return change


def _flag(name: str, value: bool | str) -> Callable[[Summary, Any, int, Sequence[str]], None]:
    def change(summary: Summary, event: Any, at: int, paths: Sequence[str]) -> None:
        setattr(summary, name, value)

    return change


def _turned_back(summary: Summary, event: e.TurnedBack, at: int, paths: Sequence[str]) -> None:
    head = f"{_path(paths, event.node)} {event.cause}" if event.node >= 0 else event.cause
    if not summary.turned_back:
        summary.cause = _cause(head, event.message)
    summary.status, summary.turned_back = "compensating", True
    summary.holds = {node: hold for node, hold in summary.holds.items() if hold not in _MOVING}


def _reactivated(summary: Summary, event: e.Reactivated, at: int, paths: Sequence[str]) -> None:
    summary.status = "compensating" if summary.turned_back else "running"


def _requires_manual(summary: Summary, event: e.RequiresManual, at: int, paths: Sequence[str]) -> None:
    summary.status = "requires_manual"
    for node, hold in sorted(summary.holds.items()):
        if hold in ("manual", "poison"):
            summary.step = _path(paths, node)  # what a person must look at, not what was called last
            break


def _parked(summary: Summary, event: e.StepParked, at: int, paths: Sequence[str]) -> None:
    if not summary.turned_back and not summary.cause:
        head = f"{_path(paths, event.node)} parked: {event.reason}"
        summary.cause = _cause(head, event.message) if event.reason == "poison" else head


def _held(summary: Summary, event: e.Held, at: int, paths: Sequence[str]) -> None:
    summary.held = event.reason


def _after(summary: Summary, event: e.FollowUpsEnded, at: int, paths: Sequence[str]) -> None:
    summary.followup_failed = event.failed


def _anomaly(summary: Summary, event: e.AnomalyNoted, at: int, paths: Sequence[str]) -> None:
    summary.anomalous = summary.anomalous or event.after_undo


def _retried(summary: Summary, event: e.RetryRequested, at: int, paths: Sequence[str]) -> None:
    summary.deadline = event.deadline or summary.deadline


_SPECIAL: dict[type[e.Event], Callable[[Summary, Any, int, Sequence[str]], None]] = {
    e.Began: _status("running"),
    e.TurnedBack: _turned_back,
    e.Completed: _end("completed"),
    e.Compensated: _end("compensated"),
    e.Closed: _end("closed"),
    e.RequiresManual: _requires_manual,
    e.Reactivated: _reactivated,
    e.FollowUpsEnded: _after,
    e.Held: _held,
    e.Released: _flag("held", ""),
    e.StepParked: _parked,
    e.AnomalyNoted: _anomaly,
    e.RetryRequested: _retried,
    e.Paused: _flag("paused", True),
    e.Resumed: _flag("paused", False),
}
