"""Where an event holds payloads, whichever event it is.

Rules of this file: an event's fields of type `Raw`, or `list[Raw]`, are its payloads, and nothing else
is. Events that come later are found by their types, so nobody must remember to name them here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import msgspec
from msgspec import Raw

from .events import Event

Change = Callable[[Raw, str, int], Raw]  # the payload, its field, its position in a list (-1: it is the field)


@cache
def payload_fields(kind: type[Event]) -> tuple[str, ...]:
    """The names of an event's fields that hold payloads."""
    return tuple(field.name for field in msgspec.structs.fields(kind) if field.type in (Raw, list[Raw]))


def with_payloads(event: Event, change: Change) -> Event:
    """The event with each payload changed; the event itself when none is."""
    changed: dict[str, Raw | list[Raw]] = {}
    for name in payload_fields(type(event)):
        value: Raw | list[Raw] = getattr(event, name)
        if isinstance(value, list):
            new = [change(each, name, position) for position, each in enumerate(value)]
            if any(one is not other for one, other in zip(new, value, strict=True)):
                changed[name] = new
        elif (one := change(value, name, -1)) is not value:
            changed[name] = one
    return msgspec.structs.replace(event, **changed) if changed else event
