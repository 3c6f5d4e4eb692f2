"""Error texts as the journal keeps them: one line of type and message, bounded, valid Unicode."""

from __future__ import annotations

from ..errors import NotSent, Rejected
from ..limits import ERROR_CHARS_MAX


def error_text(error: BaseException) -> str:
    """What the journal keeps of an exception."""
    try:
        said = str(error)
    except Exception:
        said = "(its message cannot be read)"
    name = type(error).__name__
    text = (said or name) if isinstance(error, (Rejected, NotSent)) else f"{name}: {said}" if said else name
    if len(text) > ERROR_CHARS_MAX:
        text = text[: ERROR_CHARS_MAX - 1] + "…"
    return text.encode("utf-8", "replace").decode()
