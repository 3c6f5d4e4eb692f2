"""The fold behind lists: one saga's line, from its frames alone.

Rules of this file: pure; needs no graph (paths and sizes come as arguments), so that a process without the
definitions can list every saga; equal for any way of cutting the journal into runs. A summary that
was handed out is never changed: every frame makes a new one. A change of what a frame does to a
summary is a new SHAPE, so that stores fold those of older releases anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from ..limits import FAILED_KEPT
from . import events as e
from .places import Block, is_below, path_of

SHAPE = 3  # grows with every change of what a summary says; see the migrations of the stores


class Summary(Struct, kw_only=True):
    """One saga's line in a list; `fold_summary` makes it. Times in milliseconds, 0 for not yet.

    Attributes:
        holds: what keeps the saga waiting, per node.
        held: what keeps the worker from moving it at all.
        waiting_since: the time of the last frame that moved it, while something holds it; 0 while
            nothing does. What only speaks of the saga (a pause, a signal nobody waits for yet, an
            anomaly) does not move it.
        failed: the steps that were rejected, failed without effect, stayed unknown, were parked or
            owed, or turned the saga back; in the order of their first failure, also if they were
            mended later. Items of `each` count as their step; at most FAILED_KEPT.
        blocks: the slots of every `each` whose items are known.
        undo_holds: the nodes among `holds` whose compensation it is that waits.
        leaving: each `first_of` that undoes what an alternative did.
        late: the nodes whose success came late: however their running attempt ends, it is over.
        manual: it has stood in `requires_manual` at least once.
        intervened: a person retried, resolved or skipped something of it.
        seq: the last frame folded in.
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
    waiting_since: int = 0
    blocks: tuple[Block, ...] = ()
    undo_holds: tuple[int, ...] = ()
    leaving: tuple[int, ...] = ()
    late: tuple[int, ...] = ()
    failed: tuple[str, ...] = ()
    manual: bool = False
    intervened: bool = False


HOLDS = ("version", "paused", "poison", "manual", "retry", "signal", "timer")
"""Every reason a saga can be on hold for, the one that is shown first."""

_HOLD_OF_EVENT: dict[type[e.Event], str] = {
    e.SleepStarted: "timer",
    e.WaitStarted: "signal",
    e.RetryScheduled: "retry",
    e.CompensationRetryScheduled: "retry",
    e.ProbeRetryScheduled: "retry",
    e.ActionAccepted: "timer",
    e.CompensationAccepted: "timer",
    e.PollPending: "timer",
    e.PollCut: "timer",
    e.StepParked: "manual",
    e.StepOwed: "manual",
}
_TOUCHING: frozenset[type[e.Event]] = frozenset(
    {e.ActionStarted, e.CompensationStarted, e.ProbeStarted, e.WaitStarted, e.SleepStarted, e.StepParked, e.StepOwed}
)
_HOLD_OF_UNDO = frozenset({e.CompensationRetryScheduled, e.CompensationAccepted, e.StepOwed})
# These speak of a node without moving it on, so its hold stays.
_STILL: frozenset[type[e.Event]] = frozenset({e.AnomalyNoted, e.AttemptAbandoned, e.TurnedBack})
# These speak of a saga without moving it on: what they lead to has events of its own.
_SPOKEN: frozenset[type[e.Event]] = frozenset(
    {
        e.SignalReceived, e.CancelRequested, e.CancelRefused, e.RetryRequested, e.Paused, e.Resumed, e.Held,
        e.Released, e.AnomalyNoted, e.AttemptAbandoned,
    }
)  # fmt: skip
_ITEM = re.compile(r"\[\d+\]")  # an item of `each`, in a path


def hold_of(summary: Summary) -> str:
    """Why the saga waits, one of HOLDS; "" when nothing holds it or it has ended."""
    if summary.ended:
        return ""
    found = set(summary.holds.values())
    found.add(summary.held)
    if summary.paused:
        found.add("paused")
    return next((hold for hold in HOLDS if hold in found), "")


