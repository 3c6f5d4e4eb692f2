"""`decide(graph, state, now) -> commands`: what happens next. Every policy of a saga is here.

A command is an event to journal, or `Evaluate`: a predicate or a function of the author's that must
be run *now*, whose answer is an event. Intents (`ActionStarted`, ...) are commands too: once durable,
the runtime makes the call they announce. The runtime folds the commands and asks again, until there
are none: all of that is one frame.

Rules of this file:
  * pure and total; it changes nothing. It costs O(nodes made ready): everything else is a counter.
  * order matters, and is the order of `decide` below: what settles goes before what starts, so that
    a saga which is about to turn back begins nothing new.
  * an outcome is decided by what is *proven*. What is not proven stays unknown.
"""

from __future__ import annotations

import hashlib

from msgspec import Struct

from ..policies.retry import Retry, next_delay_ms
from . import events as ev
from .events import Event
from .graph import Graph, Kind, Node, Policy
from .members import members
from .state import SagaState, Slot, key_expired, stays, undo_key_expired
from .transitions import SagaStatus, StepStatus

_G = members(SagaStatus)
_K = members(Kind)
_S = members(StepStatus)


class Evaluate(Struct, frozen=True):
    """Run the author's predicates (CHOOSE) or length (SLEEP) of this node and journal the answer."""

    node: int


Command = Event | Evaluate


def decide(graph: Graph, state: SagaState, now: int) -> list[Command]:
    """The next commands of a saga; empty when it waits for something outside.

    Parameters:
        graph: the saga's compiled definition, the one that the state was made with.
        state: its folded journal; not changed.
        now: milliseconds since the epoch.
    """
    assert graph is state.graph, "a state is decided by the definition that it was folded with"
    if state.finished:
        return []
    if state.status is _G.SCHEDULED:
        return [ev.Began()] if state.started is not None else []
    if state.cancelling and state.pivot >= 0 and state.status_of(state.pivot) in (_S.SUCCEEDED, _S.PARKED):
        return [ev.CancelRefused()]
    if state.failing is not None:
        return [state.failing]
    if state.alternatives:
        return _given_up(state)
    if _deadline_is_over(state, now):
        return [ev.DeadlinePassed()]
    if state.status is _G.REQUIRES_MANUAL and (state.active or not (state.stuck or state.walk_done)):
        return [ev.Reactivated()]
    commands = _due(state, now) if state.due and not state.paused else []
    if state.agenda:
        slots = state.slots
        for index in state.agenda:
            if slots[index].status is _S.SETTLING:  # type: ignore[union-attr]  # what is on the agenda was reached
                command = _settle(state, index, now)
                if command is not None:
                    commands.append(command)
        if not commands:
            return _beginnings(state, now) or _rest(state)
    return _what_settles(commands) if commands else _rest(state)


def _given_up(state: SagaState) -> list[Command]:
    """The alternatives that failed; of one within another only the outer, which takes the inner with it."""
    failed = state.alternatives
    return [failed[index] for index in failed if not any(around in failed for around in state.around(index))]


_GOES_ON = frozenset(
    {
        ev.ActionStarted,
        ev.RetryScheduled,
        ev.ProbeStarted,
        ev.ProbeRetryScheduled,
        ev.CompensationStarted,
        ev.PollStarted,
        ev.AlternativeStarted,
    }
)


def _what_settles(commands: list[Command]) -> list[Command]:
    """Without those that call again, if others may turn the saga back first."""
    if len(commands) == 1:
        return commands
    return [command for command in commands if type(command) not in _GOES_ON] or commands


def has_nothing_to_decide(state: SagaState) -> bool:
    """A cheap certainty that `decide` would return nothing: some call runs, and nothing else is open.

    It holds after almost every frame of a saga that does well, and saves asking.
    """
    return (
        state.active > 0
        and not (state.agenda or state.due or state.deadline or state.cancelling or state.alternatives)
        and state.failing is None
        and state.status is not _G.REQUIRES_MANUAL
    )


def next_due(state: SagaState) -> int:
    """When the saga must be looked at again without anything happening; 0 for never."""
    if state.finished or state.paused:
        return 0
    first = min(state.due.values(), default=0)
    if state.deadline and not state.deadline_passed and not state.back and not state.ended:
        return min(first, state.deadline) if first else state.deadline
    return first


def _deadline_is_over(state: SagaState, now: int) -> bool:
    return (
        0 < state.deadline <= now
        and not state.deadline_passed
        and not (state.back or state.ended or state.paused or state.walk_done)
    )


