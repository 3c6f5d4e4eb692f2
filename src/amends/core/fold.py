"""`fold(state, event) -> state`: what an event means. The journal's only interpreter.

Rules of this file:
  * total over legal journals, and pure but for the state it owns; an illegal event raises
    `IllegalTransition`, which puts the saga on hold and harms nobody else.
  * a fold never decides. It records the fact, takes the table's transition, and walks the tree:
    what became ready, what must be undone next. Policy is `decide`'s.
  * every event has exactly one handler, found by its class.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from . import events as ev
from .events import Event, Frame
from .graph import Graph, Kind
from .state import IllegalTransition, SagaState, Slot, begin_undo, done, enter, undone
from .transitions import SAGA_TRANSITIONS, SagaStatus, StepStatus
from .verbs import callable_again

_S = StepStatus


def fold(state: SagaState, event: Event) -> SagaState:
    """Apply one event. The frame's time must have been set (`state.at`)."""
    _HANDLERS[type(event)](state, event)
    if state.back and not state.undoing and not state.active:
        begin_undo(state)
    return state


def fold_frame(state: SagaState, frame: Frame) -> SagaState:
    """Apply one journal row: its time, then its events."""
    state.at = frame.at
    state.seq += 1
    for event in frame.events:
        fold(state, event)
    return state


def load(graph: Graph, frames: list[Frame]) -> SagaState:
    """The state that a whole journal folds to."""
    state = SagaState(graph)
    for frame in frames:
        fold_frame(state, frame)
    return state


# --- the saga ------------------------------------------------------------------------------------


def _saga(state: SagaState, event: str) -> None:
    status = SAGA_TRANSITIONS[state.status].get(event)
    if status is None:
        raise IllegalTransition(f"saga {state.saga_id}: {event} is illegal in {state.status}")
    state.status = status


def _started(state: SagaState, event: ev.Started) -> None:
    if state.started is not None:
        raise IllegalTransition(f"saga {state.saga_id}: started twice")
    state.started = event
    state.saga_id = event.saga_id
    state.input = event.input
    state.deadline = event.deadline


def _began(state: SagaState, event: ev.Began) -> None:
    _saga(state, "Began")
    enter(state, state.graph.root)


def _turned_back(state: SagaState, event: ev.TurnedBack) -> None:
    if state.committed or state.back:
        raise IllegalTransition(f"saga {state.saga_id}: cannot turn back after the pivot, nor twice")
    _saga(state, "TurnedBack")
    state.back = True
    state.walk_done = False
    state.failing = None
    state.cancelling = False
    state.turned_back = event
    for index, slot in enumerate(state.slots):
        if slot is None or state.nodes[index].kind in (Kind.SEQUENCE, Kind.PARALLEL):
            continue
        if slot.status in (_S.READY, _S.WAITING, _S.RETRYING):
            state.move(index, slot, "TurnedBack")
        elif slot.status is _S.PARKED:
            state.move(index, slot, "TurnedBack:unknown" if slot.unknown else "TurnedBack")


def _ended(state: SagaState, event: Event) -> None:
    _saga(state, type(event).__name__)
    state.walk_done = False
    if isinstance(event, ev.Completed):
        root = state.graph.after_completed
    elif isinstance(event, ev.Compensated):
        root = state.graph.after_compensated
    else:
        root = -1
    state.due.clear()
    if root < 0:
        state.finished = True
    else:
        enter(state, root)


def _requires_manual(state: SagaState, event: ev.RequiresManual) -> None:
    _saga(state, "RequiresManual")


def _reactivated(state: SagaState, event: ev.Reactivated) -> None:
    _saga(state, "Reactivated:back" if state.back else "Reactivated")


def _follow_ups_ended(state: SagaState, event: ev.FollowUpsEnded) -> None:
    state.finished = True
    state.followup_failed = event.failed


def _deadline_passed(state: SagaState, event: ev.DeadlinePassed) -> None:
    state.deadline_passed = True
    if not state.committed and (state.pivot < 0 or state.status_of(state.pivot) not in _PIVOT_OPEN):
        state.failing = state.failing or ev.TurnedBack("deadline")
        return
    for index, slot in enumerate(state.slots):
        if slot is not None and slot.status in (_S.RETRYING, _S.WAITING):
            state.move(index, slot, "DeadlinePassed")


_PIVOT_OPEN = frozenset({_S.RUNNING, _S.SETTLING, _S.RETRYING, _S.PROBING, _S.PROBE_RETRYING, _S.PARKED})


def _held(state: SagaState, event: ev.Held) -> None:
    state.held = event.reason


