"""Payloads that are pydantic's: its models and dataclasses, and `SecretStr` and the like.

Rules of this file:
  * the only one that imports pydantic, and itself imported only when a user's type or value is one of
    pydantic's;
  * stored by field name, whatever the aliases say: a name is in the code, an alias may be one for
    reading and another for writing. What comes from outside may use either;
  * computed fields are not stored, secrets are (pydantic would write asterisks), defaults are written
    out, and whatever does not come back as it was is refused by the codec;
  * pydantic's messages quote the input, and an input may be secret: ours say where and why only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
import pydantic
import pydantic_core

from .annotations import Annotation, text
from .redaction import paths_in
from .shapes import classes_in

_SHOWN = 3  # complaints of one value that a message holds


class Models:
    """Reads and writes the values of one type whose records are all pydantic's.

    Parameters:
        declared: a model, or a container or union of such.

    Raises:
        TypeError: pydantic cannot make anything of it.
    """

    __slots__ = ("_adapter", "_bytes", "_secrets")

    def __init__(self, declared: Annotation) -> None:
        try:
            self._adapter = pydantic.TypeAdapter[Any](declared)
            complete = self._adapter.pydantic_complete
        except (pydantic.PydanticUserError, NameError) as error:
            raise TypeError(f"pydantic refuses it: {error}") from error
        if not complete:
            raise TypeError(
                f"{text(declared)} is not complete: a class that it names is not defined; "
                f"classes that name each other are defined at module level"
            )
        for kind in classes_in(declared, deep=True):
            _refuse_crossed_aliases(kind)
        config = getattr(declared, "model_config", {})
        self._bytes = config.get("ser_json_bytes", "utf8")
        self._secrets = bool(paths_in(declared))

    def write(self, value: Any) -> bytes:
        """`value` as JSON. Raises ValueError, TypeError."""
        if self._secrets:
            return msgspec.json.encode(self.plain(value))
        return self._adapter.dump_json(value, by_alias=False, round_trip=True, warnings=False)

    def plain(self, value: Any) -> Any:
        """`value` as what JSON is made of. Raises ValueError, TypeError."""
        written = self._adapter.dump_python(value, mode="json", by_alias=False, round_trip=True, warnings=False)
        if not self._secrets:
            return written
        live = self._adapter.dump_python(value, mode="python", by_alias=False, round_trip=True, warnings=False)
        return self._revealed(written, live)

    def _revealed(self, written: Any, live: Any) -> Any:
        """Both walked side by side: where `live` has a secret, `written` has asterisks."""
        if hasattr(live, "get_secret_value"):
            return pydantic_core.to_jsonable_python(live.get_secret_value(), bytes_mode=self._bytes)
        if isinstance(written, dict) and isinstance(live, dict) and len(written) == len(live):
            pairs = zip(written.items(), live.values(), strict=True)
            return {name: self._revealed(each, beside) for (name, each), beside in pairs}
        many = isinstance(live, (list, tuple, set, frozenset))
        if isinstance(written, list) and many and len(written) == len(live):
            return [self._revealed(each, beside) for each, beside in zip(written, live, strict=True)]
        return written

    def read(self, raw: bytes | msgspec.Raw) -> Any:
        """The value that was written. Raises ValueError."""
        return self._checked(lambda: self._adapter.validate_json(bytes(raw), by_alias=False, by_name=True))

    def read_outside(self, raw: bytes | msgspec.Raw) -> Any:
        """The value of JSON that others wrote: with aliases or with names. Raises ValueError."""
        return self._checked(lambda: self._adapter.validate_json(bytes(raw), by_alias=True, by_name=True))

    @staticmethod
    def _checked(read: Callable[[], Any]) -> Any:
        try:
            return read()
        except pydantic.ValidationError as error:
            message = complaints(error)
        raise ValueError(message)  # outside of `except`: no traceback shows pydantic's own message


def _refuse_crossed_aliases(kind: type) -> None:
    """Raise TypeError for a model in which one field's alias is another field's name: JSON could mean either."""
    fields: dict[str, Any] = getattr(kind, "__pydantic_fields__", {})
    for name, field in fields.items():
        if field.validation_alias in fields and field.validation_alias != name:
            raise TypeError(
                f"{kind.__name__}.{name} has the alias {field.validation_alias!r}, which is another field's name; "
                f"fields are stored by name, so rename one"
            )


def complaints(error: pydantic.ValidationError) -> str:
    """What pydantic refused: where and why, and nothing of the input."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    shown = [f"{each['msg']} - at `{'.'.join(['$', *map(str, each['loc'])])}`" for each in found[:_SHOWN]]
    more = f" (and {len(found) - _SHOWN} more)" if len(found) > _SHOWN else ""
    return "; ".join(shown) + more


@lru_cache(maxsize=1_024)
def models_of(kind: Any) -> Models:
    """What reads and writes one class, made once. Raises TypeError."""
    return Models(kind)


def read_part(kind: type, plain: Any) -> Any:
    """A pydantic value inside somebody else's record: msgspec's `dec_hook`."""
    return models_of(kind).read(msgspec.json.encode(plain))


def fields_as_they_are(value: Any) -> Any:
    """A pydantic value one level down, its fields untouched: what two values are compared by."""
    if hasattr(value, "get_secret_value"):
        return value.get_secret_value()
    if not isinstance(value, pydantic.BaseModel):
        kind: Any = type(value)
        return models_of(kind).plain(value)
    fields = {name: value.__dict__[name] for name in type(value).model_fields if name in value.__dict__}
    return {**fields, **(value.__pydantic_extra__ or {})}
