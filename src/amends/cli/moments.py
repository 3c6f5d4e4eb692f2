"""Moments as one types them: `--at` and `--since`.

    7                        after the frame of that number, the SEQ of `amends history`
    10m-ago  2d-ago          so long before now; units as everywhere: ms, s, m, h, d
    2026-11-25T10:00:00      a time, in UTC unless it says otherwise (Z, +01:00); a date is its midnight

Rules of this file: pure; now is an argument. AM2550 is what is none of these.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ..errors import UsageError
from ..policies.durations import milliseconds

_AGO = "-ago"


def moment(said: str, now: datetime) -> int | datetime:
    """A frame's number, or an aware time. Raises UsageError."""
    if said.isdecimal() and said.isascii():
        return int(said)
    try:
        if said.endswith(_AGO):
            return now - timedelta(milliseconds=milliseconds(said.removesuffix(_AGO)))
        at = datetime.fromisoformat(said)
        return at if at.tzinfo else at.replace(tzinfo=UTC)
    except (UsageError, ValueError, OverflowError):
        raise UsageError(
            f"--at {said!r} is no moment; give a time as 2026-11-25T10:00:00 (UTC), a length as 10m-ago, or a frame's "
            "number",
            code="AM2550",
        ) from None


def span_ms(said: str, option: str) -> int:
    """A length of time in milliseconds. Raises UsageError."""
    try:
        length = milliseconds(said)
    except (UsageError, ValueError):
        length = 0
    if length <= 0:
        raise UsageError(f"{option} {said!r} is no length of time; give one as 15m, 1h or 7d", code="AM2550")
    return length
