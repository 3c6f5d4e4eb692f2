"""What people, other programs and late answers may do to a saga, and when.

Each function looks at a folded saga and returns the events to journal (none: nothing to do), or
raises `Conflict` with the state and what it allows.

Rules of this file: pure; changes nothing; `decide` and `fold` never call the verbs, verbs never
decide what happens next.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Raw

from ..errors import Conflict, NotFound, UsageError
from ..limits import SIGNALS_PENDING_MAX
from . import events as ev
from .events import NOTHING, Event
from .graph import Kind, Node
from .members import members
from .state import SagaState, Slot, key_expired, undo_key_expired
from .transitions import BACKING_OFF, CALLING, StepStatus

_S = members(StepStatus)
Outcome = Literal["done", "not_done"]

_OWES = frozenset({_S.SUCCEEDED, _S.UNKNOWN, _S.UNDO_READY, _S.UNDO_RETRYING, _S.UNDO_ACCEPTED, _S.OWED})
_SKIPPABLE_UNDO = frozenset({_S.OWED, _S.UNDO_RETRYING, _S.UNDO_ACCEPTED})
_SHOWN = 20  # steps that an error names
_FORWARD_OPEN = frozenset({_S.PARKED, _S.RETRYING, _S.PROBE_RETRYING, _S.ACCEPTED})


def allowed(state: SagaState, now: int = 0) -> str:
    """The verbs that the saga's state allows, for error messages; `now` is its last frame's time when left out."""
    slots = [(index, slot) for index, slot in enumerate(state.slots) if slot is not None]
    verbs = []
    if not (state.ended or state.committed or state.back or _pivot_is_parked(state)):
        verbs.append("cancel")
    if any(callable_again(state, index, slot, now or state.at) for index, slot in slots):
        verbs.append("retry")
    if not state.ended:
        if any(_resolvable(state, index, slot) for index, slot in slots):
            verbs.append("resolve")
        if any(_skippable(state, index, slot) for index, slot in slots):
            verbs.append("skip")
    if state.paused and not state.finished:
        verbs.append("resume")
    elif not state.ended:
        verbs.append("pause")
    return ", ".join(verbs) or "nothing: it has ended"


def _pivot_is_parked(state: SagaState) -> bool:
    return state.pivot >= 0 and state.status_of(state.pivot) is _S.PARKED


def _resolvable(state: SagaState, index: int, slot: Slot) -> bool:
    """Whether `resolve` has something to say about this node."""
    node = state.nodes[index]
    if node.kind is not Kind.STEP:
        return False
    if state.turned(index):
        return slot.status in _OWES and not node.read_only and (not slot.undone or slot.status is _S.OWED)
    unsettled = slot.unknown or slot.status is _S.ACCEPTED
    return slot.status in _FORWARD_OPEN and (unsettled or state.committed or node.pivot)


def _skippable(state: SagaState, index: int, slot: Slot) -> bool:
    """Whether `skip` may leave this node out."""
    node = state.nodes[index]
    if node.kind is not Kind.STEP:
        return False
    if state.back:
        return slot.status in _SKIPPABLE_UNDO
    return state.committed and slot.status in _FORWARD_OPEN and not node.read


def _conflict(state: SagaState, why: str, now: int = 0) -> Conflict:
    return Conflict(f"saga {state.saga_id} is {state.status}: {why}; this state allows {allowed(state, now)}")


def _still_open(state: SagaState, verb: str) -> None:
    if state.ended:
        raise _conflict(state, f"{verb} comes too late")


def no_way_back(state: SagaState) -> Conflict:
    """What a cancel is told that waited for its pivot, when that did not fail."""
    return _conflict(state, "its pivot was under way and did not fail, so there is no way back")


def cancel(state: SagaState, reason: str, actor: str) -> list[Event]:
    """Turn back; during a pivot, ask for it and wait for the pivot's outcome."""
    _still_open(state, "cancel")
    if state.committed:
        raise _conflict(state, "its pivot has succeeded, there is no way back")
    if _pivot_is_parked(state):
        raise _conflict(state, f"the outcome of its pivot {state.path_of(state.pivot)} is unknown and parked")
    if state.back or state.cancelling:
        return []
    return [ev.CancelRequested(reason, actor)]