def fold_summary(
    summary: Summary | None, saga_id: str, frame: e.Frame, seq: int, paths: Sequence[str], sizes: Sequence[int] = ()
) -> Summary:
    """The summary after one more frame.

    Parameters:
        summary: after frame `seq - 1`; None before frame 1.
        frame: the journal's frame `seq`.
        paths: the path of each node of the saga's graph; one that belongs to no item is shown as `#slot`.
        sizes: how many nodes the subtree of each has, which tells what an alternative of a `first_of` holds.

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
    moved = False
    for event in events:
        kind = type(event)
        moved = moved or kind not in _SPOKEN
        node = getattr(event, "node", -1)
        if node >= 0 and kind not in _STILL:
            _hold(new, event, node, sizes)
            if kind in _TOUCHING:
                new.step = path_of(paths, new.blocks, node)
        if kind is e.AlternativeFailed:
            _given_up(new, node, sizes)
        special = _SPECIAL.get(kind)
        if special is not None:
            special(new, event, frame.at, paths)
    waits = (new.holds or new.held or new.paused) and not new.ended
    new.waiting_since = 0 if not waits else frame.at if moved else new.waiting_since or frame.at
    return new


def _hold(summary: Summary, event: Any, node: int, sizes: Sequence[int]) -> None:
    """What an event of a node says of its waiting."""
    kind = type(event)
    hold = _HOLD_OF_EVENT.get(kind)
    undo = kind in _HOLD_OF_UNDO or getattr(event, "undo", False)
    if kind is e.LateSucceeded and node not in summary.late:
        summary.late = (*summary.late, node)
    if kind is e.StepParked and _turned(summary, node, sizes):
        hold = None  # nobody has to decide about it
    if hold is None or (node in summary.late and not undo):
        if summary.holds.pop(node, None) is not None and node in summary.undo_holds:
            summary.undo_holds = tuple(held for held in summary.undo_holds if held != node)
        return
    summary.holds[node] = "poison" if getattr(event, "reason", "") == "poison" else hold
    if undo and node not in summary.undo_holds:
        summary.undo_holds = (*summary.undo_holds, node)


def _turned(summary: Summary, node: int, sizes: Sequence[int]) -> bool:
    if summary.ended:
        return False  # a follow-up
    return summary.turned_back or any(is_below(sizes, summary.blocks, node, left) for left in summary.leaving)


def _given_up(summary: Summary, first_of: int, sizes: Sequence[int]) -> None:
    """Nothing of an alternative that was given up waits any more, but what is being undone."""
    summary.leaving = (*summary.leaving, first_of)
    for node in list(summary.holds):
        if node not in summary.undo_holds and is_below(sizes, summary.blocks, node, first_of):
            del summary.holds[node]


def fold_undecodable(summary: Summary | None, saga_id: str, seq: int, why: str) -> Summary:
    """The summary after a frame that this release cannot read: on hold as poison, and listed all the same."""
    if summary is None:
        return Summary(saga_id=saga_id, name="", version=0, fingerprint="", cause=_line(why), seq=seq, held="poison")
    waiting_since = summary.waiting_since or summary.updated
    return replace(summary, cause=summary.cause or _line(why), seq=seq, held="poison", waiting_since=waiting_since)


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


def _failed(summary: Summary, event: Any, at: int, paths: Sequence[str]) -> None:
    path = _ITEM.sub("", path_of(paths, summary.blocks, event.node))
    if path not in summary.failed and len(summary.failed) < FAILED_KEPT:
        summary.failed = (*summary.failed, path)


def _line(text: str) -> str:
    return " ".join(text.replace("\0", " ").split())  # a NUL ends a text for SQL's JSON functions


def _cause(head: str, tail: str) -> str:
    return f"{head}: {_line(tail)}" if tail.strip() else head


def _status(status: str) -> Callable[[Summary, Any, int, Sequence[str]], None]:
    def change(summary: Summary, event: Any, at: int, paths: Sequence[str]) -> None:
        summary.status = status

    return change


def _end(status: str) -> Callable[[Summary, Any, int, Sequence[str]], None]:
    def change(summary: Summary, event: Any, at: int, paths: Sequence[str]) -> None:
        summary.status, summary.ended, summary.holds, summary.undo_holds = status, at, {}, ()
        if status == "completed":
            summary.cause = ""  # a cause says why a saga did not succeed; what was parked on the way is history

    return change


def _flag(name: str, value: bool | str) -> Callable[[Summary, Any, int, Sequence[str]], None]:
    def change(summary: Summary, event: Any, at: int, paths: Sequence[str]) -> None:
        setattr(summary, name, value)

    return change


def _turned_back(summary: Summary, event: e.TurnedBack, at: int, paths: Sequence[str]) -> None:
    head = event.cause
    if event.node >= 0:
        head = f"{path_of(paths, summary.blocks, event.node)} {event.cause}"
        _failed(summary, event, at, paths)
    if not summary.turned_back:
        summary.cause = _cause(head, event.message)
    summary.status, summary.turned_back = "compensating", True
    summary.holds = {node: hold for node, hold in summary.holds.items() if node in summary.undo_holds}
    summary.leaving = ()


def _alternative_is_over(summary: Summary, event: Any, at: int, paths: Sequence[str]) -> None:
    summary.leaving = tuple(left for left in summary.leaving if left != event.node)


def _reactivated(summary: Summary, event: e.Reactivated, at: int, paths: Sequence[str]) -> None:
    summary.status = "compensating" if summary.turned_back else "running"


def _requires_manual(summary: Summary, event: e.RequiresManual, at: int, paths: Sequence[str]) -> None:
    summary.status, summary.manual = "requires_manual", True
    for node, hold in sorted(summary.holds.items()):
        if hold in ("manual", "poison"):
            summary.step = path_of(paths, summary.blocks, node)  # what a person must look at, not what was called last
            break


def _parked(summary: Summary, event: e.StepParked, at: int, paths: Sequence[str]) -> None:
    if event.node in summary.late:
        return
    _failed(summary, event, at, paths)
    if not summary.turned_back and not summary.cause:
        head = f"{path_of(paths, summary.blocks, event.node)} parked: {event.reason}"
        summary.cause = _cause(head, event.message) if event.reason == "poison" else head


def _held(summary: Summary, event: e.Held, at: int, paths: Sequence[str]) -> None:
    summary.held = event.reason


def _after(summary: Summary, event: e.FollowUpsEnded, at: int, paths: Sequence[str]) -> None:
    summary.followup_failed = event.failed


def _anomaly(summary: Summary, event: e.AnomalyNoted, at: int, paths: Sequence[str]) -> None:
    summary.anomalous = summary.anomalous or event.after_undo


def _listed(summary: Summary, event: e.ItemsListed, at: int, paths: Sequence[str]) -> None:
    block = Block(event.first, event.node, event.body, event.size, len(event.items))
    summary.blocks = (*summary.blocks, block)


def _retried(summary: Summary, event: e.RetryRequested, at: int, paths: Sequence[str]) -> None:
    summary.deadline = event.deadline or summary.deadline
    summary.intervened = True


_SPECIAL: dict[type[e.Event], Callable[[Summary, Any, int, Sequence[str]], None]] = {
    e.Began: _status("running"),
    e.TurnedBack: _turned_back,
    e.ItemsListed: _listed,
    e.AlternativeStarted: _alternative_is_over,
    e.FirstOfFailed: _alternative_is_over,
    e.Completed: _end("completed"),
    e.Compensated: _end("compensated"),
    e.Closed: _end("closed"),
    e.RequiresManual: _requires_manual,
    e.Reactivated: _reactivated,
    e.FollowUpsEnded: _after,
    e.Held: _held,
    e.Released: _flag("held", ""),
    e.StepRejected: _failed,
    e.StepFailed: _failed,
    e.StepUnknown: _failed,
    e.StepParked: _parked,
    e.StepOwed: _failed,
    e.AnomalyNoted: _anomaly,
    e.RetryRequested: _retried,
    e.Resolved: _flag("intervened", True),
    e.Skipped: _flag("intervened", True),
    e.Paused: _flag("paused", True),
    e.Resumed: _flag("paused", False),
}
