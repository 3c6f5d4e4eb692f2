"""Texts made fit: errors for the journal (one line, bounded, valid Unicode), JSON for a screen; and who is not there.

Rules of this file: `error_text` never raises, whatever an author's exception does.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable
from typing import Any

from ..errors import NotFound, NotSent, Rejected, UsageError
from ..limits import ERROR_CHARS_MAX
from ..stores.base import Store
from .views import when

_HIDDEN = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]")


def escaped(json: str) -> str:
    """The same JSON, with what could steer a terminal or reorder its text spelled out (JSON escapes C0 itself)."""
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", json)


def error_text(error: BaseException) -> str:
    """What the journal keeps of an exception: one line."""
    try:
        said = " ".join(filter(None, map(str.strip, _said(error).splitlines())))
    except Exception:
        said = "(its message cannot be read)"
    name = type(error).__name__
    text = (said or name) if isinstance(error, (Rejected, NotSent)) else f"{name}: {said}" if said else name
    if len(text) > ERROR_CHARS_MAX:
        text = text[: ERROR_CHARS_MAX - 1] + "…"
    return text.encode("utf-8", "replace").decode()


def _said(error: BaseException) -> str:
    kind: Any = type(error)
    if kind.__name__ == "ValidationError" and kind.__module__.partition(".")[0] == "pydantic_core":
        from ..core.models import complaints

        invalid: Any = error  # its own text quotes the input, which may be what nobody must see
        return f"{invalid.title}: {complaints(invalid)}"
    return str(error)


async def not_there(store: Store, saga_id: str) -> NotFound:
    """The error of a saga without a journal: it never was, or it was pruned."""
    trace = await store.trace(saga_id)
    if trace is None:
        return NotFound(f"no saga {saga_id} in {store.address}", code="AM3002")
    ended, pruned = (f"{when(at):%Y-%m-%d %H:%M:%SZ}" for at in (trace.ended, trace.pruned))
    return NotFound(
        f"saga {saga_id} of {trace.name} is gone from {store.address}: it ended {trace.status} at {ended}, and was "
        f"pruned at {pruned}. A longer retention keeps sagas longer",
        code="AM3010",
    )


def unawaited(answer: Awaitable[object], where: str) -> UsageError:
    """What a function did wrong that returned a coroutine as its answer: nobody would ever run it."""
    if inspect.iscoroutine(answer):
        answer.close()
    return UsageError(
        f"{where}: it returned a {type(answer).__name__}, which nobody awaits; make it an `async def` and await "
        f"within, also where a decorator is wrapped around one",
        code="AM2008",
    )
