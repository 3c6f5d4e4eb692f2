"""Payloads: what functions take and return, as JSON and back.

A `Codec` serves one declared type. Rules of this file:
  * what is stored is known to decode: `encode` reads back what it wrote, with the very decoder
    that a recovery will use, so a wrong value fails where it was returned and not days later;
  * what comes back is what was given. msgspec writes NaN as null and the key 1 as "1" without a
    word; both are refused (AM2102, AM2103). A tuple in plain JSON comes back as a list: that is
    JSON's nature and is let through;
  * JSON only, never pickle: a person can read a journal, and reading runs no code.

Types: dataclass, msgspec Struct, TypedDict, NamedTuple, enum, plain JSON, and datetime, date,
time, timedelta, Decimal, UUID, bytes as msgspec writes them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, cast

import msgspec
from msgspec import Raw, inspect

from ..errors import PayloadError
from ..limits import PAYLOAD_BYTES_MAX
from .annotations import Annotation, bare, text

NULL = Raw(b"null")
SUPPORTED = "a dataclass, msgspec Struct, TypedDict, NamedTuple, enum, or plain JSON"

_encode = msgspec.json.Encoder().encode
_encode_ordered = msgspec.json.Encoder(order="deterministic").encode


class Codec:
    """Encodes and decodes the values of one declared type.

    Parameters:
        declared: the annotation; `Any` stands for plain JSON.

    Attributes:
        declared: the annotation it was made for.
        decode_raw: decodes bytes or Raw without translating errors; for the hot path.

    Raises:
        TypeError: the type cannot be stored; the message says which part of it, and the mend.
    """

    __slots__ = ("_class", "_is_none", "declared", "decode_raw")

    def __init__(self, declared: Annotation) -> None:
        _refuse_unsupported(declared)
        self.declared = declared
        self.decode_raw: Callable[[bytes | Raw], Any] = msgspec.json.Decoder(declared).decode
        stripped = bare(declared)
        self._class: type | None = stripped if _is_record(stripped) else None
        self._is_none = stripped is type(None)

    def encode(self, value: Any, *, what: str = "value") -> Raw:
        """`value` as JSON that is known to decode as the declared type.

        Parameters:
            value: what to store.
            what: what the value is and whose; it begins the error's message.

        Raises:
            PayloadError: AM2101 to AM2107, as the table in `codes.py` says.
        """
        if value is None and self._is_none:
            return NULL
        written = _write(value, what)
        try:
            back = self.decode_raw(written)
        except RecursionError as error:
            raise _too_deep(what) from error
        except Exception as error:
            _refuse_changes(value, None, what)
            raise self._wrong_type(value, what, str(error)) from error
        if not _same(back, value):
            if self._class is not None and value is not None and not isinstance(value, self._class):
                raise self._wrong_type(value, what, f"expected an instance of {self._class.__name__}")
            _refuse_changes(value, back, what)
        return Raw(written)

    def decode(self, raw: bytes | Raw, *, what: str = "value") -> Any:
        """The value that `raw` holds, made anew at every call.

        Raises:
            PayloadError: AM2108, the JSON is damaged or is not of the declared type.
        """
        try:
            return self.decode_raw(raw)
        except Exception as error:
            raise undecodable(what, self.declared, error) from error

    def canonical(self, raw: bytes | Raw, *, what: str = "value") -> bytes:
        """`raw` as this type writes it today, keys in order: equal payloads give equal bytes.

        Raises:
            PayloadError: AM2108, the JSON is damaged or is not of the declared type.
        """
        value = self.decode(raw, what=what)
        _write_out_defaults(value)
        return _encode_ordered(value)

    def _wrong_type(self, value: Any, what: str, why: str) -> PayloadError:
        return PayloadError(
            f"{what}: declared as {text(self.declared)}, but got {type(value).__name__}: {why}. "
            f"Give what is declared, or declare what is given",
            code="AM2107",
        )


class Codecs:
    """The codecs of one saga: each declared type has one, made when first asked for."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[Any, Codec] = {}

    def of(self, declared: Annotation) -> Codec:
        """The codec of `declared`.

        Raises:
            TypeError: the type cannot be stored.
        """
        try:
            # An annotation's text is part of the key because 1 == True, and so Literal[1] == Literal[True].
            key = (declared, repr(declared))
            hash(key)
        except TypeError:  # `Annotated[int, []]`
            return Codec(declared)
        codec = self._known.get(key)
        if codec is None:
            codec = self._known[key] = Codec(declared)
        return codec


