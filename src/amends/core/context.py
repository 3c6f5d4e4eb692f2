"""`Context`: what a function of a step may know about the attempt it runs in.

Rules of this file:
  * keys are stable over attempts, workers, restarts and versions: made from the saga's id and the
    step's path, never from an attempt or a clock. A probe asks with the action's key;
  * cheap to make: everything that can be computed is computed when it is asked for;
  * no clock and no logger of its own: both are given.

Headers, all of them safe to send:
    Idempotency-Key     the key of this call
    Saga-Id, Saga-Name, Saga-Step
    Saga-Op             action, compensation, probe, poll or compensation_poll
    Saga-Attempt        from 1
    Saga-Action-Key     the action's key, which a compensation undoes by
    Saga-Remaining-Ms   how long the caller will still wait; relative, since clocks differ
    Saga-Correlation    `customer=ann%40example.org,region=eu`; only when there is a correlation
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Literal, Protocol
from urllib.parse import quote

from ..errors import UsageError

Op = Literal["action", "compensation", "probe", "poll", "compensation_poll"]
Outcome = Literal["succeeded", "unknown"]

_NO_CORRELATION: Mapping[str, str] = MappingProxyType({})
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


class Log(Protocol):
    """What `ctx.log` can do; a `logging.LoggerAdapter` does."""

    def debug(self, msg: object, /, *args: Any) -> None:
        """Log `msg % args`."""

    def info(self, msg: object, /, *args: Any) -> None:
        """Log `msg % args`."""

    def warning(self, msg: object, /, *args: Any) -> None:
        """Log `msg % args`."""

    def error(self, msg: object, /, *args: Any) -> None:
        """Log `msg % args`."""

    def exception(self, msg: object, /, *args: Any) -> None:
        """Log `msg % args`, and the exception being handled."""


class _Silent:
    """The log of a context made by hand, in a unit test."""

    def debug(self, msg: object, /, *args: Any) -> None: ...

    info = warning = error = exception = debug


def _no_log(_: Context) -> Log:
    return _Silent()


def _clock_at_zero() -> int:
    return 0


class Context:
    """One attempt, as seen by the function that makes it.

    In a unit test `Context(saga_id="s-1", step="reserve_payment")` makes one by hand; its clock stands
    still, thirty seconds before the deadline.

    Parameters:
        saga_id: the saga.
        saga_name: its definition's name.
        step: the step's path.
        attempt: of this call, from 1.
        op: "action", "compensation", "probe", "poll" or "compensation_poll".
        outcome: None in an action and its poll; in a compensation and its poll "succeeded" or "unknown", in a
            probe "unknown".
        deadline_ms: when this attempt will be cut, milliseconds since the epoch.
        correlation: of the saga.
        accepted: the token of the `Accepted` that was returned last, for its poll; None without one.
        clock: gives the milliseconds since the epoch.
        make_log: makes `log` when it is first asked for.
    """

    __slots__ = (
        "_clock", "_deadline_ms", "_log", "_make_log",
        "accepted", "attempt", "correlation", "op", "outcome", "saga_id", "saga_name", "step",
    )  # fmt: skip

    def __init__(
        self,
        saga_id: str = "saga",
        saga_name: str = "",
        step: str = "",
        attempt: int = 1,
        op: Op = "action",
        outcome: Outcome | None = None,
        deadline_ms: int = 30_000,
        correlation: Mapping[str, str] = _NO_CORRELATION,
        clock: Callable[[], int] = _clock_at_zero,
        make_log: Callable[[Context], Log] = _no_log,
        accepted: Any = None,
    ) -> None:
        self.saga_id = saga_id
        self.saga_name = saga_name
        self.step = step
        self.attempt = attempt
        self.op = op
        self.outcome = outcome
        self.accepted = accepted
        self.correlation = correlation if type(correlation) is MappingProxyType else MappingProxyType(correlation)
        self._deadline_ms = deadline_ms
        self._clock = clock
        self._make_log = make_log
        self._log: Log | None = None

    def __repr__(self) -> str:
        return f"<Context {self.idempotency_key} attempt {self.attempt}>"

    @property
    def action_key(self) -> str:
        """The idempotency key under which the step's action was, or is, called."""
        return f"{self.saga_id}/{self.step}/action"

    @property
    def idempotency_key(self) -> str:
        """The key of this call; a probe and a poll have that of the call they ask about."""
        undoes = self.op in {"compensation", "compensation_poll"}
        return f"{self.saga_id}/{self.step}/{'compensation' if undoes else 'action'}"

    @property
    def deadline(self) -> datetime:
        """When this attempt will be cut, the saga's deadline included; UTC."""
        return datetime.fromtimestamp(self._deadline_ms / 1000, UTC)

    def remaining(self) -> float:
        """Seconds until `deadline`, never below 0."""
        return max(0, self._deadline_ms - self._clock()) / 1000

    @property
    def log(self) -> Log:
        """A logger that adds the saga, the step, the attempt and the correlation."""
        if self._log is None:
            self._log = self._make_log(self)
        return self._log

    def headers(self) -> dict[str, str]:
        """HTTP headers that carry this call's identity; see the table at the top of this file.

        Raises:
            UsageError: AM2003, a value holds a line break or another control character.
        """
        headers = {
            "Idempotency-Key": _safe(self.idempotency_key),
            "Saga-Id": _safe(self.saga_id),
            "Saga-Name": _safe(self.saga_name),
            "Saga-Step": _safe(self.step),
            "Saga-Op": self.op,
            "Saga-Attempt": str(self.attempt),
            "Saga-Action-Key": _safe(self.action_key),
            "Saga-Remaining-Ms": str(max(0, self._deadline_ms - self._clock())),
        }
        if self.correlation:
            pairs = (f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in self.correlation.items())
            headers["Saga-Correlation"] = ",".join(pairs)
        return headers


def _safe(value: str) -> str:
    """`value` with all but printable ASCII percent-encoded."""
    if value.isascii() and value.isprintable():
        return value
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in value):
        raise UsageError(f"{value!r} cannot stand in a header: it holds a control character", code="AM2003")
    return quote(value, safe=_PRINTABLE)
