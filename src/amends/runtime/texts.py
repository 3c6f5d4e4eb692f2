"""Texts made fit: errors for the journal (one line, bounded, valid Unicode), JSON for a screen."""

from __future__ import annotations

import re

from ..errors import NotSent, Rejected
from ..limits import ERROR_CHARS_MAX

_HIDDEN = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]")


def escaped(json: str) -> str:
    """The same JSON, with what could steer a terminal or reorder its text spelled out (JSON escapes C0 itself)."""
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", json)


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
