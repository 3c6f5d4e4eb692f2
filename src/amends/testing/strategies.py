"""Hypothesis strategies: inputs of a saga, and schedules of what goes wrong.

    @given(inputs(place_order), schedules(place_order))
    def test_it_ends_well(order, schedule):
        replay(place_order, Case(order, resources=[Bank]), schedule, whole=False)

Rules of this file: it alone imports Hypothesis (`pip install hypothesis`). What it gives can be stored: an input is
what the saga's function would get, decoded from what the journal holds.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, TypeVar, get_args, get_origin

import msgspec
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument, ResolutionFailed
from hypothesis.strategies import SearchStrategy

from ..core.definition import Saga
from ..errors import PayloadError, UsageError
from .exploring.planning import Cell, Plan
from .exploring.scenario import Fault, Scenario

In = TypeVar("In")
_CHARACTERS = st.characters(codec="utf-8", exclude_characters="\x00")
_LENGTH_MAX = 20


def inputs(saga: Saga[In, Any], **fields: SearchStrategy[Any]) -> SearchStrategy[In]:
    """Inputs of a saga, by its input's type.

    Dataclasses, msgspec Structs, attrs classes, pydantic models, TypedDicts, and what Hypothesis knows of by itself.
    Bounds that `msgspec.Meta` sets are kept.

    Parameters:
        saga: what `Saga(...)` made.
        fields: strategies for fields of the input, by name, instead of those that their types give.

    Raises:
        UsageError: AM2581, nothing builds such a type; the message says what to give.
    """
    made = _of(saga.input_type, fields, f'the input of saga "{saga.name}"')

    def stored(value: Any) -> list[In]:
        try:
            return [saga.decode_input(saga.encode_input(value))]
        except (PayloadError, ValueError):
            return []

    return made.map(stored).filter(bool).map(lambda kept: kept[0])


def schedules(saga: Saga[Any, Any], *, faults: int = 3) -> SearchStrategy[str]:
    """Scenarios of a saga, as `replay(..., whole=False)` takes them: up to so many faults, in the order of its steps.

    Parameters:
        saga: what `Saga(...)` made.
        faults: how many faults one has at most.
    """
    cells = sorted(Plan(saga.graph).possible)
    order = {node.path: node.index for node in saga.graph.nodes}

    def told(chosen: list[Cell]) -> str:
        forward = sorted(chosen, key=lambda cell: (cell[0] == "compensation", order[cell[1]]))
        return str(Scenario(1, tuple(Fault(op, path, 1, way) for op, path, way in forward)))

    return st.lists(st.sampled_from(cells), max_size=faults, unique_by=lambda cell: cell[:2]).map(told)


def _of(kind: Any, fields: Mapping[str, SearchStrategy[Any]], where: str) -> SearchStrategy[Any]:
    """A strategy for a type; `fields` are for the outermost class."""
    if get_origin(kind) is Annotated:
        base, *marks = get_args(kind)
        meta = next((mark for mark in marks if isinstance(mark, msgspec.Meta)), None)
        return _of(base, fields, where) if meta is None else _bounded(base, meta, where)
    if kind is Any:
        return _json()
    if kind in _PLAIN:
        return _PLAIN[kind]()
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (list, tuple, set, frozenset, dict):
        return _container(origin, arguments, where)
    if origin is not None and arguments and type(None) in arguments:
        return st.one_of(*(_of(each, {}, where) for each in arguments))
    names = _fields_of(kind)
    if names is None:
        return _by_hypothesis(kind, where)
    unknown = sorted(set(fields) - set(names))
    if unknown:
        raise UsageError(f"{where} has no field {unknown[0]}; its fields: {', '.join(names)}", code="AM2581")
    given = {
        name: fields[name] if name in fields else _of(each, {}, f"{where}, {name}") for name, each in names.items()
    }
    return st.fixed_dictionaries(given).map(_maker(kind))


def _json() -> SearchStrategy[Any]:
    leaves = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(_CHARACTERS, max_size=_LENGTH_MAX)
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(_CHARACTERS, max_size=5), inner, max_size=3)
        ),
        max_leaves=6,
    )


_PLAIN: dict[Any, Callable[[], SearchStrategy[Any]]] = {
    type(None): st.none,
    bool: st.booleans,
    int: lambda: st.integers(-(2**53), 2**53),
    float: lambda: st.floats(allow_nan=False, allow_infinity=False),
    str: lambda: st.text(_CHARACTERS, max_size=_LENGTH_MAX),
    bytes: lambda: st.binary(max_size=_LENGTH_MAX),
    Decimal: lambda: st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**9), max_value=10**9),
    datetime: lambda: st.datetimes(timezones=st.timezones()),
    date: st.dates,
    time: st.times,
    timedelta: lambda: st.timedeltas(timedelta(), timedelta(days=365)),
    dict: lambda: st.dictionaries(st.text(_CHARACTERS, max_size=5), _json(), max_size=3),
    list: lambda: st.lists(_json(), max_size=3),
}


def _container(origin: Any, arguments: tuple[Any, ...], where: str) -> SearchStrategy[Any]:
    if origin is dict:
        return st.dictionaries(_of(arguments[0], {}, where), _of(arguments[1], {}, where), max_size=4)
    if origin is tuple and arguments[-1:] != (Ellipsis,):
        return st.tuples(*(_of(each, {}, where) for each in arguments))
    inner = _of(arguments[0], {}, where)
    if origin in (set, frozenset):
        return st.lists(inner, max_size=4).map(origin)
    items = st.lists(inner, max_size=4)
    return items.map(tuple) if origin is tuple else items


def _bounded(base: Any, meta: msgspec.Meta, where: str) -> SearchStrategy[Any]:
    """A strategy that keeps to `msgspec.Meta`."""
    if base is int:
        low = meta.ge if meta.ge is not None else None if meta.gt is None else meta.gt + 1
        high = meta.le if meta.le is not None else None if meta.lt is None else meta.lt - 1
        numbers = st.integers(_whole(low, -(2**53)), _whole(high, 2**53))
        step = meta.multiple_of
        return numbers if not step else numbers.filter(lambda each: bool(each % step == 0))
    if base is float:
        return st.floats(
            min_value=meta.ge if meta.ge is not None else meta.gt,
            max_value=meta.le if meta.le is not None else meta.lt,
            exclude_min=meta.gt is not None, exclude_max=meta.lt is not None,
            allow_nan=False, allow_infinity=False,
        )  # fmt: skip
    if base is str and meta.pattern:
        return st.from_regex(meta.pattern)
    if base is str:
        least = meta.min_length or 0
        return st.text(_CHARACTERS, min_size=least, max_size=meta.max_length or least + _LENGTH_MAX)
    if get_origin(base) is list:
        least = meta.min_length or 0
        inner = _of(get_args(base)[0], {}, where)
        return st.lists(inner, min_size=least, max_size=meta.max_length or least + 4)
    return _of(base, {}, where)


def _whole(bound: float | None, otherwise: int) -> int:
    return otherwise if bound is None else math.ceil(bound)


def _fields_of(kind: Any) -> dict[str, Any] | None:
    """The fields of a class of a payload, with their types; None for what is none."""
    if not isinstance(kind, type):
        return None
    if typing.is_typeddict(kind):
        return typing.get_type_hints(kind, include_extras=True)
    if issubclass(kind, msgspec.Struct):
        return {name: typing.get_type_hints(kind, include_extras=True)[name] for name in kind.__struct_fields__}
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        return {field.name: hints[field.name] for field in dataclasses.fields(kind) if field.init}
    if hasattr(kind, "__attrs_attrs__"):
        hints = typing.get_type_hints(kind, include_extras=True)
        return {each.name: hints.get(each.name, Any) for each in kind.__attrs_attrs__ if each.init}
    return None


def _maker(kind: Any) -> Callable[[dict[str, Any]], Any]:
    return dict if typing.is_typeddict(kind) else lambda given: kind(**given)


def _by_hypothesis(kind: Any, where: str) -> SearchStrategy[Any]:
    """What Hypothesis makes of a type: enums, literals, unions, pydantic models by their constructor."""
    try:
        made = st.from_type(kind)
        made.validate()
    except (ResolutionFailed, InvalidArgument, TypeError) as error:
        raise UsageError(
            f"{where}: nothing is known that makes a {getattr(kind, '__name__', kind)} ({error}); give a strategy for "
            f"the field, inputs(saga, field=...), or teach Hypothesis the type with register_type_strategy",
            code="AM2581",
        ) from error
    return made
