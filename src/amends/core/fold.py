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
from .fold_steps import STEP_HANDLERS, succeed
from .graph import Graph, Kind
from .members import members
from .places import Block
from .state import IllegalTransition, SagaState, Slot
from .transitions import SAGA_TRANSITIONS, StepStatus
from .verbs import callable_again
from .walk import begin_undo, done, enter, fail, forget, give_up, leave, list_items, undo_alternatives, undone

_K = members(Kind)
_S = members(StepStatus)


def fold(state: SagaState, event: Event) -> SagaState:
    """Apply one event. The frame's time must have been set (`state.at`)."""
    _HANDLERS[type(event)](state, event)
    if state.back:
        if not state.undoing and not state.active:
            begin_undo(state)
    elif state.quiet:
        undo_alternatives(state)
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
        if slot is not None:
            give_up(state, index, slot)
    state.quiet = ()


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
        if slot is not None and slot.status in (_S.RETRYING, _S.WAITING, _S.ACCEPTED):
            if slot.status is _S.ACCEPTED:
                slot.unknown = not state.nodes[index].read_only
            state.move(index, slot, "DeadlinePassed")


_PIVOT_OPEN = frozenset(
    {_S.RUNNING, _S.SETTLING, _S.RETRYING, _S.ACCEPTED, _S.POLLING, _S.PROBING, _S.PROBE_RETRYING, _S.PARKED}
)


def _held(state: SagaState, event: ev.Held) -> None:
    state.held = event.reason


def _released(state: SagaState, event: ev.Released) -> None:
    state.held = ""


def _anomaly_noted(state: SagaState, event: ev.AnomalyNoted) -> None:
    if event.after_undo:
        state.anomalous = True


def _noted(state: SagaState, event: Event) -> None:
    """A fact for people; it changes nothing."""


# --- control flow --------------------------------------------------------------------------------


def _branch_chosen(state: SagaState, event: ev.BranchChosen) -> None:
    slot = state.slot(event.node)
    state.move(event.node, slot, "BranchChosen")
    slot.cursor = event.branch
    enter(state, _child(state, event.node, event.branch))


def _child(state: SagaState, index: int, position: int) -> int:
    node = state.nodes[index]
    return node.children[position] + index - node.index


def _items_listed(state: SagaState, event: ev.ItemsListed) -> None:
    slot = state.slot(event.node)
    state.move(event.node, slot, "ItemsListed")
    slot.items = event.items
    slot.limit = event.limit
    if event.first != len(state.slots):
        raise IllegalTransition(f"saga {state.saga_id}: the items of {state.path_of(event.node)} have others' slots")
    list_items(state, event.node, Block(event.first, event.node, event.body, event.size, len(event.items)))


def _call_entered(state: SagaState, event: ev.CallEntered) -> None:
    slot = state.slot(event.node)
    state.move(event.node, slot, "CallEntered")
    slot.input = event.input
    enter(state, _child(state, event.node, 0))


def _alternative_started(state: SagaState, event: ev.AlternativeStarted) -> None:
    slot = state.slot(event.node)
    if event.position:  # what the one before assigned is not there any more
        for index in state.subtree(_child(state, event.node, slot.cursor)):
            left = state.slots[index]
            if left is not None:
                left.passed = True
    state.move(event.node, slot, "AlternativeStarted")
    forget(state, event.node)
    slot.undone = False
    slot.cursor = event.position
    enter(state, _child(state, event.node, event.position))


def _alternative_failed(state: SagaState, event: ev.AlternativeFailed) -> None:
    slot = state.slot(event.node)
    state.move(event.node, slot, "AlternativeFailed")
    slot.given_up = (*slot.given_up, event)
    slot.error = f"{state.path_of(event.step)}: {event.message}" if event.message else state.path_of(event.step)
    forget(state, event.node)
    leave(state, event.node)
    for index in state.subtree(_child(state, event.node, slot.cursor)):
        below = state.slots[index]
        if below is not None:
            give_up(state, index, below)


def _first_of_failed(state: SagaState, event: ev.FirstOfFailed) -> None:
    slot = state.slot(event.node)
    state.move(event.node, slot, "FirstOfFailed")
    forget(state, event.node)
    fail(state, event.node, slot, slot.given_up[-1].cause)


