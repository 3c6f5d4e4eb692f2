"""What a user may set about an orchestrator, checked once."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UsageError
from ..limits import DEATHS_MAX
from ..policies.durations import Duration, milliseconds

_LEASE_MS, _LEASE_SHARED_MS = 10_000, 30_000


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Limits and lengths of one orchestrator.

    Parameters:
        concurrency: calls of actions, compensations and probes at a time.
        threads: sync functions at a time.
        admission: sagas in memory above which `start` waits, unless a step calls it; sleeping ones are not in memory.
        lease: how long the lease lasts without a renewal; None for 10 s, or for 30 s where several workers share the
            store, which each ask it three times in that time.
        grace: how long running calls may go on at shutdown, before they are cut and handed over.
        poll: how often starts and commands of other processes are looked for when no doorbell rang for them;
            a store whose bells do not work is looked at ten times a second, or as often as this says.
        horizon: sagas whose next due time is further away are not kept in memory.
        deaths_max: process deaths in a row during one step before it is poison.
        patience: how long a verb waits to be applied before it reports "queued", or that nothing could be written.
        retention: how long sagas are kept after their end, by whoever leads; None for ever.
        key_retention: how much longer their start keys are kept, and what became of them.

    Raises:
        UsageError: a value out of range.
    """

    concurrency: int = 1_000
    threads: int = 32
    admission: int = 10_000
    lease: Duration | None = None
    grace: Duration = "10s"
    poll: Duration = "2s"
    horizon: Duration = "1m"
    deaths_max: int = DEATHS_MAX
    patience: Duration = "10s"
    retention: Duration | None = None
    key_retention: Duration = "30d"

    def __post_init__(self) -> None:
        for name in ("concurrency", "threads", "admission", "deaths_max"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UsageError(f"Orchestrator({name}={value!r}): give a whole number of at least 1", code="AM2020")
        for name in ("poll", "horizon", "patience") if self.lease is None else ("lease", "poll", "horizon", "patience"):
            if milliseconds(getattr(self, name), what=f"Orchestrator({name}=)") < 1:
                raise UsageError(f"Orchestrator({name}=): give a duration above zero", code="AM2020")
        for name in ("grace", "key_retention") if self.retention is None else ("grace", "key_retention", "retention"):
            milliseconds(getattr(self, name), what=f"Orchestrator({name}=)")

    def lease_ms(self, *, shared: bool) -> int:
        """How long the lease lasts, in milliseconds; `shared`: whether several workers share the store."""
        if self.lease is not None:
            return milliseconds(self.lease)
        return _LEASE_SHARED_MS if shared else _LEASE_MS

    @property
    def horizon_ms(self) -> int:
        """The horizon, in milliseconds."""
        return milliseconds(self.horizon)
