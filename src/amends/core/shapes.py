"""What a declared type is made of: containers, unions and the fields of records, whoever's records they are.

    dataclass · msgspec Struct · attrs class · TypedDict · NamedTuple · pydantic model or dataclass

Rules of this file:
  * it looks at classes and imports none of their libraries: what a class is can be told by its
    attributes, so a user without pydantic or attrs never loads them;
  * names are those of the stored JSON: a Struct's `rename` counts, a pydantic alias does not.
"""

from __future__ import annotations

import typing
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar, cast, get_args

import msgspec

from .annotations import UNIONS, Annotation, origin_of

Part = tuple[str, Annotation]
SAME, EACH = "", "*"  # steps: no step at all, and into every element


def is_models(kind: object) -> bool:
    """Whether a class is pydantic's to read and write: a model, a dataclass of its own, `SecretStr` and the like."""
    return isinstance(kind, type) and (hasattr(kind, "__get_pydantic_core_schema__") or is_models_dataclass(kind))


def is_models_dataclass(kind: object) -> bool:
    """Whether a class was made by `pydantic.dataclasses.dataclass`."""
    return "__is_pydantic_dataclass__" in getattr(kind, "__dict__", ())


def private_names(kind: object) -> list[str]:
    """The fields of an attrs class that begin with an underscore: msgspec reads them, and does not write them."""
    return [field.name for field in getattr(kind, "__attrs_attrs__", ()) if field.name.startswith("_")]


def is_record(kind: object) -> bool:
    """Whether instances of a class, and no dictionaries or tuples, are its values; and they have named fields."""
    return isinstance(kind, type) and (
        issubclass(kind, msgspec.Struct)
        or hasattr(kind, "__dataclass_fields__")
        or hasattr(kind, "__attrs_attrs__")
        or hasattr(kind, "__pydantic_fields__")
    )


def parts_of(annotation: Annotation) -> list[Part]:
    """What stands in a value of this type, one level down, and by which step it is reached."""
    for attribute in ("__value__", "__supertype__"):  # `type X = ...` and NewType
        if hasattr(annotation, attribute) and not isinstance(annotation, type):
            return [(SAME, getattr(annotation, attribute))]
    origin, arguments = origin_of(annotation), get_args(annotation)
    if origin is Literal:
        return []
    if origin is Annotated:
        return [(SAME, arguments[0])]
    kind = origin or annotation
    if origin in UNIONS or not isinstance(kind, type):
        return [(SAME, argument) for argument in arguments]
    fields = _fields(kind)
    if fields is not None:
        bound = dict(zip(getattr(kind, "__parameters__", ()), arguments, strict=False))
        return [(name, _bind(declared, bound)) for name, declared in fields]
    if issubclass(kind, Mapping) and len(arguments) == 2:
        return [(SAME, arguments[0]), (EACH, arguments[1])]
    step = EACH if issubclass(kind, Collection) else SAME
    return [(step, argument) for argument in arguments if argument is not Ellipsis]


def classes_in(annotation: Annotation, *, deep: bool) -> Iterator[type]:
    """The classes a declared type is made of: down to the first records, or with `deep` what is in them as well."""
    seen: list[Annotation] = []
    waiting = [annotation]
    while waiting:
        part = waiting.pop()
        if part in seen:
            continue
        seen.append(part)
        kind = origin_of(part) or part
        if isinstance(kind, type):
            yield kind
        if deep or not has_fields(kind):
            waiting.extend(below for _, below in parts_of(part))


def hides_from_equality(kind: type) -> bool:
    """Whether two values of a record may be equal and differ: a field that its `__eq__` leaves out."""
    fields = getattr(kind, "__dataclass_fields__", {}).values()
    return any(not field.compare for field in fields) or any(
        not field.eq for field in getattr(kind, "__attrs_attrs__", ())
    )


def has_fields(kind: object) -> bool:
    """Whether values of a class have fields of their own types: a record, a TypedDict or a NamedTuple."""
    return is_record(kind) or (isinstance(kind, type) and (typing.is_typeddict(kind) or hasattr(kind, "_fields")))


def _fields(kind: type) -> list[Part] | None:
    """The fields of a record with their types, `Annotated` included; None for a class that has none."""
    if hasattr(kind, "__pydantic_fields__"):
        step = SAME if getattr(kind, "__pydantic_root_model__", False) else None
        fields = cast("dict[str, Any]", kind.__pydantic_fields__)
        return [(name if step is None else step, _of_model(field)) for name, field in fields.items()]
    if issubclass(kind, msgspec.Struct):
        own = msgspec.structs.fields(kind)
        if kind.__struct_config__.array_like:
            return [(str(position), field.type) for position, field in enumerate(own)]
        return [(field.encode_name, field.type) for field in own]
    if not has_fields(kind):
        return None
    hints = typing.get_type_hints(kind, include_extras=True)
    if hasattr(kind, "__attrs_attrs__"):
        return [(field.name, hints.get(field.name, Any)) for field in kind.__attrs_attrs__]
    if hasattr(kind, "__dataclass_fields__"):
        return [(name, hints[name]) for name in kind.__dataclass_fields__ if name in hints]
    if typing.is_typeddict(kind):
        return list(hints.items())
    names = cast("tuple[str, ...]", getattr(kind, "_fields", ()))
    return [(str(position), hints.get(name, Any)) for position, name in enumerate(names)]


def _of_model(field: Any) -> Annotation:
    """A pydantic field's annotation, with the metadata that pydantic takes off it."""
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation


def _bind(declared: Annotation, bound: Mapping[Any, Annotation]) -> Annotation:
    """A field's type with a generic record's type variables filled in."""
    if isinstance(declared, TypeVar):
        return bound.get(declared, Any)
    parameters = getattr(declared, "__parameters__", ())
    if not bound or not parameters or isinstance(declared, type):
        return declared
    return declared[tuple(bound.get(parameter, Any) for parameter in parameters)]