def callable_again(state: SagaState, index: int, slot: Slot, now: int) -> bool:
    """Whether `retry` may call this node: it is parked or backing off, and its call is possible."""
    node, policy = state.nodes[index], state.policy_of(index)
    if slot.status is _S.ACCEPTED and key_expired(policy, slot, now):
        return False  # its poll needs no young key and goes on; a call would give up what the participant took
    if slot.status is _S.UNDO_ACCEPTED and undo_key_expired(policy, slot, now):
        return False
    if slot.status in BACKING_OFF:
        return True
    if slot.status is _S.PARKED:
        return not key_expired(policy, slot, now) or (node.probe and slot.unknown)
    if slot.status is _S.OWED:
        takes_what_is_known = not (slot.unknown and node.needs_result)
        return node.compensation and takes_what_is_known and not undo_key_expired(policy, slot, now)
    return False


def retry(state: SagaState, reason: str, actor: str, now: int) -> list[Event]:
    """Call again what is parked, poisoned or backing off; forward, with a fresh deadline."""
    open_slots = [(index, slot) for index, slot in enumerate(state.slots) if slot is not None]
    waiting = [pair for pair in open_slots if pair[1].status in BACKING_OFF or pair[1].status in (_S.PARKED, _S.OWED)]
    if state.ended and not waiting:
        raise _conflict(state, "retry comes too late")
    if not waiting:
        raise _conflict(state, "nothing is parked or backing off, so there is nothing to retry")
    if not any(callable_again(state, index, slot, now) for index, slot in waiting):
        stuck = ", ".join(f"{state.path_of(index)} ({slot.reason or slot.status})" for index, slot in waiting[:_SHOWN])
        stuck += f" and {len(waiting) - _SHOWN:,} more" if len(waiting) > _SHOWN else ""
        raise _conflict(state, f"what waits cannot be called again: {stuck}; resolve or skip it", now)
    length_ms = state.graph.deadline_ms if state.started is None else state.started.deadline_ms
    fresh = now + length_ms if length_ms and not state.back and not state.ended else 0
    return [ev.RetryRequested(reason, actor, fresh)]


def resolve(state: SagaState, index: int, outcome: Outcome, result: Raw | None, reason: str, actor: str) -> list[Event]:
    """Take a person's word for what became of a step (`result`: the encoded value, or None)."""
    if outcome not in ("done", "not_done"):
        raise UsageError(f'resolve(outcome={outcome!r}): give "done" or "not_done"', code="AM2010")
    _still_open(state, "resolve")
    node, slot = _step(state, index)
    _not_calling(state, index, slot)
    if state.turned(index):
        return _resolve_undo(state, index, slot, outcome, reason, actor)
    path = state.path_of(index)
    if not _resolvable(state, index, slot):
        raise _conflict(state, f"step {path} is {slot.status}, which leaves nothing to resolve going forward")
    if outcome == "done" and result is None and node.read:
        raise UsageError(
            f"resolve({path!r}): its result is read later in the saga; give result=, a value of the step's type",
            code="AM2011",
        )
    return [ev.Resolved(index, outcome, False, NOTHING if result is None else result, reason, actor)]


def _resolve_undo(state: SagaState, index: int, slot: Slot, outcome: Outcome, reason: str, actor: str) -> list[Event]:
    path = state.path_of(index)
    if not _resolvable(state, index, slot):
        raise _conflict(state, f"step {path} is {slot.status}, so nothing is owed for it")
    if outcome == "not_done" and not slot.unknown:
        raise _conflict(state, f'step {path} is known to have succeeded, so "not_done" cannot be true')
    return [ev.Resolved(index, outcome, True, NOTHING, reason, actor)]


def skip(state: SagaState, index: int, reason: str, actor: str) -> list[Event]:
    """Leave out an owed compensation, or a post-pivot step that nobody reads; the saga ends `closed`."""
    _still_open(state, "skip")
    node, slot = _step(state, index)
    _not_calling(state, index, slot)
    path = state.path_of(index)
    if state.back:
        if slot.status not in _SKIPPABLE_UNDO:
            raise _conflict(state, f"step {path} is {slot.status}: no compensation of it is owed")
    elif state.turned(index):
        raise _conflict(state, f"an alternative is tried after what step {path} did is undone; resolve it, or cancel")
    elif not state.committed or slot.status not in _FORWARD_OPEN:
        raise _conflict(state, f"step {path} is {slot.status}; only a stuck step after the pivot can be skipped")
    elif node.read:
        raise _conflict(state, f"the result of step {path} is read later, so it cannot be skipped; resolve it")
    return [ev.Skipped(index, reason, actor)]


