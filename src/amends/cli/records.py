"""The JSON forms that `-o json` and `-o jsonl` print. One schema; fields are only ever added.

    saga      {"id", "name", "version", "status", "step", "cause", "hold", "key", "correlation": {},
               "started_at", "updated_at", "ended_at", "deadline", "paused", "anomalous", "followup_failed",
               "waiting_since", "failed": [], "manual", "intervened"}
    shown     a saga, and {"seq", "input", "result", "errors": [], "stays": [], "steps": [step], "remedies": [remedy]}
    step      {"path", "kind", "status", "attempts", "compensation_attempts", "unknown", "result", "error",
               "compensation_error", "reason", "due", "expires_at"}
    remedy    {"command", "means", "step"}: a command line that the saga's state allows; step "" for the whole
    entry     {"seq", "at", "event", "step", "details": {}}: one event of a history
    reason    {"at", "seq", "step", "what", "because"}: one link of the chain that `why` prints, newest first
    tailed    {"position", "id", "name", "version"} and an entry: one event of any saga
    figures   {"name", "version", "started", "in_flight", "settled", "completed", "compensated", "closed", "standing",
               "by_hand", "completion_rate", "compensation_rate", "by_hand_rate", "p50_ms", "p95_ms", "p99_ms",
               "failed_step", "failed", "failed_rate"}: one definition's version; rates from 0 to 1, null of none
    acted     {"id", "verb", "result": "applied" | "queued" | "unchanged" | "refused" | "eligible", "status", "error"}
    counted   {"count"}, and with `--by` its fields: "name", "version", "status", "hold", "step"
    started   {"id", "name", "status", "result", "cause", "errors": []}

`list`, `history`, `tail`, `why`, `top`, and the verbs that take several ids print an array, or with `jsonl` one
object a line. The others print one object. Statuses are words in lower case, times ISO 8601 in UTC with a `Z`, and what
is not there is null, or "" for a text. Whole numbers of any size are exact.

Rules of this file: pure; a view goes in, plain JSON comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ..runtime.tailing import TailEntry
from ..runtime.views import HistoryEntry, SagaView, StepView
from ..runtime.why import Reason
from ..stores.figures import Figures
from .remedies import Remedy
from .words import iso

Record = dict[str, Any]
_TIMES = frozenset({"due", "deadline", "until"})  # fields of events that hold milliseconds since the epoch


def saga(view: SagaView) -> Record:
    """A list's object."""
    return {
        "id": view.id,
        "name": view.name,
        "version": view.version,
        "status": str(view.status),
        "step": view.step,
        "cause": view.cause,
        "hold": view.hold,
        "key": view.key,
        "correlation": dict(view.correlation),
        "started_at": iso(view.started_at),
        "updated_at": iso(view.updated_at),
        "ended_at": iso(view.ended_at),
        "deadline": iso(view.deadline),
        "paused": view.paused,
        "anomalous": view.anomalous,
        "followup_failed": view.followup_failed,
        "waiting_since": iso(view.waiting_since),
        "failed": list(view.failed),
        "manual": view.manual,
        "intervened": view.intervened,
    }


def shown(view: SagaView, remedies: list[Remedy]) -> Record:
    """The whole of one saga."""
    return {
        **saga(view),
        "seq": view.seq,
        "input": view.input,
        "result": view.result,
        "errors": list(view.errors),
        "stays": list(view.stays),
        "steps": [_step(each) for each in view.steps],
        "remedies": [{"command": each.command, "means": each.means, "step": each.step} for each in remedies],
    }


def _step(view: StepView) -> Record:
    return {
        "path": view.path,
        "kind": view.kind,
        "status": str(view.status),
        "attempts": view.attempts,
        "compensation_attempts": view.compensation_attempts,
        "unknown": view.unknown,
        "result": view.result,
        "error": view.error,
        "compensation_error": view.compensation_error,
        "reason": view.reason,
        "due": iso(view.due),
        "expires_at": iso(view.expires_at),
    }


def entry(of: HistoryEntry) -> Record:
    """One event of a history."""
    details = {name: _moment(value) if name in _TIMES else value for name, value in of.details.items()}
    return {"seq": of.seq, "at": iso(of.at), "event": of.event, "step": of.step, "details": details}


def tailed(of: TailEntry) -> Record:
    """One event of any saga."""
    whose = {"position": of.position, "id": of.saga_id, "name": of.name, "version": of.version}
    return {**whose, **entry(of.entry)}


def reason(of: Reason) -> Record:
    """One link of a chain."""
    return {"at": iso(of.at), "seq": of.seq, "step": of.step, "what": of.what, "because": of.because}


def figures(of: Figures) -> Record:
    """One definition's version."""
    counts = {
        "name": of.name, "version": of.version, "started": of.started, "in_flight": of.in_flight,
        "settled": of.settled, "completed": of.completed, "compensated": of.compensated, "closed": of.closed,
        "standing": of.standing, "by_hand": of.by_hand,
    }  # fmt: skip
    rates = {
        "completion_rate": of.share(of.completed), "compensation_rate": of.share(of.compensated),
        "by_hand_rate": of.share(of.by_hand),
    }  # fmt: skip
    lengths = {"p50_ms": of.p50_ms, "p95_ms": of.p95_ms, "p99_ms": of.p99_ms}
    failed = {"failed_step": of.failed_step, "failed": of.failed, "failed_rate": of.share(of.failed)}
    return {**counts, **rates, **lengths, **failed}


def _moment(at_ms: int) -> str | None:
    return iso(datetime.fromtimestamp(at_ms / 1000, UTC)) if at_ms else None


def acted(saga_id: str, verb: str, result: str, *, status: str = "", error: str = "") -> Record:
    """What became of a verb."""
    return {"id": saga_id, "verb": verb, "result": result, "status": status, "error": error}


def counted(fields: Sequence[str], group: Sequence[str | int], count: int) -> Record:
    """How many sagas have these values."""
    return {**dict(zip(fields, group, strict=True)), "count": count}


def started(view: SagaView) -> Record:
    """What `start` did, and with `--wait` how it ended."""
    return {
        "id": view.id,
        "name": view.name,
        "status": str(view.status),
        "result": view.result,
        "cause": view.cause,
        "errors": list(view.errors),
    }
