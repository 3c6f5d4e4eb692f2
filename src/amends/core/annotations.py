"""What an annotation says: its bare type for matching, whether it admits None, how it reads.

Rules of this file:
  * types match exactly, once `Annotated` is stripped at every depth and None at the top:
    `Annotated[Payment, ...] | None` and `Payment` are one type, `list[int | None]` is not `list[int]`;
  * a *plain* type (a builtin, a container, `Any`) says nothing about its meaning, so it never
    matches a result by type: two steps that return `str` do not return the same thing.
"""

from __future__ import annotations

import builtins
import types
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin as _get_origin

Annotation: TypeAlias = Any  # whatever may stand behind a colon: a class, an alias, a union, a string

NONE = type(None)
UNIONS: tuple[Any, ...] = (Union, types.UnionType)
_PLAIN_MODULES = (builtins.__name__, "typing", "types", "collections", "collections.abc")


def bare(annotation: Annotation) -> Annotation:
    """`annotation` without `Annotated` and without None: what two types are compared by."""
    stripped = _without_metadata(annotation)
    if origin_of(stripped) not in UNIONS:
        return stripped
    kept = tuple(argument for argument in get_args(stripped) if argument is not NONE)
    return Union[kept] if kept else NONE


def admits_none(annotation: Annotation) -> bool:
    """Whether a parameter of this annotation can be given None."""
    stripped = _without_metadata(annotation)
    if stripped is NONE or stripped is Any or stripped is object:
        return True
    arguments = get_args(stripped)
    if origin_of(stripped) in UNIONS:
        return any(admits_none(argument) for argument in arguments)
    return origin_of(stripped) is Literal and None in arguments


def is_plain(annotation: Annotation) -> bool:
    """Whether a bare type is a builtin, a container, `Any`, or a union of such."""
    origin = origin_of(annotation)
    if origin in UNIONS:
        return all(is_plain(argument) for argument in get_args(annotation))
    if annotation is Any or origin is Literal:
        return True
    return getattr(origin or annotation, "__module__", "") in _PLAIN_MODULES


def same_kind(declared: Annotation, wanted: Annotation) -> bool:
    """Whether a parameter of the bare type `wanted` may take, by name, a result of the bare type `declared`.

    Equal, or one of them says less: `Any`, or `dict` beside `dict[str, int]`.
    """
    if declared == wanted or declared is Any or wanted is Any or wanted is object:
        return True
    known, asked = _family(declared), _family(wanted)
    return bool(known[0] == asked[0]) and not (known[1] and asked[1])


def _family(annotation: Annotation) -> tuple[Annotation, Any]:
    """A type without its arguments, and these; of a pydantic model `Page[int]`, which is a class, too."""
    generic = annotation.__dict__.get("__pydantic_generic_metadata__") if isinstance(annotation, type) else None
    if generic and generic["origin"] is not None:
        return generic["origin"], generic["args"]
    return origin_of(annotation) or annotation, get_args(annotation)


def text(annotation: Annotation) -> str:
    """`annotation` as its author would write it."""
    if annotation is NONE or annotation is None:
        return "None"
    origin, arguments = origin_of(annotation), get_args(annotation)
    if origin in UNIONS:
        return " | ".join(text(argument) for argument in arguments)
    if isinstance(annotation, type) and origin is None:
        return annotation.__name__
    if isinstance(origin, type) and arguments:
        return f"{origin.__name__}[{', '.join(text(argument) for argument in arguments)}]"
    return str(annotation).replace("typing.", "")


def origin_of(annotation: Annotation) -> Any:
    """`typing.get_origin`, typed as what it returns at run time."""
    return _get_origin(annotation)


def _without_metadata(annotation: Annotation) -> Annotation:
    if annotation is None:
        return NONE
    origin, arguments = origin_of(annotation), get_args(annotation)
    if origin is Annotated:
        return _without_metadata(arguments[0])
    if origin in UNIONS:
        return Union[tuple(_without_metadata(argument) for argument in arguments)]
    if not isinstance(origin, type):
        return annotation
    if not arguments:  # a bare `typing.List`, which is `list`
        return origin
    try:  # rebuilt from its origin, `typing.List[int]` equals `list[int]`
        return origin[tuple(_inner(argument) for argument in arguments)]  # type: ignore[index]
    except TypeError:  # an origin that takes no index at run time
        return annotation


def _inner(argument: Any) -> Any:
    return [*map(_without_metadata, argument)] if isinstance(argument, list) else _without_metadata(argument)
