"""What users see of a saga: views, made from the journal and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from ..core.events import Event, Frame
from ..core.graph import Kind
from ..core.state import SagaState, stays
from ..core.summary import Summary, hold_of
from ..core.transitions import SagaStatus, StepStatus, StepStatus as S


@dataclass(frozen=True, slots=True)
class StepView:
    """One step, wait or sleep of a saga.

    Attributes:
        path: its name, with a scope's prefix.
        kind: "step", "wait" or "sleep".
        status: where it stands.
        attempts: calls of the action begun so far.
        compensation_attempts: calls of the compensation begun so far.
        unknown: whether some attempt may have taken effect that nothing has settled.
        result: what it returned, as plain JSON; None when there is none.
        error: the last error of the action or probe.
        compensation_error: the last error of the compensation.
        reason: why it is parked or owed, "" otherwise.
        due: when it is tried again or its time is over, None for no time.
        expires_at: when its effect may lapse by itself (`step(expires=)`), reckoned from the first attempt;
            None for never, or when there is no effect.
    """

    path: str
    kind: str
    status: StepStatus
    attempts: int = 0
    compensation_attempts: int = 0
    unknown: bool = False
    result: Any = None
    error: str = ""
    compensation_error: str = ""
    reason: str = ""
    due: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SagaView:
    """One saga. `steps`, `input`, `result`, `errors` and `stays` are filled by `get`, not by `list`.

    Attributes:
        id: the saga's id.
        name: its definition's name.
        version: its definition's version.
        status: where it stands.
        step: the path of the step it is at, or was at last.
        cause: why it turned back or stopped, in one line; "" while all is well.
        hold: what it waits for: timer, signal, retry, manual, version, poison, paused; "" for nothing.
        key: its start key, "" for none.
        correlation: what it was started with.
        started_at, updated_at, ended_at, deadline: aware times; None for not (yet) there.
        paused, anomalous, followup_failed: its flags.
        waiting_since: since when it has not moved, while something holds it; None while nothing does.
        failed: the steps that ever failed, in the order of their first failure.
        manual: whether it has ever stood in `requires_manual`.
        intervened: whether a person retried, resolved or skipped something of it.
        stays: for a closed saga, the steps whose effect stays.
    """

    id: str
    name: str
    version: int
    status: SagaStatus
    step: str
    cause: str
    hold: str
    key: str
    correlation: Mapping[str, str]
    started_at: datetime
    updated_at: datetime
    ended_at: datetime | None
    deadline: datetime | None
    paused: bool
    anomalous: bool
    followup_failed: bool
    seq: int
    waiting_since: datetime | None = None
    failed: tuple[str, ...] = ()
    manual: bool = False
    intervened: bool = False
    steps: tuple[StepView, ...] = ()
    input: Any = None
    result: Any = None
    errors: tuple[str, ...] = ()
    stays: tuple[str, ...] = ()

    def __getitem__(self, path: str) -> StepView:
        """The step at `path`. Raises KeyError."""
        for step in self.steps:
            if step.path == path:
                return step
        raise KeyError(path)


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One event of a saga's journal.

    Attributes:
        seq: the frame it stands in; events of one frame share it.
        at: when the frame was decided.
        event: the event's name, such as "ActionStarted".
        step: the path of the step it concerns, "" for the saga itself.
        details: its other fields, as plain JSON values.
    """

    seq: int
    at: datetime
    event: str
    step: str
    details: Mapping[str, Any] = field(default_factory=dict)


