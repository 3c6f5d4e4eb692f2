"""What the tests of definitions share: payload types, steps of given types, what is wired, what is refused."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any

import pytest

from amends.core.definition import Saga, step
from amends.errors import DefinitionError


@dataclass
class Item:
    sku: str


@dataclass
class Order:
    order_id: str = "o"
    items: list[Item] = field(default_factory=list)
    total: int = 0


@dataclass
class Parcel:
    weight: int


@dataclass
class Payment:
    payment_id: str


@dataclass
class Label:
    number: str


class Client:
    """A resource."""


def makes(name: str, returns: Any = None, **options: Any) -> Any:
    """A step of that name whose one parameter takes the input."""

    def function(order):
        return None

    function.__annotations__ = {"return": returns}
    return step(name=name, **options)(function)


def takes(**parameters: Any) -> Any:
    """A step named `use` with these parameters."""

    def function(**given): ...

    return step(name="use")(with_parameters(function, parameters))


def with_parameters(function: Any, parameters: dict[str, Any], returns: Any = None) -> Any:
    """The function with a signature that is made up."""
    function.__signature__ = inspect.Signature(
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
            for name, annotation in parameters.items()
        ],
        return_annotation=returns,
    )
    return function


def shop(*nodes: Any, **options: Any) -> Saga[Any, Any]:
    options.setdefault("input", Order)
    return Saga("shop", *nodes, **options)


def wired(saga: Saga[Any, Any], path: str, op: str = "action") -> dict[str, tuple[str, str]]:
    """Parameter -> (source, path of the node it comes from)."""
    call = getattr(saga.bindings[saga.graph.find(path)], op)
    nodes = saga.graph.nodes
    return {each.name: (each.source.name, nodes[each.node].path if each.node >= 0 else "") for each in call.wired}


def declared(saga: Saga[Any, Any], path: str, parameter: str, op: str = "action") -> Any:
    """The type that a parameter is decoded as."""
    call = getattr(saga.bindings[saga.graph.find(path)], op)
    return next(each.codec.declared for each in call.wired if each.name == parameter)


def read(saga: Saga[Any, Any]) -> set[str]:
    """The paths of the nodes whose result somebody reads."""
    return {node.path for node in saga.graph.nodes if node.read}


def refused(code: str, *nodes: Any, **options: Any) -> str:
    """The message of the DefinitionError of that code, which names the saga."""
    with pytest.raises(DefinitionError) as caught:
        shop(*nodes, **options)
    assert caught.value.code == code, str(caught.value)
    assert 'saga "shop"' in caught.value.message
    return caught.value.message


def refuses(code: str, build: Any, *words: str) -> None:
    """What `build` builds is refused with that code and these words."""
    with pytest.raises(DefinitionError) as caught:
        build()
    assert caught.value.code == code, str(caught.value)
    for word in words:
        assert word in caught.value.message