def pause(state: SagaState, reason: str, actor: str) -> list[Event]:
    """No attempt starts any more, compensations included."""
    _still_open(state, "pause")
    if state.paused:
        raise _conflict(state, "it is paused already")
    return [ev.Paused(reason, actor)]


def resume(state: SagaState, reason: str, actor: str) -> list[Event]:
    """Undo `pause`; a deadline that passed meanwhile is applied now. Follow-ups may be paused, too."""
    if state.finished or not state.paused:
        _still_open(state, "resume")
        raise _conflict(state, "it is not paused")
    return [ev.Resumed(reason, actor)]


def signal(state: SagaState, name: str, payload: Raw, signal_id: str) -> list[Event]:
    """Journal a signal, once per id."""
    waits = [node for node in state.graph.nodes if node.kind is Kind.WAIT]
    if not any(node.signal == name for node in waits) and (
        (at := state.find(name)) < 0 or state.nodes[at].kind is not Kind.WAIT
    ):
        names = ", ".join(sorted({node.signal for node in waits})) or "nothing"
        raise NotFound(
            f"saga {state.saga_id}: no wait_for({name!r}) in {state.graph.name}; it waits for: {names}", code="AM3004"
        )
    if signal_id and signal_id in state.signal_ids:
        return []
    _still_open(state, "a signal")
    if len(state.signals.get(name, ())) >= SIGNALS_PENDING_MAX:
        raise _conflict(state, f"{SIGNALS_PENDING_MAX} signals named {name!r} are pending already")
    return [ev.SignalReceived(name, payload, signal_id)]


def late_success(state: SagaState, index: int, result: Raw) -> list[Event]:
    """A success whose attempt was given up: settle the step while that is possible, else note it."""
    node, slot = state.nodes[index], state.slot(index)
    status = slot.status
    if status is _S.SUCCEEDED:
        return []
    settles = status in _STILL_OPEN or (not node.follow_up and status in _STILL_UNDOABLE and not slot.undo_calls)
    if slot.unknown and settles and (node.follow_up or not state.ended):
        return [ev.LateSucceeded(index, result)]
    harmless = node.read_only or node.follow_up or (node.best_effort and not node.compensation)
    nothing_will_undo_it = status in (_S.COMPENSATED, _S.REJECTED, _S.FAILED, _S.DROPPED) and not harmless
    message = f"a late success of {state.path_of(index)} arrived when it was {status}"
    return [ev.AnomalyNoted(index, message, nothing_will_undo_it)]


_STILL_OPEN = frozenset(
    {_S.RUNNING, _S.PROBING, _S.SETTLING, _S.RETRYING, _S.PROBE_RETRYING, _S.ACCEPTED, _S.POLLING, _S.PARKED}
)
_STILL_UNDOABLE = frozenset({_S.UNKNOWN, _S.PASSED, _S.UNDO_READY, _S.OWED})


def cut_off(state: SagaState, cause: str) -> list[Event]:
    """Every call that ran when its process ended (or the lease was lost): unknown, no attempt used."""
    events: list[Event] = []
    for index, slot in enumerate(state.slots):
        if slot is None:
            continue
        if slot.status is _S.RUNNING:
            events.append(ev.ActionCut(index, cause))
        elif slot.status is _S.PROBING:
            events.append(ev.ProbeCut(index, cause))
        elif slot.status is _S.COMPENSATING:
            events.append(ev.CompensationCut(index, cause))
        elif slot.status in (_S.POLLING, _S.UNDO_POLLING):
            events.append(ev.PollCut(index, state.at, slot.status is _S.UNDO_POLLING, cause))
    return events


def _step(state: SagaState, index: int) -> tuple[Node, Slot]:
    node, slot = state.nodes[index], state.slots[index]
    if node.kind is not Kind.STEP:
        raise _conflict(state, f"{node.path} is no step")
    if slot is None:
        raise _conflict(state, f"step {state.path_of(index)} has not been reached")
    return node, slot


def _not_calling(state: SagaState, index: int, slot: Slot) -> None:
    if slot.status in CALLING:
        raise _conflict(state, f"a call of step {state.path_of(index)} runs right now; wait for its end")