def _released(state: SagaState, event: ev.Released) -> None:
    state.held = ""


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
    if slot.probed:
        slot.probed = False
        slot.probes = 0
    if state.nodes[index].pivot:
        state.pivot = index


def _succeed(state: SagaState, index: int, slot: Slot, result: Any, event: str) -> None:
    state.move(index, slot, event)
    slot.result = result
    if slot.unknown:
        slot.unknown = False
    node = state.nodes[index]
    if node.pivot:
        state.committed = True
    done(state, index)


def _action_succeeded(state: SagaState, event: ev.ActionSucceeded) -> None:
    slot = state.slot(event.node)
    slot.deaths = 0
    _succeed(state, event.node, slot, event.result, "ActionSucceeded")


def _attempt_over(state: SagaState, index: int, event: str, error: str, *, cut: bool = False) -> Slot:
    """What every attempt without success has in common; a stashed late success settles it."""
    slot = state.slot(index)
    slot.cut = cut
    slot.rejected = False
    if error:
        slot.error = error
        state.errors.append(f"{state.nodes[index].path}: {error}")
    if not cut:
        slot.deaths = 0
        slot.attempts += 1
    if slot.late is not None:
        _succeed(state, index, slot, slot.late, "ended:late")
    else:
        state.move(index, slot, event)
    return slot


def _action_rejected(state: SagaState, event: ev.ActionRejected) -> None:
    slot = _attempt_over(state, event.node, "ActionRejected", event.error)
    if slot.status is not _S.SETTLING:
        return
    if event.conclusive or not slot.unknown:
        slot.unknown = False
        slot.rejected = True
    else:
        slot.refused = True


def _action_not_sent(state: SagaState, event: ev.ActionNotSent) -> None:
    _attempt_over(state, event.node, "ActionNotSent", event.error)


def _became_unknown(state: SagaState, index: int, slot: Slot) -> None:
    # A read-only step has no effect, so nothing about it can be unknown.
    if slot.status is _S.SETTLING and not state.nodes[index].read_only:
        slot.unknown = True


def _action_unknown(state: SagaState, event: ev.ActionUnknown) -> None:
    slot = _attempt_over(state, event.node, "ActionUnknown", event.error or event.cause)
    _became_unknown(state, event.node, slot)


def _action_cut(state: SagaState, event: ev.ActionCut) -> None:
    slot = _attempt_over(state, event.node, "ActionCut", "", cut=True)
    if event.cause == "crash":
        slot.deaths += 1
    _became_unknown(state, event.node, slot)


def _retry_scheduled(state: SagaState, event: ev.RetryScheduled) -> None:
    slot = state.slot(event.node)
    state.move(event.node, slot, "RetryScheduled")
    slot.delay_ms = event.delay_ms
    state.due[event.node] = event.due


def _fail(state: SagaState, index: int, slot: Slot, cause: str) -> None:
    """A step or wait ended in a way that turns the saga back, unless it may not."""
    if state.nodes[index].follow_up:
        state.followup_failed = True
        done(state, index)
    elif state.failing is None and not state.back:
        if state.cancelling:
            cause = "cancelled"
        state.failing = ev.TurnedBack(cause, index, slot.error)


def _step_rejected(state: SagaState, event: ev.StepRejected) -> None:
    slot = state.slot(event.node)
    state.move(event.node, slot, "StepRejected")
    _fail(state, event.node, slot, "rejected")


def _step_failed(state: SagaState, event: ev.StepFailed) -> None:
    slot = state.slot(event.node)
    state.move(event.node, slot, "StepFailed")
    _fail(state, event.node, slot, "failed")


def _step_unknown(state: SagaState, event: ev.StepUnknown) -> None:
    slot = state.slot(event.node)
    state.move(event.node, slot, "StepUnknown")
    _fail(state, event.node, slot, "unknown")


def _step_passed(state: SagaState, event: ev.StepPassed) -> None:
    state.move(event.node, state.slot(event.node), "StepPassed")
    done(state, event.node)


def _step_parked(state: SagaState, event: ev.StepParked) -> None:
    slot = state.slot(event.node)
    if state.nodes[event.node].follow_up:
        # A follow-up cannot change the end, so it is never parked: it failed, and the next one runs.
        slot.error = event.message or event.reason
        state.move(event.node, slot, "StepParked:follow_up")
        state.followup_failed = True
        done(state, event.node)
        return
    if slot.status is _S.RUNNING:
        # The call was announced and never made: its arguments did not decode.
        slot.calls -= 1
    state.move(event.node, slot, "StepParked")
    slot.reason = event.reason
    if event.message:
        slot.error = event.message
        state.errors.append(f"{state.nodes[event.node].path}: {event.message}")
    if state.nodes[event.node].pivot and not slot.calls:
        state.pivot = -1
    if state.back:
        # Turning back, only an unknown step can get here; it is settled so that its undo is owed.
        state.move(event.node, slot, "TurnedBack:unknown" if slot.unknown else "TurnedBack")


