"""What the events of one step mean: its action's attempts, its probe's, its compensation's.

Rules of this file:
  * a part of `fold`, and bound by its rules: record the fact, take the table's transition, walk.
  * what is unknown is kept here, in one flag that only a proof clears: `Slot.unknown`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import events as ev
from .members import members
from .state import SagaState, Slot
from .transitions import StepStatus
from .walk import done, fail, undone

_S = members(StepStatus)


# --- actions -------------------------------------------------------------------------------------


def _action_started(state: SagaState, event: ev.ActionStarted) -> None:
    index = event.node
    slot = state.slot(index)
    state.move(index, slot, "ActionStarted")
    slot.calls += 1
    if not slot.first_at:
        slot.first_at = state.at
    if slot.forced:
        slot.forced = False
    # A new attempt is a new question: the probe has its say once more after it.
    slot.probes = 0
    slot.probed = slot.probe_failed = False
    if state.nodes[index].pivot:
        state.pivot = index


def succeed(state: SagaState, index: int, slot: Slot, result: Any, event: str) -> None:
    """A step, or a wait, has its result: go on behind it."""
    state.move(index, slot, event)
    slot.result = result
    slot.late = None
    slot.unknown = False
    slot.deaths = 0
    if state.nodes[index].pivot:
        state.committed = True
    done(state, index)


def _action_succeeded(state: SagaState, event: ev.ActionSucceeded) -> None:
    succeed(state, event.node, state.slot(event.node), event.result, "ActionSucceeded")


def _attempt_over(state: SagaState, index: int, event: str, error: str, *, cut: bool = False) -> Slot:
    """What every attempt without success has in common; a stashed late success settles it."""
    slot = state.slot(index)
    slot.cut = cut
    slot.rejected = False
    if error:
        slot.error = error
        state.note_error(f"{state.path_of(index)}: {error}")
    if not cut:
        slot.deaths = 0
        slot.attempts += 1
    _end_of_attempt(state, index, slot, event)
    return slot


def _end_of_attempt(state: SagaState, index: int, slot: Slot, event: str) -> None:
    if slot.late is not None:
        succeed(state, index, slot, slot.late, "ended:late")
    else:
        state.move(index, slot, event)


def _action_rejected(state: SagaState, event: ev.ActionRejected) -> None:
    called_again = state.status_of(event.node) is _S.RUNNING and state.slot(event.node).poll_until > 0
    slot = _attempt_over(state, event.node, "ActionRejected", event.error)
    if slot.status is not _S.SETTLING:
        return
    if called_again:  # a plain refusal of the later call ("there is one already") proves nothing of what was accepted
        _became_unknown(state, event.node, slot)
    if event.conclusive or not slot.unknown:
        slot.unknown = False
        slot.rejected = True
    else:
        slot.refused = True


def _action_not_sent(state: SagaState, event: ev.ActionNotSent) -> None:
    slot = _attempt_over(state, event.node, "ActionNotSent", event.error)
    if slot.poll_until:  # it was to ask about an earlier call, which was accepted and may take effect
        _became_unknown(state, event.node, slot)


def _became_unknown(state: SagaState, index: int, slot: Slot) -> None:
    # A read-only step has no effect, so nothing about it can be unknown. An atomic one took effect
    # together with the frame that says so, or not at all.
    node = state.nodes[index]
    if slot.status is _S.SETTLING and not node.read_only and node.index not in state.graph.atomic:
        slot.unknown = True


def _action_unknown(state: SagaState, event: ev.ActionUnknown) -> None:
    slot = _attempt_over(state, event.node, "ActionUnknown", event.error or event.cause)
    _became_unknown(state, event.node, slot)
    if event.cause == "poll" and slot.status is _S.SETTLING:
        slot.refused = True  # it was accepted, and waited for as long as was asked: no other attempt


def _action_cut(state: SagaState, event: ev.ActionCut) -> None:
    slot = _attempt_over(state, event.node, "ActionCut", "", cut=True)
    if event.cause == "crash" and slot.status is _S.SETTLING:
        slot.deaths += 1
    _became_unknown(state, event.node, slot)


def _retry_scheduled(state: SagaState, event: ev.RetryScheduled) -> None:
    slot = state.slot(event.node)
    state.move(event.node, slot, "RetryScheduled")
    slot.delay_ms = event.delay_ms
    state.due[event.node] = event.due


def _step_rejected(state: SagaState, event: ev.StepRejected) -> None:
    slot = state.slot(event.node)
    state.move(event.node, slot, "StepRejected")
    fail(state, event.node, slot, "rejected")


def _step_failed(state: SagaState, event: ev.StepFailed) -> None:
    slot = state.slot(event.node)
    state.move(event.node, slot, "StepFailed")
    fail(state, event.node, slot, "failed")


def _step_unknown(state: SagaState, event: ev.StepUnknown) -> None:
    slot = state.slot(event.node)
    state.move(event.node, slot, "StepUnknown")
    fail(state, event.node, slot, "unknown")


def _step_passed(state: SagaState, event: ev.StepPassed) -> None:
    state.move(event.node, state.slot(event.node), "StepPassed")
    done(state, event.node)


def _step_parked(state: SagaState, event: ev.StepParked) -> None:
    index, slot = event.node, state.slot(event.node)
    node = state.nodes[index]
    if slot.late is not None:
        _end_of_attempt(state, index, slot, "StepParked")
        return
    if event.message:
        slot.error = event.message
        state.note_error(f"{state.path_of(index)}: {event.message}")
    if slot.status is _S.ACCEPTED:
        slot.unknown = not node.read_only
    elif slot.status is _S.RUNNING:
        # The call was announced and never made: its arguments did not decode.
        slot.calls -= 1
        if not slot.calls:
            slot.first_at = 0  # and so its key was never used
        elif slot.poll_until:  # nor could what was accepted be asked about
            slot.unknown = not node.read_only
    if node.follow_up:
        # A follow-up cannot change the end, so it is never parked: it failed, and the next one runs.
        state.move(index, slot, "StepParked:follow_up")
        state.followup_failed = True
        done(state, index)
        return
    state.move(index, slot, "StepParked")
    slot.reason = event.reason
    if state.turned(index):
        # A call that was announced before the saga turned back: nobody needs to decide about it.
        state.move(index, slot, "TurnedBack:unknown" if slot.unknown else "TurnedBack")
    elif node.pivot and not slot.unknown:
        # Nothing has happened, so the way back is open; and taken, if it was asked for meanwhile.
        state.pivot = -1
        if state.cancelling or state.deadline_passed:
            fail(state, index, slot, "deadline")


def _late_succeeded(state: SagaState, event: ev.LateSucceeded) -> None:
    slot = state.slot(event.node)
    if slot.status in (_S.RUNNING, _S.PROBING, _S.POLLING):
        state.move(event.node, slot, "LateSucceeded")
        slot.late = event.result
    elif slot.status in (_S.UNKNOWN, _S.PASSED, _S.UNDO_READY, _S.OWED):
        # The walk is past it. What was owed because nobody knew is owed no longer: its undo can run.
        slot.passed = slot.status is _S.PASSED
        state.move(event.node, slot, "LateSucceeded")
        slot.unknown = False
        slot.result = event.result
        slot.reason = ""
    else:
        succeed(state, event.node, slot, event.result, "LateSucceeded")


# --- what was accepted, and its polls ------------------------------------------------------------


def _accepted(state: SagaState, index: int, event: ev.ActionAccepted | ev.CompensationAccepted) -> Slot:
    slot = state.slot(index)
    slot.cut = False
    slot.deaths = 0
    slot.poll = event.poll
    slot.poll_error = ""
    slot.token = event.token
    slot.every_ms = event.every_ms
    slot.poll_until = slot.poll_until or event.until
    return slot


def _action_accepted(state: SagaState, event: ev.ActionAccepted) -> None:
    slot = _accepted(state, event.node, event)
    slot.attempts = 0  # the policy counts what fails in a row
    _not_done(state, event.node, slot, "ActionAccepted", event.due)


def _compensation_accepted(state: SagaState, event: ev.CompensationAccepted) -> None:
    slot = _accepted(state, event.node, event)
    slot.undo_attempts = 0
    state.move(event.node, slot, "CompensationAccepted")
    state.due[event.node] = event.due


def _not_done(state: SagaState, index: int, slot: Slot, event: str, due: int) -> None:
    """It was accepted, and is asked after once more; unless the time of asking is over: then it is unknown."""
    undo = slot.status is _S.UNDO_POLLING
    asks_on = undo or slot.late is not None or state.nodes[index].follow_up
    if asks_on or not (state.deadline_passed or state.turned(index)):
        _end_of_attempt(state, index, slot, event)
        if slot.status in (_S.ACCEPTED, _S.UNDO_ACCEPTED):
            state.due[index] = due
    else:
        slot.unknown = not state.nodes[index].read_only
        state.move(index, slot, f"{event}:given_up")


def _poll_started(state: SagaState, event: ev.PollStarted) -> None:
    state.move(event.node, state.slot(event.node), "PollStarted")


def _poll_pending(state: SagaState, event: ev.PollPending) -> None:
    slot = state.slot(event.node)
    slot.deaths = 0
    slot.every_ms = event.every_ms
    slot.poll_error = event.error
    if bytes(event.token) != b"null":
        slot.token = event.token
    if event.error:
        what = "poll of its compensation" if event.undo else "poll"
        state.note_error(f"{state.path_of(event.node)} ({what}): {event.error}")
        if event.undo:
            slot.undo_error = event.error
        else:
            slot.error = event.error
    _not_done(state, event.node, slot, "PollPending", event.due)


def _poll_cut(state: SagaState, event: ev.PollCut) -> None:
    slot = state.slot(event.node)
    slot.deaths += event.cause == "crash"
    _not_done(state, event.node, slot, "PollCut", event.due)


# --- probes --------------------------------------------------------------------------------------


def _probe_started(state: SagaState, event: ev.ProbeStarted) -> None:
    slot = state.slot(event.node)
    state.move(event.node, slot, "ProbeStarted")
    slot.probe_calls += 1
    slot.forced = False
    slot.probe_failed = False


def _probe_over(state: SagaState, index: int, event: str) -> Slot:
    slot = state.slot(index)
    slot.probes += 1
    slot.cut = False
    if event != "ProbeCut":
        slot.deaths = 0
    _end_of_attempt(state, index, slot, event)
    return slot


def _probe_found(state: SagaState, event: ev.ProbeFound) -> None:
    succeed(state, event.node, state.slot(event.node), event.result, "ProbeFound")


def _probe_not_seen(state: SagaState, event: ev.ProbeNotSeen) -> None:
    _probe_over(state, event.node, "ProbeNotSeen").probed = True


def _probe_rejected(state: SagaState, event: ev.ProbeRejected) -> None:
    slot = _probe_over(state, event.node, "ProbeRejected")
    if slot.status is _S.SETTLING:
        slot.unknown = False
        slot.rejected = True
        slot.error = event.error or slot.error


def _probe_failed(state: SagaState, event: ev.ProbeFailed) -> None:
    slot = _probe_over(state, event.node, "ProbeFailed")
    slot.probe_failed = True
    state.note_error(f"{state.path_of(event.node)} (probe): {event.error}")


def _probe_cut(state: SagaState, event: ev.ProbeCut) -> None:
    slot = _probe_over(state, event.node, "ProbeCut")
    slot.probes -= 1
    if event.cause == "crash" and slot.status is _S.SETTLING:
        slot.deaths += 1


def _probe_retry_scheduled(state: SagaState, event: ev.ProbeRetryScheduled) -> None:
    slot = state.slot(event.node)
    state.move(event.node, slot, "ProbeRetryScheduled")
    slot.probe_delay_ms = event.delay_ms
    state.due[event.node] = event.due


# --- compensations -------------------------------------------------------------------------------


def _compensation_started(state: SagaState, event: ev.CompensationStarted) -> None:
    slot = state.slot(event.node)
    state.move(event.node, slot, "CompensationStarted")
    slot.undo_calls += 1
    slot.forced = False
    if not slot.undo_first_at:
        slot.undo_first_at = state.at


def _compensation_succeeded(state: SagaState, event: ev.CompensationSucceeded) -> None:
    state.move(event.node, state.slot(event.node), "CompensationSucceeded")
    undone(state, event.node)


def _compensation_over(state: SagaState, index: int, event: str, error: str) -> Slot:
    slot = state.slot(index)
    state.move(index, slot, event)
    slot.cut = False
    slot.undo_attempts += 1
    slot.deaths = 0
    slot.undo_error = error
    state.note_error(f"{state.path_of(index)} (compensation): {error}")
    return slot


def _compensation_refused(state: SagaState, event: ev.CompensationRefused) -> None:
    _compensation_over(state, event.node, "CompensationRefused", event.error).undo_refused = True


def _compensation_failed(state: SagaState, event: ev.CompensationFailed) -> None:
    _compensation_over(state, event.node, "CompensationFailed", event.error or event.cause)


def _compensation_cut(state: SagaState, event: ev.CompensationCut) -> None:
    slot = state.slot(event.node)
    state.move(event.node, slot, "CompensationCut")
    slot.cut = True
    slot.deaths += event.cause == "crash"


def _compensation_retry_scheduled(state: SagaState, event: ev.CompensationRetryScheduled) -> None:
    slot = state.slot(event.node)
    state.move(event.node, slot, "CompensationRetryScheduled")
    slot.undo_delay_ms = event.delay_ms
    state.due[event.node] = event.due


def _step_owed(state: SagaState, event: ev.StepOwed) -> None:
    slot = state.slot(event.node)
    if slot.status is _S.COMPENSATING:
        # The call was announced and never made: its arguments did not decode.
        slot.undo_calls -= 1
        if not slot.undo_calls:
            slot.undo_first_at = 0
    state.move(event.node, slot, "StepOwed")
    slot.reason = event.reason
    if event.message:
        slot.undo_error = event.message
        state.note_error(f"{state.path_of(event.node)} (compensation): {event.message}")
    undone(state, event.node)


STEP_HANDLERS: dict[type, Callable[[SagaState, Any], None]] = {
    ev.ActionStarted: _action_started,
    ev.ActionSucceeded: _action_succeeded,
    ev.ActionRejected: _action_rejected,
    ev.ActionNotSent: _action_not_sent,
    ev.ActionUnknown: _action_unknown,
    ev.ActionCut: _action_cut,
    ev.ActionAccepted: _action_accepted,
    ev.PollStarted: _poll_started,
    ev.PollPending: _poll_pending,
    ev.PollCut: _poll_cut,
    ev.RetryScheduled: _retry_scheduled,
    ev.StepRejected: _step_rejected,
    ev.StepFailed: _step_failed,
    ev.StepUnknown: _step_unknown,
    ev.StepPassed: _step_passed,
    ev.StepParked: _step_parked,
    ev.LateSucceeded: _late_succeeded,
    ev.ProbeStarted: _probe_started,
    ev.ProbeFound: _probe_found,
    ev.ProbeNotSeen: _probe_not_seen,
    ev.ProbeRejected: _probe_rejected,
    ev.ProbeFailed: _probe_failed,
    ev.ProbeCut: _probe_cut,
    ev.ProbeRetryScheduled: _probe_retry_scheduled,
    ev.CompensationStarted: _compensation_started,
    ev.CompensationSucceeded: _compensation_succeeded,
    ev.CompensationRefused: _compensation_refused,
    ev.CompensationFailed: _compensation_failed,
    ev.CompensationCut: _compensation_cut,
    ev.CompensationAccepted: _compensation_accepted,
    ev.CompensationRetryScheduled: _compensation_retry_scheduled,
    ev.StepOwed: _step_owed,
}
