"""Payloads: what functions take and return, as JSON and back.

A `Codec` serves one declared type. Rules of this file:
  * what is stored is known to decode: `encode` reads back what it wrote, with the very decoder
    that a recovery will use, so a wrong value fails where it was returned and not days later;
  * what comes back is what was given: what JSON or a validator would change is refused (`changes.py`);
  * JSON only, never pickle: a person can read a journal, and reading runs no code;
  * each record is written and read by its own library: models by pydantic (`models.py`), all others
    by msgspec. A type whose records are all pydantic's is pydantic's as a whole; a model inside
    another record reaches it through msgspec's hooks.

Types: dataclass, msgspec Struct, attrs class, pydantic v2 model, TypedDict, NamedTuple, enum, plain
JSON, and datetime, date, time, timedelta, Decimal, UUID, bytes as msgspec writes them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, inspect

from ..errors import PayloadError
from ..limits import PAYLOAD_BYTES_MAX
from .annotations import Annotation, bare, origin_of, text
from .changes import refuse_changed, refuse_odd
from .redaction import Path, paths_in
from .shapes import (
    classes_in,
    has_fields,
    hides_from_equality,
    is_models,
    is_models_dataclass,
    is_record,
    private_names,
)

if TYPE_CHECKING:
    from .models import Models

NULL = Raw(b"null")
SUPPORTED = "a dataclass, msgspec Struct, attrs class, pydantic model, TypedDict, NamedTuple, enum, or plain JSON"
_SEALED = b'{"$sealed":'
SEALED = "$sealed"  # the only name in an encrypted payload (`sealing.py`), and in no other at the top

_DEEP = ("Circular reference", "depth exceeded", "recursion limit")  # pydantic has no class of its own for these
_WHERE = re.compile(r"at `\$[^`]*`")
_QUOTING = re.compile(r"Invalid (enum )?value(?= ('|-?\d))")  # words before a value that msgspec quotes


def _foreign(value: Any) -> Any:
    """A value that is somebody else's to write: msgspec's `enc_hook`."""
    if not is_models(type(value)):
        raise TypeError(f"Encoding objects of type {type(value).__name__} is unsupported")
    from .models import models_of

    kind: Any = type(value)
    return models_of(kind).plain(value)


def _compared(value: Any) -> Any:
    """The same, as two values are compared: fields as they are, sets and times left to msgspec."""
    if not is_models(type(value)):
        raise TypeError(f"Encoding objects of type {type(value).__name__} is unsupported")
    from .models import fields_as_they_are

    return fields_as_they_are(value)


_encode = msgspec.json.Encoder(enc_hook=_foreign).encode
_encode_ordered = msgspec.json.Encoder(order="deterministic", enc_hook=_compared).encode


class Codec:
    """Encodes and decodes the values of one declared type.

    Parameters:
        declared: the annotation; `Any` stands for plain JSON.

    Attributes:
        declared: the annotation it was made for.
        decode_raw: decodes bytes or Raw without translating errors; for the hot path.
        redacted: the paths of what people must not see of it.

    Raises:
        TypeError: the type cannot be stored; the message says which part of it, and the mend.
    """

    __slots__ = (
        "_class", "_encode", "_is_none", "_models", "_thorough", "declared", "decode_raw", "redacted",
    )  # fmt: skip

    def __init__(self, declared: Annotation) -> None:
        self.declared = declared
        self.decode_raw: Callable[[bytes | Raw], Any]
        self._encode: Callable[[Any], bytes] = _encode
        self._models: Models | None = None
        if _is_all_models(declared):
            from .models import Models

            self._models = Models(declared)
            self.decode_raw, self._encode = self._models.read, self._models.write
        else:
            self._use_msgspec(declared)
        stripped = bare(declared)
        self._class: type | None = stripped if is_record(stripped) else None
        self._is_none = stripped is type(None)
        self._thorough = any(map(hides_from_equality, classes_in(declared, deep=True)))
        self.redacted: tuple[Path, ...] = paths_in(declared)

    def _use_msgspec(self, declared: Annotation) -> None:
        parts = _parts(declared)
        hook: Callable[[type, Any], Any] | None = None
        if any(isinstance(part, inspect.CustomType) for part in parts):
            from .models import read_part

            hook = read_part
        self.decode_raw = msgspec.json.Decoder(declared, dec_hook=hook).decode
        if any(private_names(getattr(part, "cls", None)) for part in parts):
            self._encode = lambda value: _encode(_unfolded(value))

    def encode(self, value: Any, *, what: str = "value") -> Raw:
        """`value` as JSON that is known to decode as the declared type.

        Parameters:
            value: what to store.
            what: what the value is and whose; it begins the error's message.

        Raises:
            PayloadError: AM2101 to AM2107, AM2110 and AM2111, as the table in `codes.py` says.
        """
        if value is None and self._is_none:
            return NULL
        written = self._write(value, what)
        try:
            back = self.decode_raw(written)
        except RecursionError as error:
            raise _too_deep(what) from error
        except Exception as error:
            if "recursion limit" in str(error):
                raise _too_deep(what) from error
            refuse_odd(value, None, what, _compared)
            raise self._wrong_type(value, what, self._why(error)) from self.cause_of(error)
        try:
            same = back == value
        except Exception:  # a broken `__eq__` counts as no
            same = False
        if not same or self._thorough or (self._models is not None and b"Infinity" in written):
            if self._class is not None and value is not None and not isinstance(value, self._class):
                raise self._wrong_type(value, what, f"expected an instance of {self._class.__name__}")
            refuse_odd(value, back, what, _compared)
            kind: Any = type(value)
            if not is_record(type(back)) and (is_models(kind) or private_names(kind)):
                return _own_codec(kind).encode(value, what=what)  # nothing is declared: its own type is
            refuse_changed(value, back, what)
        if (type(back) is dict and SEALED in back) or (self._models is not None and written.startswith(_SEALED)):
            raise PayloadError(
                f'{what}: the name "{SEALED}" is how an encrypted payload begins; give the entry another name',
                code="AM2111",
            )
        return Raw(written)

    def decode(self, raw: bytes | Raw, *, what: str = "value") -> Any:
        """The value that `raw` holds, made anew at every call.

        Raises:
            PayloadError: AM2108, the JSON is damaged or is not of the declared type.
        """
        try:
            return self.decode_raw(raw)
        except Exception as error:
            raise undecodable(what, self, error) from self.cause_of(error)

    def decode_outside(self, raw: bytes | Raw, *, what: str = "value") -> Any:
        """The value of JSON that somebody wrote by hand; of a pydantic model, with its aliases or its names.

        Raises:
            PayloadError: AM2107, it is not of the declared type.
        """
        try:
            return self.decode_raw(raw) if self._models is None else self._models.read_outside(raw)
        except Exception as error:
            raise PayloadError(
                f"{what} is not what the saga declares ({text(self.declared)}): {self._why(error)}", code="AM2107"
            ) from self.cause_of(error)

    def canonical(self, raw: bytes | Raw, *, what: str = "value") -> bytes:
        """`raw` as this type writes it today, keys in order: equal payloads give equal bytes.

        Raises:
            PayloadError: AM2108, the JSON is damaged or is not of the declared type.
        """
        value = self.decode(raw, what=what)
        _write_out_defaults(value)
        return _encode_ordered(_unfolded(value) if self._encode is not _encode and self._models is None else value)

    def _write(self, value: Any, what: str) -> bytes:
        try:
            written = self._encode(value)
        except RecursionError as error:
            raise _too_deep(what) from error
        except UnicodeEncodeError as error:
            raise PayloadError(
                f"{what}: a text is no valid Unicode ({error.reason}); mend it first", code="AM2104"
            ) from error
        except (TypeError, ValueError, OverflowError, AttributeError, msgspec.MsgspecError) as error:
            raise _unwritable(what, error) from error
        if len(written) > PAYLOAD_BYTES_MAX:
            raise PayloadError(
                f"{what}: {len(written)} bytes of JSON; at most {PAYLOAD_BYTES_MAX} are stored. "
                f"Keep the bulk elsewhere and hand on its address",
                code="AM2106",
            )
        return written

    def cause_of(self, error: Exception) -> Exception | None:
        """What a traceback may show; nothing of a type with secrets, for the same reason."""
        return None if self.redacted else error

    def _why(self, error: Exception) -> str:
        """What a decoder complains of, without the value; of a type with secrets only where, for authors may quote."""
        said = str(error)
        found = _WHERE.search(said)
        if self.redacted:
            return f"not of the declared type {found[0] if found else 'somewhere'}"
        quoting = _QUOTING.match(said)
        if quoting:
            return f"{quoting[0]} {found[0]}" if found else quoting[0]
        return said

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


@lru_cache(maxsize=256)
def _own_codec(kind: type) -> Codec:
    return Codec(kind)


def undecodable(what: str, codec: Codec, error: Exception) -> PayloadError:
    """The error for stored JSON that no longer decodes."""
    return PayloadError(
        f"{what}: the stored JSON does not decode as {text(codec.declared)}: {codec._why(error)}. "  # noqa: SLF001
        f"A field that older sagas lack needs a default; another meaning needs a new version of the saga",
        code="AM2108",
    )


def _unwritable(what: str, error: Exception) -> PayloadError:
    said = str(error)
    if any(words in said for words in _DEEP):
        return _too_deep(what)
    if "surrogates not allowed" in said:
        return PayloadError(f"{what}: a text is no valid Unicode (half a surrogate pair); mend it first", code="AM2104")
    return PayloadError(f"{what}: {said}; give {SUPPORTED}", code="AM2101")


def _too_deep(what: str) -> PayloadError:
    return PayloadError(f"{what}: nested too deeply, or it holds itself; flatten it", code="AM2105")


def _write_out_defaults(value: Any) -> None:
    """Give every dataclass in a decoded value all of its fields; attrs and pydantic give them by themselves.

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


