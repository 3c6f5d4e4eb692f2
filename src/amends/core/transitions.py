"""The legal transitions of a saga and of a step, as data.

Everything that changes a status goes through these two tables: `fold` looks the next status up and
refuses what is not there; the diagrams in the documentation are drawn from them.

Rules of this file: data only. A key is an event's class name. Where one event leads to two statuses,
the fact that decides follows a colon (`"TurnedBack:unknown"`). Names in lower case are structural:
`entered` (the walk forward reached the node), `undo_entered` (the walk backward did) and
`alternative_undone` (the walk backward through an alternative of a first_of is at its end).
"""

from __future__ import annotations

from enum import StrEnum


class SagaStatus(StrEnum):
    """Where a saga stands. `completed`, `compensated` and `closed` are ends."""

    SCHEDULED = "scheduled"
    RUNNING = "running"
    COMPENSATING = "compensating"
    REQUIRES_MANUAL = "requires_manual"
    COMPLETED = "completed"
    COMPENSATED = "compensated"
    CLOSED = "closed"


class StepStatus(StrEnum):
    """Where a step, wait or sleep stands."""

    PENDING = "pending"  # not reached
    READY = "ready"  # reached; its first attempt is next
    RUNNING = "running"  # an attempt of the action runs
    SETTLING = "settling"  # an attempt ended without success; what follows is being decided
    RETRYING = "retrying"  # the next attempt has a due time
    PROBING = "probing"  # the probe runs
    PROBE_RETRYING = "probe_retrying"  # the next attempt of the probe has a due time
    ACCEPTED = "accepted"  # the participant took it and is not done; polled at a due time
    POLLING = "polling"  # a poll of what was accepted runs
    WAITING = "waiting"  # a wait for its signal, a sleep for its time
    SUCCEEDED = "succeeded"
    REJECTED = "rejected"  # a business "no": proven without effect
    FAILED = "failed"  # failed, proven without effect
    UNKNOWN = "unknown"  # it may have taken effect; it is undone including itself
    PASSED = "passed"  # best effort, without success
    TIMED_OUT = "timed_out"  # a wait whose time was over
    UNDOING = "undoing"  # a first_of: what its last alternative did is being undone, before the next is tried
    DROPPED = "dropped"  # reached, never called; the saga turned back
    PARKED = "parked"  # a person decides
    SKIPPED = "skipped"  # a person left it out
    UNDO_READY = "undo_ready"  # its compensation is next
    COMPENSATING = "compensating"  # an attempt of the compensation runs
    UNDO_SETTLING = "undo_settling"  # an attempt of the compensation failed; being decided
    UNDO_RETRYING = "undo_retrying"  # the next attempt of the compensation has a due time
    UNDO_ACCEPTED = "undo_accepted"  # its compensation was accepted and is not done; polled at a due time
    UNDO_POLLING = "undo_polling"  # a poll of the compensation runs
    OWED = "owed"  # its compensation is owed and parked: a person decides
    COMPENSATED = "compensated"


G = SagaStatus
S = StepStatus

ENDS = frozenset({G.COMPLETED, G.COMPENSATED, G.CLOSED})

SAGA_TRANSITIONS: dict[SagaStatus, dict[str, SagaStatus]] = {
    G.SCHEDULED: {"Began": G.RUNNING},
    G.RUNNING: {
        "TurnedBack": G.COMPENSATING,
        "RequiresManual": G.REQUIRES_MANUAL,
        "Completed": G.COMPLETED,
        "Closed": G.CLOSED,
    },
    G.COMPENSATING: {
        "RequiresManual": G.REQUIRES_MANUAL,
        "Compensated": G.COMPENSATED,
        "Closed": G.CLOSED,
    },
    G.REQUIRES_MANUAL: {
        "Reactivated": G.RUNNING,
        "Reactivated:back": G.COMPENSATING,
        "TurnedBack": G.COMPENSATING,
        "Completed": G.COMPLETED,
        "Compensated": G.COMPENSATED,
        "Closed": G.CLOSED,
    },
    G.COMPLETED: {},
    G.COMPENSATED: {},
    G.CLOSED: {},
}