def _late_succeeded(state: SagaState, event: ev.LateSucceeded) -> None:
    slot = state.slot(event.node)
    if slot.status in (_S.RUNNING, _S.PROBING):
        state.move(event.node, slot, "LateSucceeded")
        slot.late = event.result
    elif slot.status is _S.UNDO_READY:
        state.move(event.node, slot, "LateSucceeded")
        slot.unknown = False
        slot.result = event.result
    else:
        _succeed(state, event.node, slot, event.result, "LateSucceeded")


def _anomaly_noted(state: SagaState, event: ev.AnomalyNoted) -> None:
    if event.after_undo:
        state.anomalous = True


def _noted(state: SagaState, event: Event) -> None:
    """A fact for people; it changes nothing."""


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
    if slot.late is not None:
        _succeed(state, index, slot, slot.late, "ended:late")
    else:
        state.move(index, slot, event)
    return slot


def _probe_found(state: SagaState, event: ev.ProbeFound) -> None:
    _succeed(state, event.node, state.slot(event.node), event.result, "ProbeFound")


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
    state.errors.append(f"{state.nodes[event.node].path} (probe): {event.error}")


def _probe_cut(state: SagaState, event: ev.ProbeCut) -> None:
    slot = _probe_over(state, event.node, "ProbeCut")
    slot.probes -= 1
    slot.deaths += event.cause == "crash"


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
    state.errors.append(f"{state.nodes[index].path} (compensation): {error}")
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
    state.move(event.node, slot, "StepOwed")
    slot.reason = event.reason
    if event.message:
        slot.undo_error = event.message
        state.errors.append(f"{state.nodes[event.node].path} (compensation): {event.message}")
    undone(state, event.node)


# --- control flow --------------------------------------------------------------------------------


def _branch_chosen(state: SagaState, event: ev.BranchChosen) -> None:
    slot = state.slot(event.node)
    state.move(event.node, slot, "BranchChosen")
    slot.cursor = event.branch
    enter(state, state.nodes[event.node].children[event.branch])


def _wait_started(state: SagaState, event: ev.WaitStarted) -> None:
    state.move(event.node, state.slot(event.node), "WaitStarted")
    state.waits.setdefault(state.nodes[event.node].signal, []).append(event.node)
    if event.due:
        state.due[event.node] = event.due


def _wait_satisfied(state: SagaState, event: ev.WaitSatisfied) -> None:
    pending = state.signals[state.nodes[event.node].signal]
    _succeed(state, event.node, state.slot(event.node), pending.popleft(), "WaitSatisfied")


def _wait_timed_out(state: SagaState, event: ev.WaitTimedOut) -> None:
    slot, node = state.slot(event.node), state.nodes[event.node]
    state.move(event.node, slot, "WaitTimedOut")
    if node.children:
        enter(state, node.children[0])
    else:
        slot.error = "no signal in time"
        _fail(state, event.node, slot, "timeout")


def _sleep_started(state: SagaState, event: ev.SleepStarted) -> None:
    slot = state.slot(event.node)
    state.move(event.node, slot, "SleepStarted")
    slot.sleep_due = state.due[event.node] = event.due


def _sleep_ended(state: SagaState, event: ev.SleepEnded) -> None:
    state.move(event.node, state.slot(event.node), "SleepEnded")
    done(state, event.node)


# --- from outside --------------------------------------------------------------------------------


def _signal_received(state: SagaState, event: ev.SignalReceived) -> None:
    state.signals.setdefault(event.name, deque()).append(event.payload)
    if event.id:
        state.signal_ids.add(event.id)
    for index in state.waits.get(event.name, ()):
        slot = state.slot(index)
        if slot.status is _S.WAITING:  # one signal wakes one wait
            state.move(index, slot, "SignalReceived")
            break


def _cancel_requested(state: SagaState, event: ev.CancelRequested) -> None:
    if state.pivot >= 0 and state.status_of(state.pivot) in _PIVOT_OPEN:
        state.cancelling = True
        slot = state.slot(state.pivot)
        if slot.status is _S.RETRYING:
            state.move(state.pivot, slot, "CancelRequested")
    elif state.failing is None:
        state.failing = ev.TurnedBack("cancelled", -1, event.reason)


