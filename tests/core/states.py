"""Folded sagas as values: copying, comparing, telling apart."""

from __future__ import annotations

from collections import deque
from collections.abc import Set
from types import MappingProxyType
from typing import Any

from amends.core.graph import Policy
from amends.core.state import SagaState, Slot
from amends.core.transitions import STUCK, StepStatus

S = StepStatus
SLOT_FIELDS = tuple(name for name in Slot.__annotations__)
FIELDS = (*SagaState.__annotations__, "graph", "nodes", "slots", "agenda", "due")
_CONTAINERS = (dict, MappingProxyType, set, frozenset, list, tuple, deque)
PROVEN = frozenset({S.REJECTED, S.FAILED, S.DROPPED, S.COMPENSATED})
SETTLED = frozenset({S.SUCCEEDED, S.UNKNOWN, S.PASSED, S.TIMED_OUT, S.SKIPPED, S.PENDING})
GOING_BACK = frozenset({
    S.UNDO_READY, S.COMPENSATING, S.UNDO_SETTLING, S.UNDO_RETRYING, S.UNDO_ACCEPTED, S.UNDO_POLLING,
})  # fmt: skip


def clone(state: SagaState) -> SagaState:
    """A deep copy; values that are never changed are shared."""
    new = SagaState.__new__(SagaState)
    fields = new.__dict__
    fields.update(state.__dict__)
    for name, value in state.__dict__.items():
        kind = type(value)
        if kind is deque:
            fields[name] = deque(value, value.maxlen)
        elif kind is dict or kind is set or kind is list:
            fields[name] = kind(value)
    fields["slots"] = [None if slot is None else _clone_slot(slot) for slot in state.slots]
    if state.waits:
        fields["waits"] = {name: list(waits) for name, waits in state.waits.items()}
    if state.signals:
        fields["signals"] = {name: deque(payloads) for name, payloads in state.signals.items()}
    return new


def _clone_slot(slot: Slot) -> Slot:
    new = Slot.__new__(Slot)
    new.__dict__.update(slot.__dict__)
    return new


def same(one: SagaState, other: SagaState) -> bool:
    """Whether two states are equal in every field; a default counts as what it stands for."""
    left, right = one.__dict__, other.__dict__
    if len(one.slots) != len(other.slots):
        return False
    for name in left.keys() | right.keys():
        if name == "slots":
            for a, b in zip(one.slots, other.slots, strict=True):
                equal = a is b if a is None or b is None else a.__dict__ == b.__dict__
                if not equal and contents(one)["slots"] != contents(other)["slots"]:
                    return False
        elif not _equal(getattr(one, name), getattr(other, name)):
            return False
    return True


def _equal(one: Any, other: Any) -> bool:
    """Equal values; an empty container equals the default that it has replaced."""
    if isinstance(one, _CONTAINERS) and isinstance(other, _CONTAINERS) and not (one or other):
        return True
    return list(one) == list(other) if isinstance(one, (tuple, deque)) else bool(one == other)


def contents(state: SagaState) -> dict[str, Any]:
    """Everything a state holds, to compare with another's."""
    fields = {name: _plain(getattr(state, name)) for name in FIELDS}
    fields["slots"] = [None if s is None else [getattr(s, name) for name in SLOT_FIELDS] for s in state.slots]
    return fields


def _plain(value: Any) -> Any:
    """The value; a container as a list or dictionary of its own."""
    if isinstance(value, (dict, MappingProxyType)):
        return {name: _plain(each) for name, each in value.items()}
    return list(value) if isinstance(value, (list, tuple, deque)) else set(value) if isinstance(value, Set) else value


def difference(one: SagaState, other: SagaState) -> str:
    """The fields in which two states differ."""
    left, right = contents(one), contents(other)
    return ", ".join(
        f"{name}: {left.get(name)} / {right.get(name)}" for name in left | right if left.get(name) != right.get(name)
    )


# --- what tells two states apart ---------------------------------------------------------------------


def identity(state: SagaState, now: int) -> tuple[Any, ...]:
    """What matters of a state at a time: no counter beyond its bound, of a time how far it is away."""
    slots, policies = [], state.graph.policies
    deaths = state.deaths_max if state.deaths_max < 100 else 0
    for node, s in zip(state.nodes, state.slots, strict=True):
        slots.append(None if s is None else _of_slot(s, policies[node.index], now, deaths))
    return (
        tuple(slots), tuple(state.blocks), state.status, _away(state.deadline, now), state.deadline_passed,
        state.paused, state.back, state.committed, state.pivot, state.failing is None, state.cancelling, state.undoing,
        state.walk_done, state.active, state.stuck, tuple(state.agenda), state.followup_failed, state.anomalous,
        state.finished, state.skips,
        tuple(sorted((node, _away(due, now)) for node, due in state.due.items())),
        tuple(sorted((name, len(payloads)) for name, payloads in state.signals.items() if payloads)),
    )  # fmt: skip


def _away(at: int, now: int) -> int:
    """The order of magnitude of what a time is away; -1 for never, 0 for over."""
    return -1 if not at else 0 if at <= now else len(str(at - now - 1))


def _of_slot(s: Slot, p: Policy, now: int, deaths: int) -> tuple[Any, ...]:
    if s.status in PROVEN:
        return (s.status, s.undone, s.cursor)
    died = min(s.deaths, deaths)
    always = (s.status, s.unknown, s.undone, s.cursor, s.remaining, s.forced, died, s.active, s.stuck)
    if s.status in SETTLED:
        return always
    ttl = p.key_ttl_ms
    if s.status in STUCK:  # a person's verb starts its counters afresh
        born = s.undo_first_at if s.status is S.OWED else s.first_at
        return (
            *always, min(s.calls, 1), min(s.undo_calls, 1), s.result is None, ttl and born and _away(born + ttl, now),
        )  # fmt: skip
    polled = s.poll_until and (s.poll, _away(s.poll_until, now), s.poll_until - now <= s.every_ms)
    if s.status in GOING_BACK:
        return (
            *always, s.result is None, min(s.undo_attempts, p.compensation_retry.attempts), s.undo_refused, s.reason,
            min(s.undo_calls, 1), ttl and s.undo_first_at and _away(s.undo_first_at + ttl, now), polled,
        )  # fmt: skip
    return (
        *always, min(s.attempts, p.retry.attempts), min(s.calls, 1), s.refused, s.rejected, s.cut, s.reason,
        min(s.probes, p.probe_retry.attempts), s.probed, s.probe_failed, s.late is None, _away(s.sleep_due, now),
        ttl and s.first_at and _away(s.first_at + ttl, now), polled,
    )  # fmt: skip
