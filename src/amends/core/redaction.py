"""Redaction by type: what people must not see is marked where it is declared.

    @dataclass
    class Card:
        number: Annotated[str, Redacted]      # and pydantic's SecretStr, SecretBytes and Secret[...] by themselves

A marked value is stored, and given to functions, as it is; whoever looks sees "[redacted]".

Rules of this file:
  * a mark is a *path* into the stored JSON, so that a process without the definition redacts as well:
    the paths are stored beside the definition, outside its fingerprint;
  * steps of a path: a field's name, "*" for every element or value, "**" for any depth (a type that
    holds itself). Where types of one union differ, every member's marks hold: rather one too many;
  * payloads are found by the path of their node, without the numbers of items; the input by "".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, get_args

import msgspec

from .annotations import Annotation, origin_of
from .shapes import SAME, has_fields, parts_of

REDACTED = "[redacted]"
INPUT = ""  # the input's place among the paths of steps and waits

Path = tuple[str, ...]
Redactions = Mapping[str, tuple[Path, ...]]


class Redacted:
    """Marks what people must not see: `Annotated[str, Redacted]`."""


def paths_in(declared: Annotation) -> tuple[Path, ...]:
    """The marked places of a type."""
    found: dict[Path, None] = {}
    _walk(declared, (), {}, set(), found)
    return tuple(found)


def _walk(
    annotation: Annotation, at: Path, above: dict[Any, Path], recursive: set[Path], found: dict[Path, None]
) -> None:
    if _is_marked(annotation):
        found[at] = None
        return
    kind = origin_of(annotation) or annotation
    if not has_fields(kind) and not hasattr(kind, "__value__"):
        for step, part in parts_of(annotation):
            _walk(part, at if step == SAME else (*at, step), above, recursive, found)
        return
    known = repr(annotation), kind
    if known in above:  # it holds itself: its marks hold at any depth below its first place
        recursive.add(above[known])
        return
    own: dict[Path, None] = {}
    above[known] = at
    for step, part in parts_of(annotation):
        _walk(part, at if step == SAME else (*at, step), above, recursive, own)
    del above[known]
    if at in recursive:
        recursive.discard(at)
        own.update({(*at, "**", *path[len(at) :]): None for path in own})
    found.update(own)


def _is_marked(annotation: Annotation) -> bool:
    if origin_of(annotation) is Annotated:
        return any(mark is Redacted or isinstance(mark, Redacted) for mark in get_args(annotation)[1:])
    return hasattr(origin_of(annotation) or annotation, "get_secret_value")


def redact(value: Any, paths: Iterable[Path]) -> Any:
    """Plain JSON with "[redacted]" at every marked place."""
    wanted = {path[1:] for path in paths if path and path[0] == "**"} | set(paths)
    if not wanted:
        return value
    if () in wanted:
        return None if value is None else REDACTED  # whether there is anything is no secret
    if isinstance(value, dict):
        return {name: redact(each, _below(wanted, name)) for name, each in value.items()}
    if isinstance(value, list):
        return [redact(each, _below(wanted, str(position))) for position, each in enumerate(value)]
    return value


def _below(paths: set[Path], step: str) -> list[Path]:
    return [path if path[0] == "**" else path[1:] for path in paths if path[0] in (step, "*", "**")]


def encode_redactions(redactions: Redactions) -> bytes:
    """The form that is stored beside a definition; empty when nothing is marked."""
    marked = {place: paths for place, paths in redactions.items() if paths}
    return msgspec.json.encode(marked, order="deterministic") if marked else b""


_decoder = msgspec.json.Decoder(dict[str, tuple[Path, ...]])
EVERYTHING: Redactions = {"**": ((),)}
WHOLE: tuple[Path, ...] = ((),)


def given_to(path: str) -> str:
    """The place of what is handed into a node: an item of an `each`, the input of a `call`."""
    return f"{path}#given"  # no path of a step has this sign


def decode_redactions(stored: bytes) -> Redactions:
    """What `encode_redactions` stored; where that is damaged, everything is marked."""
    try:
        return _decoder.decode(stored) if stored else {}
    except ValueError:
        return EVERYTHING


def marked_at(redactions: Redactions, places: Iterable[str]) -> tuple[Path, ...]:
    """The marks of a payload that belongs to one of these places."""
    return tuple(path for place in ("**", *places) for path in redactions.get(place, ()))