def undecodable(what: str, declared: Annotation, error: Exception) -> PayloadError:
    """The error for stored JSON that no longer decodes."""
    return PayloadError(
        f"{what}: the stored JSON does not decode as {text(declared)}: {error}. "
        f"A field that older sagas lack needs a default; another meaning needs a new version of the saga",
        code="AM2108",
    )


def _write(value: Any, what: str) -> bytes:
    try:
        written = _encode(value)
    except RecursionError as error:
        raise _too_deep(what) from error
    except UnicodeEncodeError as error:
        raise PayloadError(
            f"{what}: a text is no valid Unicode ({error.reason}); mend it first", code="AM2104"
        ) from error
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise PayloadError(f"{what}: {error}; give {SUPPORTED}", code="AM2101") from error
    if len(written) > PAYLOAD_BYTES_MAX:
        raise PayloadError(
            f"{what}: {len(written)} bytes of JSON; at most {PAYLOAD_BYTES_MAX} are stored. "
            f"Keep the bulk elsewhere and hand on its address",
            code="AM2106",
        )
    return written


def _too_deep(what: str) -> PayloadError:
    return PayloadError(f"{what}: nested too deeply, or it holds itself; flatten it", code="AM2105")


def _same(back: Any, value: Any) -> bool:
    """Whether they are equal; a broken `__eq__` counts as no and leads to the thorough look."""
    try:
        return bool(back == value)
    except Exception:
        return False


def _refuse_changes(value: Any, back: Any, what: str) -> None:
    """Refuse what JSON would have changed without a word.

    Raises:
        PayloadError: AM2102 for a float that is not finite, AM2103 for keys that became texts.
    """
    before = msgspec.to_builtins(value)
    if _has_odd_float(before):
        raise PayloadError(f"{what}: NaN and infinity are no JSON; give None or a text", code="AM2102")
    key = _changed_key(before, msgspec.to_builtins(back))
    if key is not None:
        raise PayloadError(
            f"{what}: the key {key!r} of a dictionary would come back as text; "
            f"use texts as keys, or declare the type, such as dict[{type(key).__name__}, ...]",
            code="AM2103",
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


def _write_out_defaults(value: Any) -> None:
    """Give every dataclass in a decoded value all of its fields.

    msgspec leaves a field that the JSON lacked to its class's default, and then does not write it:
    an input stored before the field existed would differ from the same input of today.
    """
    if isinstance(value, dict):
        for each in value.values():
            _write_out_defaults(each)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for each in value:
            _write_out_defaults(each)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            _write_out_defaults(getattr(value, name))
    else:
        own = getattr(value, "__dict__", None)
        for name in getattr(type(value), "__dataclass_fields__", ()):
            if own is not None and name not in own and hasattr(value, name):
                object.__setattr__(value, name, getattr(value, name))
            _write_out_defaults(getattr(value, name, None))


def _is_record(stripped: Annotation) -> bool:
    """A dataclass or Struct: a class whose instances, and no dictionaries, are its values."""
    if not isinstance(stripped, type):
        return False
    return issubclass(stripped, msgspec.Struct) or hasattr(stripped, "__dataclass_fields__")


def _refuse_unsupported(declared: Annotation) -> None:
    """Refuse a type with a part that msgspec could write or read only with our help.

    Raises:
        TypeError: saying which part, and the mend.
    """
    try:
        description = inspect.type_info(declared)
    except NameError as error:
        raise TypeError(
            f"a field's annotation does not resolve ({error}): classes that name each other are defined at module level"
        ) from error
    seen: set[int] = set()
    waiting: list[Any] = [description]
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        cls = cast("type | None", getattr(part, "cls", None))
        if isinstance(part, inspect.CustomType) or hasattr(cls, "__attrs_attrs__"):
            name = getattr(cls, "__qualname__", cls)
            raise TypeError(f"{name} cannot be stored; use {SUPPORTED} (pydantic and attrs come with the next release)")
        for field in part.__struct_fields__:
            value = getattr(part, field)
            many = value if isinstance(value, tuple) else (value,)
            waiting.extend(each for each in many if isinstance(each, (inspect.Type, inspect.Field)))
