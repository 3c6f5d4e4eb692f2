"""What people read: status words with their icons, lengths of time, and text made safe.

Rules of this file: pure, and without rich. Every status has an icon beside its word, so that colour
never says anything alone. What authors and participants wrote (names, errors, results) passes `safe`
before it reaches a terminal.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from types import MappingProxyType

from ..core.transitions import SagaStatus as G, StepStatus as S

SAGA_ICONS = MappingProxyType(
    {
        G.SCHEDULED: "○",
        G.RUNNING: "▸",
        G.COMPENSATING: "◂",
        G.REQUIRES_MANUAL: "!",
        G.COMPLETED: "✓",
        G.COMPENSATED: "↩",
        G.CLOSED: "■",
    }
)

STEP_ICONS = MappingProxyType(
    {
        S.PENDING: "○",
        S.READY: "▸",
        S.RUNNING: "▸",
        S.SETTLING: "▸",
        S.RETRYING: "↻",
        S.PROBING: "▸",
        S.PROBE_RETRYING: "↻",
        S.WAITING: "…",
        S.ACCEPTED: "…",
        S.POLLING: "▸",
        S.SUCCEEDED: "✓",
        S.REJECTED: "✗",
        S.FAILED: "✗",
        S.UNKNOWN: "?",
        S.PASSED: "~",
        S.TIMED_OUT: "✗",
        S.DROPPED: "-",
        S.PARKED: "!",
        S.SKIPPED: "■",
        S.UNDO_READY: "◂",
        S.COMPENSATING: "◂",
        S.UNDO_SETTLING: "◂",
        S.UNDO_RETRYING: "↻",
        S.UNDO_ACCEPTED: "…",
        S.UNDO_POLLING: "◂",
        S.UNDOING: "◂",
        S.OWED: "!",
        S.COMPENSATED: "↩",
    }
)

_STYLES = MappingProxyType(
    {"✓": "green", "↩": "yellow", "!": "bold red", "✗": "red", "?": "bold magenta", "○": "dim", "-": "dim", "↻": "cyan"}
)
UNSEEN = "·"  # the icon of a status that a newer release wrote

_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"})
_PLAIN = re.compile(r"[ -~]*\Z")


def style_of(icon: str) -> str:
    """The colour that goes with an icon."""
    return _STYLES.get(icon, "")


def word_of(status: str) -> str:
    """A status as people read it: `requires_manual` is "requires manual"."""
    return str(status).replace("_", " ")


def safe(text: object) -> str:
    """One line that cannot move a cursor, ring, hide or reorder: controls are spelled out, newlines are spaces."""
    said = str(text)
    if _PLAIN.match(said):
        return said
    return "".join(_spelled(char) for char in " ".join(said.split()))


def _spelled(char: str) -> str:
    if unicodedata.category(char) not in _UNSAFE_CATEGORIES:
        return char
    number = ord(char)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


_UNITS = ((86_400.0, "d", 3_600.0, "h"), (3_600.0, "h", 60.0, "m"), (60.0, "m", 1.0, "s"))


def length(seconds: float) -> str:
    """A length of time in at most six characters: "340ms", "1.2s", "3m05s", "2h10m", "7d"."""
    seconds = max(seconds, 0.0)
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    seconds = float(round(seconds))
    for unit, name, smaller, smaller_name in _UNITS:
        if seconds >= unit:
            rest = int(seconds % unit // smaller)
            return f"{int(seconds // unit)}{name}" + (f"{rest:02d}{smaller_name}" if rest else "")
    return f"{seconds:.0f}s"


def since(then: datetime, now: datetime) -> str:
    """How long ago, or how far ahead, in words: "3m05s ago", "in 2h"."""
    seconds = (now - then).total_seconds()
    return f"{length(seconds)} ago" if seconds >= 0 else f"in {length(-seconds)}"


def iso(moment: datetime | None) -> str | None:
    """ISO 8601 with milliseconds, in UTC with a `Z`."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock_time(moment: datetime) -> str:
    """A moment as a heading shows it, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
