"""Retry with backoff and jitter, as a pure function of what was and a number in [0, 1).

Jitter kinds:
  * `"decorrelated"`: `min(cap, uniform(base, previous * 3))`, Marc Brooker, "Exponential Backoff
    and Jitter", AWS Architecture Blog, 2015. The article's 3 is 1.5 x the default `multiplier` of 2.
  * `"full"`: `uniform(0, min(cap, base * multiplier**n))`, from the same article.
  * `"none"`: `min(cap, base * multiplier**n)`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import UsageError
from ..limits import ATTEMPTS_MAX
from .durations import Duration, milliseconds

_JITTERS = ("decorrelated", "full", "none")
_EXPONENT_MAX = 64  # beyond it every base has long met its cap; keeps the power finite


@dataclass(frozen=True)
class Retry:
    """How often, and how far apart, something is tried again.

    Parameters:
        attempts: calls in all, the first included; at least 1.
        base: the first delay.
        cap: no delay is longer.
        multiplier: how fast delays grow; at least 1.
        jitter: "decorrelated", "full" or "none".
        max_elapsed: no retry begins later than this after the first attempt; None for no bound.

    Raises:
        UsageError: a value out of range.
    """

    attempts: int = 4
    base: Duration = "200ms"
    cap: Duration = "30s"
    multiplier: float = 2
    jitter: str = "decorrelated"
    max_elapsed: Duration | None = None
    base_ms: int = field(init=False, repr=False, compare=False)
    cap_ms: int = field(init=False, repr=False, compare=False)
    max_elapsed_ms: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if (
            isinstance(self.attempts, bool)
            or not isinstance(self.attempts, int)
            or not 1 <= self.attempts <= ATTEMPTS_MAX
        ):
            raise UsageError(
                f"Retry(attempts={self.attempts!r}): give a whole number from 1 to {ATTEMPTS_MAX}", code="AM2002"
            )
        if not isinstance(self.multiplier, (int, float)) or not 1 <= self.multiplier <= 100:
            raise UsageError(f"Retry(multiplier={self.multiplier!r}): give a number from 1 to 100", code="AM2002")
        if self.jitter not in _JITTERS:
            raise UsageError(f"Retry(jitter={self.jitter!r}): give one of {', '.join(_JITTERS)}", code="AM2002")
        base_ms = milliseconds(self.base, what="Retry(base=)")
        cap_ms = milliseconds(self.cap, what="Retry(cap=)")
        if cap_ms < base_ms:
            raise UsageError(f"Retry(base={self.base!r}, cap={self.cap!r}): the cap is below the base", code="AM2002")
        elapsed = 0 if self.max_elapsed is None else milliseconds(self.max_elapsed, what="Retry(max_elapsed=)")
        object.__setattr__(self, "base_ms", base_ms)
        object.__setattr__(self, "cap_ms", cap_ms)
        object.__setattr__(self, "max_elapsed_ms", elapsed)


def next_delay_ms(retry: Retry, *, failures: int, previous_ms: int, fraction: float) -> int:
    """The delay before the next attempt.

    Parameters:
        retry: the policy.
        failures: attempts that failed so far, at least 1.
        previous_ms: the delay before the last attempt, 0 for none.
        fraction: the randomness, in [0, 1).

    Returns:
        milliseconds, between 0 and the cap.
    """
    if retry.jitter == "decorrelated":
        upper = (previous_ms or retry.base_ms) * 1.5 * retry.multiplier
        return min(retry.cap_ms, int(retry.base_ms + fraction * max(0.0, upper - retry.base_ms)))
    exact = retry.base_ms * float(retry.multiplier) ** min(failures - 1, _EXPONENT_MAX)
    delay = min(float(retry.cap_ms), exact)
    return int(delay * fraction) if retry.jitter == "full" else int(delay)