# --- what waits for nothing ----------------------------------------------------------------------


def _rest(state: SagaState) -> list[Command]:
    """Nothing is to be settled or begun: is the saga at an end, or stuck?"""
    if state.active:
        return []
    if state.ended:
        return [ev.FollowUpsEnded(state.followup_failed)] if state.walk_done else []
    if state.walk_done and not state.stuck:
        if state.skips:
            return [ev.Closed(stays(state))]
        return [ev.Compensated() if state.back else ev.Completed()]
    if state.stuck and state.status is not _G.REQUIRES_MANUAL:
        return [ev.RequiresManual()]
    return []


def _due(state: SagaState, now: int) -> list[Command]:
    """What the clock brings: retries, waits that are over, sleeps that ended."""
    commands: list[Command] = []
    if min(state.due.values()) > now:  # most turns of a saga with thousands of due times
        return commands
    for index, due in state.due.items():
        if due > now:
            continue
        status = state.slot(index).status
        if status is _S.RETRYING:
            commands.append(_retry_is_due(state, index, now))
        elif status is _S.PROBE_RETRYING:
            commands.append(ev.ProbeStarted(index))
        elif status is _S.UNDO_RETRYING:
            old = undo_key_expired(state.policy_of(index), state.slot(index), now)
            commands.append(_owed_for_its_key(index) if old else ev.CompensationStarted(index))
        elif status is _S.ACCEPTED:
            commands.append(_poll_is_due(state, index, now))
        elif status is _S.UNDO_ACCEPTED:
            commands.append(_undo_poll_is_due(state, index, now))
        elif state.nodes[index].kind is _K.WAIT:
            commands.append(ev.WaitTimedOut(index))
        else:
            commands.append(ev.SleepEnded(index))
    return commands


def _retry_is_due(state: SagaState, index: int, now: int) -> Command:
    """Begin the retry, unless its key grew too old while the orchestrator was away."""
    node, slot, policy = state.nodes[index], state.slot(index), state.policy_of(index)
    if not key_expired(policy, slot, now):
        return ev.ActionStarted(index)
    if slot.unknown and node.probe and not _probe_spent(state, slot, policy):
        return ev.ProbeStarted(index)
    return _give_up(state, index, slot, policy, now)


def _poll_is_due(state: SagaState, index: int, now: int) -> Command:
    """Ask whether an accepted action has finished, until its time is over."""
    slot = state.slot(index)
    if slot.deaths >= state.deaths_max:
        return ev.StepParked(index, "poison", f"its poll was running at {slot.deaths} process deaths in a row")
    if now >= slot.poll_until:
        return ev.ActionUnknown(index, _never_finished(slot), "poll")
    if slot.poll:
        return ev.PollStarted(index)
    if key_expired(state.policy_of(index), slot, now):
        return ev.ActionUnknown(index, "it was accepted, and its idempotency key is older than key_ttl", "poll")
    return ev.ActionStarted(index)


def _undo_poll_is_due(state: SagaState, index: int, now: int) -> Command:
    """The same for an accepted compensation."""
    slot = state.slot(index)
    if slot.deaths >= state.deaths_max:
        return ev.StepOwed(index, "poison", f"its poll was running at {slot.deaths} process deaths in a row")
    if now >= slot.poll_until:
        return ev.StepOwed(index, "exhausted", _never_finished(slot))
    if slot.poll:
        return ev.PollStarted(index, undo=True)
    if undo_key_expired(state.policy_of(index), slot, now):
        return _owed_for_its_key(index)
    return ev.CompensationStarted(index)


def _never_finished(slot: Slot) -> str:
    last = f"; its last poll failed: {slot.poll_error}" if slot.poll_error else ""
    return f"it was accepted, and had not finished when its time was over{last}"


def _owed_for_its_key(index: int) -> Command:
    return ev.StepOwed(index, "key_expired", "its idempotency key is older than key_ttl")


# --- beginnings ----------------------------------------------------------------------------------


def _beginnings(state: SagaState, now: int) -> list[Command]:
    commands: list[Command] = []
    for index in state.agenda:
        slot = state.slots[index]
        assert slot is not None, "what is on the agenda was reached"
        if slot.status is _S.SETTLING:
            continue  # paused
        command = _begin(state, index, slot, now)
        if command is not None:
            commands.append(command)
            if type(command) is ev.WaitSatisfied:
                break  # it takes a signal that another wait must not take too
    return commands