def when(at_ms: int) -> datetime:
    """Milliseconds since the epoch as an aware time."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def stamp(moment: datetime) -> str:
    """ISO 8601 with milliseconds, in UTC with a `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _maybe(at_ms: int) -> datetime | None:
    return when(at_ms) if at_ms else None


def view_of_summary(summary: Summary) -> SagaView:
    """A list's line."""
    return SagaView(
        id=summary.saga_id,
        name=summary.name,
        version=summary.version,
        status=SagaStatus(summary.status),
        step=summary.step,
        cause=summary.cause,
        hold=hold_of(summary),
        key=summary.key,
        correlation=dict(summary.correlation),
        started_at=when(summary.started),
        updated_at=when(summary.updated),
        ended_at=_maybe(summary.ended),
        deadline=_maybe(summary.deadline),
        paused=summary.paused,
        anomalous=summary.anomalous,
        followup_failed=summary.followup_failed,
        seq=summary.seq,
        waiting_since=_maybe(summary.waiting_since),
        failed=summary.failed,
        manual=summary.manual,
        intervened=summary.intervened,
    )


def view_of(summary: Summary, state: SagaState, result: Any) -> SagaView:
    """The whole of one saga."""
    base = view_of_summary(summary)
    return SagaView(
        **{name: getattr(base, name) for name in SagaView.__slots__ if name not in _FULL},
        steps=tuple(step_views(state)),
        input=msgspec.json.decode(state.input),
        result=result,
        errors=tuple(state.errors),
        stays=tuple(state.path_of(index) for index in stays(state)) if state.status is SagaStatus.CLOSED else (),
    )


_FULL = ("steps", "input", "result", "errors", "stays")
_KINDS = {Kind.STEP: "step", Kind.WAIT: "wait", Kind.SLEEP: "sleep"}


# An effect stands behind these: it took, and its undo is not acknowledged.
_EFFECTIVE = frozenset(
    {S.SUCCEEDED, S.UNDO_READY, S.COMPENSATING, S.UNDO_SETTLING, S.UNDO_RETRYING, S.UNDO_ACCEPTED, S.UNDO_POLLING,
     S.OWED, S.SKIPPED}
)  # fmt: skip


def step_views(state: SagaState) -> list[StepView]:
    """The steps, waits and sleeps of a saga, in the order of its definition; those of an `each` for every item."""
    roots = [
        root for root in (state.graph.root, state.graph.after_completed, state.graph.after_compensated) if root >= 0
    ]
    views = []
    for root in roots:
        for index in state.subtree(root):
            kind = _KINDS.get(state.nodes[index].kind)
            if kind is not None:
                views.append(_step_view(state, index, kind))
    return views


def _step_view(state: SagaState, index: int, kind: str) -> StepView:
    path, slot = state.path_of(index), state.slots[index]
    if slot is None:
        return StepView(path, kind, StepStatus.PENDING)
    return StepView(
        path,
        kind,
        slot.status,
        slot.calls,
        slot.undo_calls,
        slot.unknown,
        None if slot.result is None else msgspec.json.decode(slot.result),
        slot.error,
        slot.undo_error,
        slot.reason,
        _maybe(state.due.get(index, 0)),
        _maybe(_lapses(state, index)),
    )


def _lapses(state: SagaState, index: int) -> int:
    """When the effect of a step may lapse: the participant reckons from the first attempt that reached it."""
    slot, length_ms = state.slot(index), state.policy_of(index).expires_ms
    has_effect = slot.status in _EFFECTIVE or (slot.unknown and slot.status is not S.COMPENSATED)
    return slot.first_at + length_ms if length_ms and slot.first_at and has_effect else 0


def history_of(path_of: Callable[[int], str], frames: Sequence[tuple[int, Frame]]) -> list[HistoryEntry]:
    """The journal as people read it; `path_of` gives the path of a slot."""
    return [_entry(path_of, seq, frame.at, event) for seq, frame in frames for event in frame.events]


def _entry(path_of: Callable[[int], str], seq: int, at: int, event: Event) -> HistoryEntry:
    details: dict[str, Any] = {}
    step = ""
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if name == "node":
            step = path_of(value) if value >= 0 else ""
        elif name == "step":
            details[name] = path_of(value)
        elif name == "items":
            details[name] = [msgspec.json.decode(each) for each in value]
        elif isinstance(value, msgspec.Raw):
            details[name] = msgspec.json.decode(value)
        elif name == "stays":
            details[name] = [path_of(index) for index in value]
        else:
            details[name] = value
    return HistoryEntry(seq, when(at), type(event).__name__, step, details)
