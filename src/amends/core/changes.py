"""What JSON would change without a word: told apart from what is merely JSON's nature.

msgspec writes NaN as null and the key 1 as "1"; a pydantic validator, a `__post_init__` or a private
attribute may give back another value than was stored. A tuple in plain JSON comes back as a list, and
a datetime as its text, because nothing declares them: that is let through.

Rules of this file: it is reached only when a value that was read back is not equal to the one that was
written, so it may take its time. No message quotes a value: what differs may be a secret.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any

import msgspec

from ..errors import PayloadError
from .shapes import is_record, private_names

Hook = Callable[[Any], Any]


def is_same(back: Any, value: Any) -> bool:
    """Whether they are equal; a broken `__eq__` counts as no and leads to the thorough look."""
    try:
        return bool(back == value)
    except Exception:
        return False


def refuse_odd(value: Any, back: Any, what: str, hook: Hook) -> None:
    """Refuse what is no JSON at all; `back` is None where nothing could be read back.

    Raises:
        PayloadError: AM2102 for a float that is not finite, AM2103 for keys that became texts.
    """
    before = msgspec.to_builtins(value, enc_hook=hook)
    if _has_odd_float(before):
        raise PayloadError(f"{what}: NaN and infinity are no JSON; give None or a text", code="AM2102")
    key = _changed_key(before, msgspec.to_builtins(back, enc_hook=hook))
    if key is not None:
        raise PayloadError(
            f"{what}: a key of a dictionary is of type {type(key).__name__} and would come back as text; "
            f"use texts as keys, or declare the type, such as dict[{type(key).__name__}, ...]",
            code="AM2103",
        )


def refuse_changed(value: Any, back: Any, what: str) -> None:
    """Refuse a value whose fields come back changed.

    Raises:
        PayloadError: AM2110.
    """
    found = _changed(back, value, strict=False)
    if found is None:
        return
    at = ".".join(found) or "the value itself"
    raise PayloadError(
        f"{what}: {at} does not come back from the journal as it was given: a private attribute, an excluded field, "
        f"or a validator, converter or __post_init__ that changes a value once more; make it a stored field, or make "
        f"reading it again change nothing",
        code="AM2110",
    )


def _has_odd_float(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, Mapping):
        return any(_has_odd_float(each) for pair in value.items() for each in pair)
    if isinstance(value, (Sequence, Set)) and not isinstance(value, (str, bytes, bytearray)):
        return any(map(_has_odd_float, value))
    return False


def _changed_key(before: Any, after: Any) -> Any:
    """The first key that is no text in `before` and is one in `after`; None when there is none."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key not in after:
                return None if isinstance(key, str) else key
            found = _changed_key(value, after[key])
            if found is not None:
                return found
    elif isinstance(before, (list, tuple)) and isinstance(after, (list, tuple)):
        return next((key for key in map(_changed_key, before, after) if key is not None), None)
    return None


def _changed(back: Any, value: Any, *, strict: bool) -> list[str] | None:
    """The way to the first thing that changed; None when nothing did.

    `strict` below a pydantic model: pydantic turns "5" into 5 where it is asked to, so another type is a change.
    Elsewhere msgspec has checked the types, and another one says that nothing was declared.
    """
    if is_same(back, value):
        return None
    if is_record(type(back)):
        if not isinstance(value, type(back)):
            return [] if strict or hasattr(back, "__pydantic_fields__") else None
        return _first(_of_record(back, value), strict=strict or hasattr(back, "__pydantic_fields__"))
    if private_names(type(value)):
        return []
    if isinstance(back, (list, tuple)) and isinstance(value, (list, tuple)) and len(back) == len(value):
        return _first(((str(at), *pair) for at, pair in enumerate(zip(back, value, strict=True))), strict=strict)
    if isinstance(back, dict) and isinstance(value, dict) and back.keys() == value.keys():
        return _first(((str(key), back[key], value[key]) for key in back), strict=strict)
    if strict:
        return []
    if isinstance(back, (list, tuple, dict, set, frozenset)) or not is_same(value, value):
        return None  # keys that are texts now, and what is equal to nothing, such as Decimal("NaN")
    return [] if type(back) is type(value) else None


def _first(parts: Iterable[tuple[str, Any, Any]], *, strict: bool) -> list[str] | None:
    for name, back, value in parts:
        found = _changed(back, value, strict=strict)
        if found is not None:
            return [name, *found]
    return None


def _of_record(back: Any, value: Any) -> Iterable[tuple[str, Any, Any]]:
    """The fields that the declared class has; those that a subclass adds are left behind knowingly."""
    kind = type(back)
    if hasattr(kind, "__pydantic_fields__"):
        yield from ((name, getattr(back, name, None), getattr(value, name, None)) for name in kind.__pydantic_fields__)
        for beside in ("__pydantic_extra__", "__pydantic_private__"):
            pair = [getattr(each, beside, None) or {} for each in (back, value)]
            names = set(pair[0]) | (set(pair[1]) if type(value) is kind else set())
            yield from ((name, pair[0].get(name), pair[1].get(name)) for name in sorted(names))
        return
    fields: Any = getattr(kind, "__struct_fields__", None) or getattr(kind, "__dataclass_fields__", None)
    for name in fields or [field.name for field in kind.__attrs_attrs__]:
        yield name, getattr(back, name, None), getattr(value, name, None)