def _begin(state: SagaState, index: int, slot: Slot, now: int) -> Command | None:
    node = state.nodes[index]
    if slot.status is _S.UNDO_READY or slot.status is _S.UNDO_SETTLING:
        return _undo(state, index, slot, now)
    if node.kind is _K.WAIT and state.signals and state.pending(index):
        return ev.WaitSatisfied(index)
    if state.paused:
        return None
    if state.committed and state.deadline_passed and not node.follow_up:
        return ev.StepPassed(index) if node.best_effort else ev.StepParked(index, "deadline")
    if node.kind is _K.STEP:
        return ev.ActionStarted(index)
    if node.kind is _K.WAIT:
        wait_ms = state.policy_of(index).wait_ms
        return ev.WaitStarted(index, now + wait_ms if wait_ms else 0)
    if node.kind is _K.SLEEP and slot.sleep_due:
        return ev.SleepStarted(index, slot.sleep_due)
    if node.kind is _K.SLEEP and not node.computed:
        return ev.SleepStarted(index, now + state.policy_of(index).sleep_ms)
    if node.kind is _K.FIRST_OF:
        return ev.AlternativeStarted(index, 0)
    return Evaluate(index)


# --- an action's attempt ended without success ---------------------------------------------------


def _settle(state: SagaState, index: int, now: int) -> Command | None:
    """The table of DESIGN section 4: from an outcome to what follows. None while paused."""
    node, slot, policy = state.nodes[index], state.slot(index), state.policy_of(index)
    if node.kind is _K.FIRST_OF:
        return _next_alternative(state, index, slot)
    if slot.rejected:
        return _reject(state, node, index)
    if slot.deaths >= state.deaths_max:
        if not node.follow_up and state.turned(index):
            return _give_up(state, index, slot, policy, now)
        return ev.StepParked(index, "poison", f"it was running at {slot.deaths} process deaths in a row")
    if slot.probe_failed and _probe_again(state, slot, policy):
        return _probe_retry(state, index, slot, policy, now)
    again = _retry(state, index, slot, policy, now)
    if again is not None:
        return again if not (state.paused and isinstance(again, ev.ActionStarted)) else None
    if slot.unknown and node.probe and not _probe_spent(state, slot, policy):
        return None if state.paused else ev.ProbeStarted(index)
    return _give_up(state, index, slot, policy, now)


def _next_alternative(state: SagaState, index: int, slot: Slot) -> Command:
    """What the last alternative did is undone: try the next, unless something of it could not be."""
    if slot.stuck or slot.cursor + 1 >= len(state.nodes[index].children):
        return ev.FirstOfFailed(index)
    return ev.AlternativeStarted(index, slot.cursor + 1)


def _reject(state: SagaState, node: Node, index: int) -> Command:
    """A proven "no". After the pivot there is no way back, so a person must look at it."""
    if node.best_effort:
        return ev.StepPassed(index)
    if state.committed and not node.follow_up:
        return ev.StepParked(index, "rejected")
    return ev.StepRejected(index)


def _give_up(state: SagaState, index: int, slot: Slot, policy: Policy, now: int) -> Command:
    """No attempt and no probe is left. What is not proven stays unknown."""
    node = state.nodes[index]
    if node.best_effort:
        return ev.StepPassed(index)
    if node.follow_up:
        return ev.StepUnknown(index) if slot.unknown else ev.StepFailed(index)
    if state.committed or (node.pivot and slot.unknown):
        return ev.StepParked(index, _park_reason(state, slot, policy, now))
    if not slot.unknown:
        return ev.StepFailed(index)
    if node.on_unknown == "park" and not state.turned(index):
        return ev.StepParked(index, "unknown")
    return ev.StepUnknown(index)


def _park_reason(state: SagaState, slot: Slot, policy: Policy, now: int) -> str:
    if key_expired(policy, slot, now):
        return "key_expired"
    if slot.refused and not 0 < slot.poll_until <= now:  # else nobody refused: it was waited for as long as asked
        return "rejected"
    if state.deadline and not slot.unknown:
        return "deadline"
    return "unknown"


def _retry(state: SagaState, index: int, slot: Slot, policy: Policy, now: int) -> Command | None:
    """The same key once more, now or at a due time; None when that is not allowed (any more)."""
    node = state.nodes[index]
    if slot.refused or (not node.follow_up and state.turned(index)):
        return None
    if state.cancelling and not slot.unknown:
        return None
    if not (slot.forced or slot.cut) and not _attempts_left(state, node, slot, policy):
        return None
    if slot.forced or slot.cut:
        due = now
    else:
        delay_ms = _jittered(policy.retry, state, index, "action", slot.attempts, slot.delay_ms)
        due = now + delay_ms
    if key_expired(policy, slot, due):
        return None
    if state.deadline and not node.follow_up and (due >= state.deadline or state.deadline_passed):
        return None
    if slot.forced or slot.cut:
        return ev.ActionStarted(index)
    if not _unbounded(state, node, slot) and _elapsed(policy.retry, slot.first_at, due):
        return None
    return ev.RetryScheduled(index, due, delay_ms)