def _cancel_refused(state: SagaState, event: ev.CancelRefused) -> None:
    state.cancelling = False


def _retry_requested(state: SagaState, event: ev.RetryRequested) -> None:
    if event.deadline:
        state.deadline = event.deadline
        state.deadline_passed = False
    for index, slot in enumerate(state.slots):
        if slot is not None and callable_again(state, index, slot, state.at):
            _call_again(state, index, slot)


def _call_again(state: SagaState, index: int, slot: Slot) -> None:
    """The policy's counters start afresh; the key and what is unknown stay."""
    virgin = slot.status is _S.PARKED and (not slot.calls or state.nodes[index].kind is not Kind.STEP)
    state.move(index, slot, "RetryRequested:first" if virgin else "RetryRequested")
    slot.forced = True
    slot.attempts = slot.probes = slot.deaths = slot.undo_attempts = 0
    slot.delay_ms = slot.undo_delay_ms = 0
    slot.refused = slot.rejected = slot.probed = slot.probe_failed = slot.undo_refused = False
    slot.reason = ""


def _resolved(state: SagaState, event: ev.Resolved) -> None:
    index, slot = event.node, state.slot(event.node)
    slot.reason = ""
    reached = slot.status not in (_S.SUCCEEDED, _S.UNKNOWN)
    if event.undo:
        if event.outcome == "done":
            state.move(index, slot, "Resolved:undone")
        else:
            slot.unknown = False
            state.move(index, slot, "Resolved:not_done")
        if reached:  # else the walk backward is yet to come, and will find nothing to do here
            undone(state, index)
    elif event.outcome == "done":
        _succeed(state, index, slot, event.result, "Resolved:done")
    elif state.committed:
        slot.unknown = slot.refused = slot.rejected = False
        slot.forced = True
        state.move(index, slot, "Resolved:failed")
    else:
        slot.unknown = False
        state.move(index, slot, "Resolved:not_done")
        _fail(state, index, slot, "rejected")


def _skipped(state: SagaState, event: ev.Skipped) -> None:
    slot = state.slot(event.node)
    state.move(event.node, slot, "Skipped")
    state.skips += 1
    if state.back:
        undone(state, event.node)
    else:
        done(state, event.node)


def _paused(state: SagaState, event: ev.Paused) -> None:
    state.paused = True


def _resumed(state: SagaState, event: ev.Resumed) -> None:
    state.paused = False


_HANDLERS: dict[type, Callable[[SagaState, Any], None]] = {
    ev.Started: _started,
    ev.Began: _began,
    ev.TurnedBack: _turned_back,
    ev.Completed: _ended,
    ev.Compensated: _ended,
    ev.Closed: _ended,
    ev.RequiresManual: _requires_manual,
    ev.Reactivated: _reactivated,
    ev.FollowUpsEnded: _follow_ups_ended,
    ev.DeadlinePassed: _deadline_passed,
    ev.Held: _held,
    ev.Released: _released,
    ev.ActionStarted: _action_started,
    ev.ActionSucceeded: _action_succeeded,
    ev.ActionRejected: _action_rejected,
    ev.ActionNotSent: _action_not_sent,
    ev.ActionUnknown: _action_unknown,
    ev.ActionCut: _action_cut,
    ev.RetryScheduled: _retry_scheduled,
    ev.StepRejected: _step_rejected,
    ev.StepFailed: _step_failed,
    ev.StepUnknown: _step_unknown,
    ev.StepPassed: _step_passed,
    ev.StepParked: _step_parked,
    ev.LateSucceeded: _late_succeeded,
    ev.AnomalyNoted: _anomaly_noted,
    ev.AttemptAbandoned: _noted,
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
    ev.CompensationRetryScheduled: _compensation_retry_scheduled,
    ev.StepOwed: _step_owed,
    ev.BranchChosen: _branch_chosen,
    ev.WaitStarted: _wait_started,
    ev.WaitSatisfied: _wait_satisfied,
    ev.WaitTimedOut: _wait_timed_out,
    ev.SleepStarted: _sleep_started,
    ev.SleepEnded: _sleep_ended,
    ev.SignalReceived: _signal_received,
    ev.CancelRequested: _cancel_requested,
    ev.CancelRefused: _cancel_refused,
    ev.RetryRequested: _retry_requested,
    ev.Resolved: _resolved,
    ev.Skipped: _skipped,
    ev.Paused: _paused,
    ev.Resumed: _resumed,
}