def _unfolded(value: Any) -> Any:
    """A value whose attrs classes and dataclasses are dictionaries of all their fields, at every depth."""
    kind = type(value)
    names = getattr(kind, "__dataclass_fields__", ()) or [each.name for each in getattr(kind, "__attrs_attrs__", ())]
    if names:
        return {name: _unfolded(getattr(value, name)) for name in names if hasattr(value, name)}
    if isinstance(value, dict):
        return {name: _unfolded(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_unfolded(each) for each in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(_unfolded, value), key=_encode_ordered)
    return value


# --- types ----------------------------------------------------------------------------------------


def _is_all_models(declared: Annotation) -> bool:
    """Whether pydantic can read and write the whole: it has records, and all of them are pydantic's."""
    records = [kind for kind in classes_in(declared, deep=False) if has_fields(kind) or is_models(kind)]
    if not records or not all(map(is_models, records)):
        return False
    for kind in classes_in(declared, deep=True):
        if is_record(kind) and not (is_models(kind) or hasattr(kind, "__dataclass_fields__")):
            raise TypeError(
                f"{kind.__qualname__} stands in a pydantic model, which cannot store it; "
                f"use a pydantic model or a dataclass there, or give it __get_pydantic_core_schema__"
            )
    return True


def _parts(declared: Annotation) -> list[Any]:
    """What msgspec makes of a type: its own description, and that of all that stands in it.

    Raises:
        TypeError: msgspec cannot store some part of it, saying which, and the mend.
    """
    try:
        waiting: list[Any] = [inspect.type_info(declared)]
    except NameError as error:
        raise TypeError(
            f"a field's annotation does not resolve ({error}): classes that name each other are defined at module level"
        ) from error
    except NotImplementedError as error:
        raise TypeError(
            "an attrs default that takes self cannot be stored; set the field in __attrs_post_init__"
        ) from error
    seen: set[int] = set()
    parts = []
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        parts.append(part)
        for field in part.__struct_fields__:
            value = getattr(part, field)
            many = value if isinstance(value, tuple) else (value,)
            waiting.extend(each for each in many if isinstance(each, (inspect.Type, inspect.Field)))
    _refuse_unsupported(parts)
    return parts


def _refuse_unsupported(parts: list[Any]) -> None:
    """Raise TypeError for a part that nobody can write and read."""
    kinds = [getattr(part, "cls", None) for part in parts]
    for part, kind in zip(parts, kinds, strict=True):
        name = getattr(kind, "__qualname__", kind)
        if isinstance(part, inspect.CustomType) and not is_models(origin_of(kind) or kind):
            raise TypeError(f"{name} cannot be stored; use {SUPPORTED}")
        if is_models_dataclass(kind):
            raise TypeError(
                f"{name}, a dataclass of pydantic's, stands in a record that is not pydantic's, where nobody would "
                f"validate it; make it a pydantic model, or a dataclass of the standard library"
            )
        if getattr(part, "encode_name", "") == SEALED:
            raise TypeError(f'a field is named "{SEALED}", as an encrypted payload is; give it another name')
        if private_names(kind) and any(isinstance(each, type) and issubclass(each, msgspec.Struct) for each in kinds):
            raise TypeError(
                f"{name} has the private field {private_names(kind)[0]}, and cannot be stored beside a msgspec "
                f"Struct; rename the field, or make the Struct a dataclass or attrs class"
            )
