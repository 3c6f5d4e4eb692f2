"""Which event of the journal says what on the bus.

Rules of this file: data only. Each journal event has its rows here, one per notice it gives; the
test of the catalogue fails for an event that has none.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Literal

from msgspec import Struct

from ..core import events as e

Lane = Literal["", "action", "probe", "poll", "undo", "wait"]
Span = Literal["", "saga", "attempt", "attempts"]


class Row(Struct, frozen=True):
    """One notice that a journal event gives.

    Attributes:
        event: its name on the bus.
        lane: whose attempts it counts and whose error it carries.
        of: what its duration measures; "" for none.
        begins: it begins an attempt of its lane.
        details: fields of the journal event to hand on under their own names.
        fixed: further details that are always the same.
        only: the notice is given only if this boolean field of the journal event has this value.
    """

    event: str
    lane: Lane = ""
    of: Span = ""
    begins: bool = False
    details: tuple[str, ...] = ()
    fixed: dict[str, Any] = {}
    only: tuple[str, bool] | None = None


def _verb(verb: str, *details: str, refused: bool = False) -> Row:
    fixed: dict[str, Any] = {"verb": verb, "refused": True} if refused else {"verb": verb}
    return Row("operator.verb", details=details, fixed=fixed)


_WHO = ("reason", "actor")
_DUE = ("due", "delay_ms")
_OUT = "step.attempt_failed"

ROWS: MappingProxyType[type[e.Event], tuple[Row, ...]] = MappingProxyType({
    # the saga
    e.Started: (Row("saga.started", details=("key",)),),
    e.Began: (Row("saga.began", of="saga"),),
    e.TurnedBack: (Row("saga.turned_back", of="saga", details=("cause",)),),
    e.Completed: (Row("saga.ended", of="saga", fixed={"status": "completed"}),),
    e.Compensated: (Row("saga.ended", of="saga", fixed={"status": "compensated"}),),
    e.Closed: (Row("saga.ended", of="saga", details=("stays",), fixed={"status": "closed"}),),
    e.RequiresManual: (Row("saga.requires_manual", of="saga"),),
    e.Reactivated: (Row("saga.reactivated", of="saga"),),
    e.FollowUpsEnded: (
        Row("saga.followups_ended", of="saga", only=("failed", False)),
        Row("saga.followup_failed", of="saga", only=("failed", True)),
    ),
    e.DeadlinePassed: (Row("saga.deadline_passed", of="saga"),),
    e.Held: (Row("saga.held", of="saga", details=("reason",)),),
    e.Released: (Row("saga.released", of="saga"),),
    # actions
    e.ActionStarted: (Row("step.started", "action", begins=True),),
    e.ActionSucceeded: (Row("step.succeeded", "action", "attempt"),),
    e.ActionRejected: (Row(_OUT, "action", "attempt", details=("conclusive",), fixed={"outcome": "rejected"}),),
    e.ActionNotSent: (Row(_OUT, "action", "attempt", fixed={"outcome": "not_sent"}),),
    e.ActionUnknown: (Row(_OUT, "action", "attempt", details=("cause",), fixed={"outcome": "unknown"}),),
    e.ActionCut: (Row(_OUT, "action", "attempt", details=("cause",), fixed={"outcome": "cut"}),),
    e.ActionAccepted: (Row("step.accepted", "action", details=("due", "until")),),
    e.RetryScheduled: (Row("step.retrying", "action", details=_DUE),),
    e.StepRejected: (Row("step.rejected", "action", "attempts"),),
    e.StepFailed: (Row("step.failed", "action", "attempts"),),
    e.StepUnknown: (Row("step.unknown", "action", "attempts"),),
    e.StepPassed: (Row("step.passed", "action", "attempts"),),
    e.StepParked: (Row("step.parked", "action", "attempts", details=("reason",)),),
    e.LateSucceeded: (Row("step.succeeded", "action", fixed={"late": True}),),
    e.AnomalyNoted: (Row("saga.anomaly", details=("after_undo",)),),
    e.AttemptAbandoned: (Row("step.abandoned", details=("op",)),),
    # probes
    e.ProbeStarted: (Row("probe.started", "probe", begins=True),),
    e.ProbeFound: (Row("probe.found", "probe", "attempt"),),
    e.ProbeNotSeen: (Row("probe.not_seen", "probe", "attempt"),),
    e.ProbeRejected: (Row("probe.rejected", "probe", "attempt"),),
    e.ProbeFailed: (Row("probe.failed", "probe", "attempt", fixed={"cause": "error"}),),
    e.ProbeCut: (Row("probe.failed", "probe", "attempt", details=("cause",)),),
    e.ProbeRetryScheduled: (Row("probe.retrying", "probe", details=_DUE),),
    # polls
    e.PollStarted: (Row("poll.started", "poll", begins=True, details=("undo",)),),
    e.PollPending: (Row("poll.pending", "poll", "attempt", details=("undo", "due")),),
    e.PollCut: (Row("poll.cut", "poll", "attempt", details=("undo", "cause")),),
    # compensations
    e.CompensationStarted: (Row("compensation.started", "undo", begins=True),),
    e.CompensationSucceeded: (Row("compensation.succeeded", "undo", "attempt"),),
    e.CompensationRefused: (Row("compensation.refused", "undo", "attempt"),),
    e.CompensationFailed: (Row("compensation.failed", "undo", "attempt", details=("cause",)),),
    e.CompensationCut: (Row("compensation.failed", "undo", "attempt", details=("cause",)),),
    e.CompensationAccepted: (Row("compensation.accepted", "undo", details=("due", "until")),),
    e.CompensationRetryScheduled: (Row("compensation.retrying", "undo", details=_DUE),),
    e.StepOwed: (Row("compensation.owed", "undo", "attempts", details=("reason",)),),
    # control flow
    e.BranchChosen: (Row("choice.made", details=("branch",)),),
    e.ItemsListed: (Row("each.listed", details=("limit",)),),
    e.CallEntered: (Row("call.entered"),),
    e.AlternativeStarted: (Row("alternative.started", details=("position",)),),
    e.AlternativeFailed: (Row("alternative.failed", details=("cause", "step")),),
    e.FirstOfFailed: (Row("first_of.failed"),),
    e.WaitStarted: (Row("wait.started", "wait", begins=True, details=("due",)),),
    e.WaitSatisfied: (Row("wait.satisfied", "wait", "attempt"),),
    e.WaitTimedOut: (Row("wait.timed_out", "wait", "attempt"),),
    e.SleepStarted: (Row("sleep.started", "wait", begins=True, details=("due",)),),
    e.SleepEnded: (Row("sleep.ended", "wait", "attempt"),),
    # from outside
    e.SignalReceived: (Row("signal.received", details=("name", "id")),),
    e.CancelRequested: (_verb("cancel", *_WHO),),
    e.CancelRefused: (_verb("cancel", refused=True),),
    e.RetryRequested: (_verb("retry", *_WHO),),
    e.Resolved: (_verb("resolve", "outcome", "undo", *_WHO),),
    e.Skipped: (_verb("skip", *_WHO), Row("step.skipped", details=_WHO)),
    e.Paused: (_verb("pause", *_WHO), Row("saga.paused", of="saga", details=_WHO)),
    e.Resumed: (_verb("resume", *_WHO), Row("saga.resumed", of="saga", details=_WHO)),
})  # fmt: skip

# What the runtime says of itself; no journal event stands behind these.
ORCHESTRATOR_EVENTS = (
    "orchestrator.started", "orchestrator.stopped", "lease.acquired", "lease.released", "lease.lost", "store.failed",
)  # fmt: skip

EVENTS = frozenset(ORCHESTRATOR_EVENTS) | {row.event for rows in ROWS.values() for row in rows}