def _wait_started(state: SagaState, event: ev.WaitStarted) -> None:
    state.move(event.node, state.slot(event.node), "WaitStarted")
    for name in {state.nodes[event.node].signal, state.path_of(event.node)}:
        if not isinstance(state.waits, dict):
            state.waits = {}
        state.waits.setdefault(name, []).append(event.node)
    if event.due:
        state.due[event.node] = event.due


def _wait_satisfied(state: SagaState, event: ev.WaitSatisfied) -> None:
    pending = state.pending(event.node)
    assert pending is not None, "the kernel decides it only when there is a signal"
    succeed(state, event.node, state.slot(event.node), pending.popleft(), "WaitSatisfied")


def _wait_timed_out(state: SagaState, event: ev.WaitTimedOut) -> None:
    slot, node = state.slot(event.node), state.nodes[event.node]
    state.move(event.node, slot, "WaitTimedOut")
    if node.children:
        enter(state, _child(state, event.node, 0))
    else:
        slot.error = "no signal in time"
        fail(state, event.node, slot, "timeout")


def _sleep_started(state: SagaState, event: ev.SleepStarted) -> None:
    slot = state.slot(event.node)
    state.move(event.node, slot, "SleepStarted")
    slot.sleep_due = state.due[event.node] = event.due


def _sleep_ended(state: SagaState, event: ev.SleepEnded) -> None:
    state.move(event.node, state.slot(event.node), "SleepEnded")
    done(state, event.node)


# --- from outside --------------------------------------------------------------------------------


def _signal_received(state: SagaState, event: ev.SignalReceived) -> None:
    if not isinstance(state.signals, dict):
        state.signals = {}
    state.signals.setdefault(event.name, deque()).append(event.payload)
    if event.id:
        if not isinstance(state.signal_ids, set):
            state.signal_ids = set()
        state.signal_ids.add(event.id)
    waits = state.waits.get(event.name)
    if not waits:
        return
    passed = 0
    for index in waits:
        passed += 1
        slot = state.slot(index)
        if slot.status is _S.WAITING:  # one signal wakes one wait
            state.move(index, slot, "SignalReceived")
            break
    del waits[:passed]  # else each later signal would pass them by again; one that waits anew is noted anew


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
    virgin = slot.status is _S.PARKED and (not slot.calls or state.nodes[index].kind is not _K.STEP)
    if slot.status is _S.ACCEPTED:  # it is called again, and may have taken effect already
        slot.unknown = not state.nodes[index].read_only
    state.move(index, slot, "RetryRequested:first" if virgin else "RetryRequested")
    slot.forced = True
    slot.attempts = slot.probes = slot.deaths = slot.undo_attempts = 0
    slot.delay_ms = slot.undo_delay_ms = slot.poll_until = 0
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
        succeed(state, index, slot, event.result, "Resolved:done")
    elif state.committed:
        slot.unknown = slot.refused = slot.rejected = False
        slot.deaths = slot.poll_until = 0
        slot.forced = not state.nodes[index].best_effort  # which its policy may end here
        state.move(index, slot, "Resolved:failed")
    else:
        slot.unknown = False
        if state.nodes[index].best_effort:
            state.move(index, slot, "Resolved:passed")
            done(state, index)
        else:
            state.move(index, slot, "Resolved:not_done")
            fail(state, index, slot, "rejected")


def _skipped(state: SagaState, event: ev.Skipped) -> None:
    slot = state.slot(event.node)
    if slot.status is _S.ACCEPTED:  # left out, and it may take effect all the same: it is listed
        slot.unknown = not state.nodes[event.node].read_only
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
    **STEP_HANDLERS,
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
    ev.AnomalyNoted: _anomaly_noted,
    ev.AttemptAbandoned: _noted,
    ev.BranchChosen: _branch_chosen,
    ev.ItemsListed: _items_listed,
    ev.CallEntered: _call_entered,
    ev.AlternativeStarted: _alternative_started,
    ev.AlternativeFailed: _alternative_failed,
    ev.FirstOfFailed: _first_of_failed,
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
