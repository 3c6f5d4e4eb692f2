"""The journal's vocabulary: events, and the frame that holds those decided together.

Rules of this file:
  * an event is a fact. Once released, its tag and the order of its fields never change; a new
    field goes last and has a default, a new meaning gets a new tag. `tests/golden/` keeps one
    sample of each and proves that it still decodes.
  * the wire is JSON arrays, `["tag", field, ...]`. Payloads are
    embedded as they are (`msgspec.Raw`), so a person can read a journal with any SQLite shell.
  * `node` is the slot of a node (`places.py`: its index in the saga's graph, outside `each`); times
    are milliseconds since the epoch, the only exception being `*_ms` lengths.
  * events named `...Started` are *intents*: they are durable before the call they announce.
"""

from __future__ import annotations

from typing import Union

import msgspec
from msgspec import Raw, Struct

from ..limits import TIME_MS_MAX

WIRE_VERSION = 1
NOTHING = Raw(b"null")


class Event(Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """The base of all events; holds no field."""


# --- the saga ------------------------------------------------------------------------------------


class Started(Event, frozen=True, tag="start"):
    """Frame 1: the saga exists. `input` is the encoded input; `deadline` 0 means none."""

    saga_id: str
    name: str
    version: int
    fingerprint: str
    input: Raw
    deadline: int = 0
    deadline_ms: int = 0
    key: str = ""
    correlation: dict[str, str] = {}


class Began(Event, frozen=True, tag="begin"):
    """An orchestrator took the saga up: `scheduled` becomes `running`."""


class TurnedBack(Event, frozen=True, tag="back"):
    """From here on the saga goes backward. `cause` is one of TURN_BACK_CAUSES."""

    cause: str
    node: int = -1
    message: str = ""


class Completed(Event, frozen=True, tag="completed"):
    """The end: every step done. The result is read off the state, not stored twice."""


class Compensated(Event, frozen=True, tag="compensated"):
    """The end: every compensation acknowledged, or nothing to undo."""


class Closed(Event, frozen=True, tag="closed"):
    """The end: a person ended it with `skip`. `stays` are the nodes whose effect stays."""

    stays: list[int] = []


class RequiresManual(Event, frozen=True, tag="manual"):
    """Something is parked and nothing else is ready, running or backing off."""


class Reactivated(Event, frozen=True, tag="active"):
    """`requires_manual` is over for now: something of the saga moves again."""


class FollowUpsEnded(Event, frozen=True, tag="after"):
    """The follow-up steps after the end are finished or exhausted: the saga is no longer open."""

    failed: bool = False


class DeadlinePassed(Event, frozen=True, tag="deadline"):
    """The saga's deadline passed while it mattered."""


class Held(Event, frozen=True, tag="held"):
    """The worker that leads cannot move this saga at all (`version`, `poison`)."""

    reason: str
    message: str = ""


class Released(Event, frozen=True, tag="released"):
    """The reason of `Held` is gone."""


# --- actions -------------------------------------------------------------------------------------


class ActionStarted(Event, frozen=True, tag="a"):
    """Intent: one attempt of the action."""

    node: int


class ActionSucceeded(Event, frozen=True, tag="ok"):
    node: int
    result: Raw = NOTHING


class ActionRejected(Event, frozen=True, tag="no"):
    node: int
    error: str = ""
    conclusive: bool = False


class ActionNotSent(Event, frozen=True, tag="notsent"):
    node: int
    error: str = ""


class ActionUnknown(Event, frozen=True, tag="unk"):
    """An exception, a timeout, or a cut by the deadline: it may have taken effect."""

    node: int
    error: str = ""
    cause: str = "error"


class ActionCut(Event, frozen=True, tag="cut"):
    """Cut off by our own crash, shutdown or lease loss: unknown, and uses up no attempt."""

    node: int
    cause: str = "crash"


class ActionAccepted(Event, frozen=True, tag="acc"):
    """The action was accepted and is unfinished: it is polled at `due`, and given up at `until`.

    `poll` names the function that asks; "" means the action itself, under the same key. `token` is
    what the participant said to ask by.
    """

    node: int
    due: int
    until: int
    every_ms: int
    poll: str = ""
    token: Raw = NOTHING


class RetryScheduled(Event, frozen=True, tag="retry"):
    """The next attempt of the action is due at `due`; `delay_ms` feeds the next jitter."""

    node: int
    due: int
    delay_ms: int


class StepRejected(Event, frozen=True, tag="rejected"):
    """Settled: a business "no", proven without effect."""

    node: int


class StepFailed(Event, frozen=True, tag="failed"):
    """Settled: failed, proven without effect."""

    node: int


class StepUnknown(Event, frozen=True, tag="unknown"):
    """Settled as unknown: attempts and probe are over; it is undone including itself."""

    node: int


class StepPassed(Event, frozen=True, tag="passed"):
    """A best-effort step that did not succeed; its result is None."""

    node: int


class StepParked(Event, frozen=True, tag="parked"):
    """A person decides. `reason` is one of PARK_REASONS."""

    node: int
    reason: str
    message: str = ""


class LateSucceeded(Event, frozen=True, tag="late"):
    """A success that arrived after its attempt was given up, while the step was still unknown."""

    node: int
    result: Raw = NOTHING


class AnomalyNoted(Event, frozen=True, tag="anomaly"):
    """A late answer that can no longer change anything. `after_undo` marks the saga anomalous."""

    node: int
    message: str = ""
    after_undo: bool = False


class AttemptAbandoned(Event, frozen=True, tag="abandon"):
    """A given-up call still ran when its grace was over; the next call no longer waits for it."""

    node: int
    op: str = "action"


# --- probes --------------------------------------------------------------------------------------


class ProbeStarted(Event, frozen=True, tag="p"):
    node: int


class ProbeFound(Event, frozen=True, tag="p-ok"):
    """It took effect; `result` is the step's result."""

    node: int
    result: Raw = NOTHING


class ProbeNotSeen(Event, frozen=True, tag="p-unseen"):
    """Not seen, which is not "no effect": the step stays unknown."""

    node: int


class ProbeRejected(Event, frozen=True, tag="p-no"):
    """Proven: it never took and never can take effect."""

    node: int
    error: str = ""


class ProbeFailed(Event, frozen=True, tag="p-err"):
    node: int
    error: str = ""


class ProbeCut(Event, frozen=True, tag="p-cut"):
    node: int
    cause: str = "crash"


class ProbeRetryScheduled(Event, frozen=True, tag="p-retry"):
    node: int
    due: int
    delay_ms: int


# --- polls of what was accepted ------------------------------------------------------------------


class PollStarted(Event, frozen=True, tag="poll"):
    """Intent: ask whether an accepted action, or compensation (`undo`), has finished."""

    node: int
    undo: bool = False


class PollPending(Event, frozen=True, tag="poll-no"):
    """Not finished yet, or the poll failed (`error`); the next one is due at `due`."""

    node: int
    due: int
    every_ms: int
    undo: bool = False
    error: str = ""
    token: Raw = NOTHING


class PollCut(Event, frozen=True, tag="poll-cut"):
    node: int
    due: int
    undo: bool = False
    cause: str = "crash"


# --- compensations -------------------------------------------------------------------------------


class CompensationStarted(Event, frozen=True, tag="c"):
    node: int


class CompensationSucceeded(Event, frozen=True, tag="c-ok"):
    node: int


class CompensationRefused(Event, frozen=True, tag="c-no"):
    """`Rejected` from a compensation: a refusal for good."""

    node: int
    error: str = ""


class CompensationFailed(Event, frozen=True, tag="c-err"):
    node: int
    error: str = ""
    cause: str = "error"


class CompensationCut(Event, frozen=True, tag="c-cut"):
    node: int
    cause: str = "crash"


class CompensationAccepted(Event, frozen=True, tag="c-acc"):
    """As `ActionAccepted`, of the compensation."""

    node: int
    due: int
    until: int
    every_ms: int
    poll: str = ""
    token: Raw = NOTHING


class CompensationRetryScheduled(Event, frozen=True, tag="c-retry"):
    node: int
    due: int
    delay_ms: int


class StepOwed(Event, frozen=True, tag="owed"):
    """The step's compensation is owed and parked: a person ends it. `reason`: OWE_REASONS."""

    node: int
    reason: str
    message: str = ""


# --- control flow --------------------------------------------------------------------------------


class BranchChosen(Event, frozen=True, tag="choice"):
    """`branch` is the position of the taken branch among the node's children."""

    node: int
    branch: int


class ItemsListed(Event, frozen=True, tag="items"):
    """The items of an EACH are known, and each has a copy of the body's nodes.

    `first`, `body` and `size` are as in `places.Block`, so that a journal can be read without its
    definition; `limit` is how many items run at a time.
    """

    node: int
    items: list[Raw]
    limit: int
    first: int
    body: int
    size: int


class CallEntered(Event, frozen=True, tag="call"):
    """A CALL begins; `input` is what the called saga's functions take as their input."""

    node: int
    input: Raw = NOTHING


class AlternativeStarted(Event, frozen=True, tag="alt"):
    """A FIRST_OF tries the alternative at `position`."""

    node: int
    position: int


class AlternativeFailed(Event, frozen=True, tag="alt-no"):
    """The alternative under way is given up: what it did is undone before the next one is tried.

    `step` is the slot of what failed, `cause` as in `TurnedBack`.
    """

    node: int
    cause: str
    step: int
    message: str = ""


class FirstOfFailed(Event, frozen=True, tag="alt-end"):
    """What the last alternative did cannot be undone (or none is left): the FIRST_OF fails as a whole."""

    node: int


class WaitStarted(Event, frozen=True, tag="w"):
    """Waiting for a signal; `due` 0 means without a timeout."""

    node: int
    due: int = 0


class WaitSatisfied(Event, frozen=True, tag="w-ok"):
    """The oldest pending signal of the wait's name was consumed."""

    node: int


class WaitTimedOut(Event, frozen=True, tag="w-out"):
    node: int


class SleepStarted(Event, frozen=True, tag="z"):
    node: int
    due: int


class SleepEnded(Event, frozen=True, tag="z-ok"):
    node: int


# --- from outside --------------------------------------------------------------------------------


class SignalReceived(Event, frozen=True, tag="signal"):
    name: str
    payload: Raw = NOTHING
    id: str = ""


class CancelRequested(Event, frozen=True, tag="cancel"):
    """Cancel; during a pivot it waits for the pivot's outcome."""

    reason: str = ""
    actor: str = ""


class CancelRefused(Event, frozen=True, tag="cancel-no"):
    """The pivot succeeded or was parked: the cancel that waited for it is refused."""


class RetryRequested(Event, frozen=True, tag="v-retry"):
    """Operator: call again what is parked, poisoned or backing off; `deadline` is the fresh one."""

    reason: str = ""
    actor: str = ""
    deadline: int = 0


class Resolved(Event, frozen=True, tag="v-resolve"):
    """Operator: `outcome` is "done" or "not_done"; `undo` says whether it speaks of the compensation."""

    node: int
    outcome: str
    undo: bool = False
    result: Raw = NOTHING
    reason: str = ""
    actor: str = ""


class Skipped(Event, frozen=True, tag="v-skip"):
    """Operator: the owed compensation, or the post-pivot step, is left out for good."""

    node: int
    reason: str = ""
    actor: str = ""


class Paused(Event, frozen=True, tag="v-pause"):
    reason: str = ""
    actor: str = ""


class Resumed(Event, frozen=True, tag="v-resume"):
    reason: str = ""
    actor: str = ""


AnyEvent = Union[
    Started, Began, TurnedBack, Completed, Compensated, Closed, RequiresManual, Reactivated,
    FollowUpsEnded, DeadlinePassed, Held, Released,
    ActionStarted, ActionSucceeded, ActionRejected, ActionNotSent, ActionUnknown, ActionCut,
    ActionAccepted, RetryScheduled, StepRejected, StepFailed, StepUnknown, StepPassed, StepParked, LateSucceeded,
    AnomalyNoted, AttemptAbandoned,
    ProbeStarted, ProbeFound, ProbeNotSeen, ProbeRejected, ProbeFailed, ProbeCut, ProbeRetryScheduled,
    PollStarted, PollPending, PollCut,
    CompensationStarted, CompensationSucceeded, CompensationRefused, CompensationFailed,
    CompensationCut, CompensationAccepted, CompensationRetryScheduled, StepOwed,
    BranchChosen, ItemsListed, CallEntered, AlternativeStarted, AlternativeFailed, FirstOfFailed,
    WaitStarted, WaitSatisfied, WaitTimedOut, SleepStarted, SleepEnded,
    SignalReceived, CancelRequested, CancelRefused, RetryRequested, Resolved, Skipped, Paused, Resumed,
]  # fmt: skip

TURN_BACK_CAUSES = ("rejected", "failed", "unknown", "timeout", "deadline", "cancelled")
PARK_REASONS = ("unknown", "rejected", "deadline", "key_expired", "poison")
OWE_REASONS = (
    "exhausted", "refused", "no_compensation", "result_missing", "key_expired", "on_unknown", "poison",
)  # fmt: skip


class Frame(Struct, frozen=True, array_like=True, gc=False):
    """All events decided together, at one time; a row of the journal.

    `version` is the wire's version. A frame is the unit of durability: either all of its events
    happened, or none.
    """

    version: int
    at: int
    events: list[AnyEvent]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Frame)
_version = msgspec.json.Decoder(tuple[int, int, list[Raw]])


def encode_frame(at: int, events: list[Event]) -> bytes:
    """One journal row's body."""
    return _encoder.encode((WIRE_VERSION, at, events))


def decode_frame(body: bytes) -> Frame:
    """The frame of a journal row's body.

    Raises:
        ValueError: the body is damaged, or written by a newer release.
    """
    try:
        frame = _decoder.decode(body)
    except msgspec.DecodeError as error:
        raise ValueError(_why_undecodable(body, error)) from error
    if frame.version > WIRE_VERSION:
        raise ValueError(f"the frame has wire version {frame.version}; this release reads up to {WIRE_VERSION}")
    if not 0 <= frame.at <= TIME_MS_MAX:
        raise ValueError(f"the frame is damaged: its time is {frame.at}, in milliseconds")
    return frame


def _why_undecodable(body: bytes, error: Exception) -> str:
    try:
        version = _version.decode(body)[0]
    except msgspec.DecodeError:
        return f"the frame is damaged: {error}"
    if version > WIRE_VERSION:
        return f"the frame has wire version {version}; this release reads up to {WIRE_VERSION}"
    return f"the frame does not decode: {error}"
