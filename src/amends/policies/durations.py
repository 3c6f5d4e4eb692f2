"""Durations as people write them: seconds, or `"250ms" "10s" "5m" "24h" "7d"`."""

from __future__ import annotations

import re

from ..errors import UsageError
from ..limits import DURATION_MS_MAX

Duration = float | int | str

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_TEXT = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)", re.ASCII)


def milliseconds(duration: Duration, *, what: str = "duration") -> int:
    """The whole milliseconds of `duration`, at least 1 for anything above zero.

    Parameters:
        duration: seconds as a number, or a text with a unit.
        what: what the duration is for; it begins the error's message.

    Raises:
        UsageError: not a duration, negative, not finite, or longer than ten years.
    """
    if isinstance(duration, str):
        found = _TEXT.fullmatch(duration.strip())
        if found is None:
            raise UsageError(
                f'{what}: {duration!r} is no duration; write seconds as a number, or "250ms", "10s", "5m", "24h", "7d"',
                code="AM2001",
            )
        exact = float(found[1]) * _UNITS_MS[found[2]]
    elif isinstance(duration, (int, float)) and not isinstance(duration, bool):
        exact = duration * 1_000
    else:
        raise UsageError(f"{what}: {duration!r} is no duration; write seconds or a text such as '10s'", code="AM2001")
    if not 0 <= exact <= DURATION_MS_MAX:  # also refuses NaN
        raise UsageError(f"{what}: {duration!r} is out of range; it must be between 0 and 3650 days", code="AM2001")
    whole = round(exact)
    return 1 if whole == 0 and exact > 0 else whole


def human(length_ms: int) -> str:
    """`1500` as `"1.5s"`: the largest unit that keeps it readable."""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)):
        if length_ms >= size:
            return f"{length_ms / size:.1f}".removesuffix(".0") + unit
    return f"{length_ms}ms"