def _attempts_left(state: SagaState, node: Node, slot: Slot, policy: Policy) -> bool:
    if slot.attempts < policy.retry.attempts:
        return True
    if not _unbounded(state, node, slot):
        return False
    # An unbounded step asks its probe, once per round, before it tries the same key again.
    return not (slot.unknown and node.probe) or _probe_spent(state, slot, policy)


def _unbounded(state: SagaState, node: Node, slot: Slot) -> bool:
    """Whether only the deadline ends the retries of this step."""
    if node.follow_up or node.best_effort:
        return False
    if state.committed:
        return node.retriable or node.read_only
    return slot.unknown and (node.pivot or node.on_unknown == "retry")


def _elapsed(retry: Retry, first_at: int, due: int) -> bool:
    return bool(retry.max_elapsed_ms) and due > first_at + retry.max_elapsed_ms


# --- probes --------------------------------------------------------------------------------------


def _probe_spent(state: SagaState, slot: Slot, policy: Policy) -> bool:
    return slot.probed or (slot.probe_failed and not _probe_again(state, slot, policy))


def _probe_again(state: SagaState, slot: Slot, policy: Policy) -> bool:
    return slot.probes < policy.probe_retry.attempts and slot.deaths < state.deaths_max and not slot.probed


def _probe_retry(state: SagaState, index: int, slot: Slot, policy: Policy, now: int) -> Command | None:
    delay_ms = _jittered(policy.probe_retry, state, index, "probe", slot.probes, slot.probe_delay_ms)
    return ev.ProbeRetryScheduled(index, now + delay_ms, delay_ms)


# --- compensations -------------------------------------------------------------------------------


def _undo(state: SagaState, index: int, slot: Slot, now: int) -> Command | None:
    """Begin, repeat or park a compensation. Its own budget; the saga's deadline does not bound it."""
    node, policy = state.nodes[index], state.policy_of(index)
    if not node.compensation:
        return ev.StepOwed(index, "no_compensation", "it has no compensation")
    if slot.unknown and node.on_unknown == "park" and not slot.forced:
        return ev.StepOwed(index, "on_unknown", 'its outcome is unknown, and on_unknown="park"')
    if slot.unknown and node.needs_result:
        return ev.StepOwed(index, "result_missing", "its outcome is unknown, and its compensation cannot take None")
    if slot.undo_refused:
        return ev.StepOwed(index, "refused")
    if slot.deaths >= state.deaths_max:
        return ev.StepOwed(index, "poison", f"its compensation was running at {slot.deaths} process deaths in a row")
    at_once = slot.status is _S.UNDO_READY or slot.cut or slot.forced
    retry = policy.compensation_retry
    if not at_once and slot.undo_attempts >= retry.attempts:
        return ev.StepOwed(index, "exhausted")
    delay_ms = 0
    if not at_once:
        delay_ms = _jittered(retry, state, index, "compensation", slot.undo_attempts, slot.undo_delay_ms)
        if _elapsed(retry, slot.undo_first_at, now + delay_ms):
            return ev.StepOwed(index, "exhausted")
    if undo_key_expired(policy, slot, now + delay_ms):
        return _owed_for_its_key(index)
    if not at_once:
        return ev.CompensationRetryScheduled(index, now + delay_ms, delay_ms)
    return None if state.paused else ev.CompensationStarted(index)


# --- jitter --------------------------------------------------------------------------------------


def _jittered(retry: Retry, state: SagaState, index: int, op: str, failures: int, previous_ms: int) -> int:
    """Jitter without randomness: a hash of what is retried, so that decide stays pure.

    Two sagas, steps or attempts differ in it; the same one, asked twice, does not.
    """
    seed = f"{state.saga_id}/{state.path_of(index)}/{op}/{failures}/{state.seq}".encode()
    digest = hashlib.blake2b(seed, digest_size=8).digest()
    fraction = int.from_bytes(digest, "big") / 2**64
    return next_delay_ms(retry, failures=max(1, failures), previous_ms=previous_ms, fraction=fraction)