STEP_TRANSITIONS: dict[StepStatus, dict[str, StepStatus]] = {
    S.PENDING: {"entered": S.READY},
    S.READY: {
        "ActionStarted": S.RUNNING,
        "WaitStarted": S.WAITING,
        "WaitSatisfied": S.SUCCEEDED,
        "SleepStarted": S.WAITING,
        "BranchChosen": S.SUCCEEDED,
        "ItemsListed": S.SUCCEEDED,
        "CallEntered": S.SUCCEEDED,
        "AlternativeStarted": S.SUCCEEDED,
        "StepParked": S.PARKED,
        "StepPassed": S.PASSED,  # best effort, and the deadline passed after the pivot
        "TurnedBack": S.DROPPED,
    },
    S.RUNNING: {
        "ActionSucceeded": S.SUCCEEDED,
        "ActionRejected": S.SETTLING,
        "ActionNotSent": S.SETTLING,
        "ActionUnknown": S.SETTLING,
        "ActionCut": S.SETTLING,
        "ActionAccepted": S.ACCEPTED,
        "ActionAccepted:given_up": S.SETTLING,
        "StepParked": S.PARKED,
        "StepParked:follow_up": S.FAILED,
        "LateSucceeded": S.RUNNING,
        "ended:late": S.SUCCEEDED,
    },
    S.SETTLING: {
        "ActionStarted": S.RUNNING,
        "RetryScheduled": S.RETRYING,
        "ProbeStarted": S.PROBING,
        "ProbeRetryScheduled": S.PROBE_RETRYING,
        "LateSucceeded": S.SUCCEEDED,
        "StepRejected": S.REJECTED,
        "StepFailed": S.FAILED,
        "StepUnknown": S.UNKNOWN,
        "StepPassed": S.PASSED,
        "StepParked": S.PARKED,
        "StepParked:follow_up": S.FAILED,
        "AlternativeStarted": S.SUCCEEDED,
        "FirstOfFailed": S.FAILED,
        "TurnedBack:first_of": S.SUCCEEDED,
    },
    S.ACCEPTED: {
        "PollStarted": S.POLLING,
        "ActionStarted": S.RUNNING,  # polled by calling it again
        "ActionUnknown": S.SETTLING,  # unfinished when its time was over
        "StepParked": S.PARKED,
        "StepParked:follow_up": S.FAILED,
        "RetryRequested": S.SETTLING,
        "DeadlinePassed": S.SETTLING,
        "TurnedBack": S.SETTLING,
        "LateSucceeded": S.SUCCEEDED,
        "Resolved:done": S.SUCCEEDED,
        "Resolved:not_done": S.REJECTED,
        "Resolved:passed": S.PASSED,
        "Resolved:failed": S.SETTLING,
        "Skipped": S.SKIPPED,
    },
    S.POLLING: {
        "PollPending": S.ACCEPTED,
        "PollPending:given_up": S.SETTLING,
        "PollCut": S.ACCEPTED,
        "PollCut:given_up": S.SETTLING,
        "ActionSucceeded": S.SUCCEEDED,
        "ActionRejected": S.SETTLING,
        "LateSucceeded": S.POLLING,
        "ended:late": S.SUCCEEDED,
    },
    S.RETRYING: {
        "ActionStarted": S.RUNNING,
        "ProbeStarted": S.PROBING,  # its key grew too old while nobody was there, and so with the next four
        "StepFailed": S.FAILED,
        "StepUnknown": S.UNKNOWN,
        "StepPassed": S.PASSED,
        "StepParked": S.PARKED,
        "RetryRequested": S.SETTLING,
        "DeadlinePassed": S.SETTLING,
        "CancelRequested": S.SETTLING,
        "TurnedBack": S.SETTLING,
        "LateSucceeded": S.SUCCEEDED,
        "Resolved:done": S.SUCCEEDED,
        "Resolved:not_done": S.REJECTED,
        "Resolved:passed": S.PASSED,
        "Resolved:failed": S.SETTLING,
        "Skipped": S.SKIPPED,
    },
    S.PROBING: {
        "ProbeFound": S.SUCCEEDED,
        "ProbeNotSeen": S.SETTLING,
        "ProbeRejected": S.SETTLING,
        "ProbeFailed": S.SETTLING,
        "ProbeCut": S.SETTLING,
        "LateSucceeded": S.PROBING,
        "ended:late": S.SUCCEEDED,
    },
    S.PROBE_RETRYING: {
        "ProbeStarted": S.PROBING,
        "RetryRequested": S.SETTLING,
        "LateSucceeded": S.SUCCEEDED,
        "Resolved:done": S.SUCCEEDED,
        "Resolved:not_done": S.REJECTED,
        "Resolved:passed": S.PASSED,
        "Resolved:failed": S.SETTLING,
        "Skipped": S.SKIPPED,
    },
    S.WAITING: {
        "SignalReceived": S.READY,
        "WaitTimedOut": S.TIMED_OUT,
        "SleepEnded": S.SUCCEEDED,
        "DeadlinePassed": S.READY,
        "TurnedBack": S.DROPPED,
    },
    S.PARKED: {
        "RetryRequested": S.SETTLING,
        "RetryRequested:first": S.READY,
        "LateSucceeded": S.SUCCEEDED,
        "Resolved:done": S.SUCCEEDED,
        "Resolved:not_done": S.REJECTED,
        "Resolved:passed": S.PASSED,
        "Resolved:failed": S.SETTLING,
        "Skipped": S.SKIPPED,
        "TurnedBack": S.DROPPED,
        "TurnedBack:unknown": S.UNKNOWN,
    },
    S.SUCCEEDED: {
        "undo_entered": S.UNDO_READY,
        "Resolved:undone": S.COMPENSATED,
        "AlternativeFailed": S.UNDOING,
    },
    S.UNDOING: {"alternative_undone": S.SETTLING, "TurnedBack": S.SUCCEEDED},
    S.UNKNOWN: {
        "undo_entered": S.UNDO_READY,
        "LateSucceeded": S.SUCCEEDED,
        "Resolved:undone": S.COMPENSATED,
        "Resolved:not_done": S.REJECTED,
    },
    S.PASSED: {"undo_entered": S.UNDO_READY, "LateSucceeded": S.SUCCEEDED},
    S.UNDO_READY: {
        "CompensationStarted": S.COMPENSATING,
        "StepOwed": S.OWED,
        "LateSucceeded": S.UNDO_READY,
        "Resolved:undone": S.COMPENSATED,
        "Resolved:not_done": S.REJECTED,
    },
    S.COMPENSATING: {
        "CompensationSucceeded": S.COMPENSATED,
        "CompensationRefused": S.UNDO_SETTLING,
        "CompensationFailed": S.UNDO_SETTLING,
        "CompensationCut": S.UNDO_SETTLING,
        "CompensationAccepted": S.UNDO_ACCEPTED,
        "StepOwed": S.OWED,
    },
    S.UNDO_ACCEPTED: {
        "PollStarted": S.UNDO_POLLING,
        "CompensationStarted": S.COMPENSATING,  # polled by calling it again
        "StepOwed": S.OWED,
        "RetryRequested": S.UNDO_SETTLING,
        "Resolved:undone": S.COMPENSATED,
        "Resolved:not_done": S.REJECTED,
        "Skipped": S.SKIPPED,
    },
    S.UNDO_POLLING: {
        "PollPending": S.UNDO_ACCEPTED,
        "PollCut": S.UNDO_ACCEPTED,
        "CompensationSucceeded": S.COMPENSATED,
        "CompensationRefused": S.UNDO_SETTLING,
    },
    S.UNDO_SETTLING: {
        "CompensationStarted": S.COMPENSATING,
        "CompensationRetryScheduled": S.UNDO_RETRYING,
        "StepOwed": S.OWED,
    },
    S.UNDO_RETRYING: {
        "CompensationStarted": S.COMPENSATING,
        "StepOwed": S.OWED,  # its key grew too old while nobody was there
        "RetryRequested": S.UNDO_SETTLING,
        "Resolved:undone": S.COMPENSATED,
        "Resolved:not_done": S.REJECTED,
        "Skipped": S.SKIPPED,
    },
    S.OWED: {
        "LateSucceeded": S.UNDO_READY,
        "RetryRequested": S.UNDO_SETTLING,
        "Resolved:undone": S.COMPENSATED,
        "Resolved:not_done": S.REJECTED,
        "Skipped": S.SKIPPED,
    },
    S.REJECTED: {},
    S.FAILED: {},
    S.TIMED_OUT: {},
    S.DROPPED: {},
    S.SKIPPED: {},
    S.COMPENSATED: {},
}

# What a status means for the saga as a whole: which of its branches still owe a decision.
CALLING = frozenset({S.RUNNING, S.PROBING, S.COMPENSATING, S.POLLING, S.UNDO_POLLING})
UNDECIDED = frozenset({S.READY, S.SETTLING, S.UNDO_READY, S.UNDO_SETTLING})
BACKING_OFF = frozenset({S.RETRYING, S.PROBE_RETRYING, S.UNDO_RETRYING, S.ACCEPTED, S.UNDO_ACCEPTED})
ACTIVE = CALLING | UNDECIDED | BACKING_OFF
STUCK = frozenset({S.PARKED, S.OWED})
