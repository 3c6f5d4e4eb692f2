"""Annotations: what two types are compared by, and how they are shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Dict, Generic, List, Literal, Optional, Tuple, TypeVar, Union

import pytest

from amends.core.annotations import admits_none, bare, is_plain, same_kind, text

T = TypeVar("T")


class Card: ...


class Cash: ...


class Page(Generic[T]): ...


@pytest.mark.parametrize(
    ("annotation", "stripped"),
    [
        (None, type(None)),
        (Optional[Card], Card),
        (Annotated[Card | None, "x"], Card),
        (Optional[Annotated[Card, "x"]], Card),
        (Union[Card, Cash, None], Union[Cash, Card]),
        (Annotated[list[Annotated[int, "x"]], "y"], list[int]),
        (List[int], list[int]),
        (List, list),
        (Dict[str, List[int]], dict[str, list[int]]),
        (Tuple[int, ...], tuple[int, ...]),
        (Page[Annotated[Card, 1]], Page[Card]),
        (list[int | None], list[int | None]),
        (Callable[[Annotated[int, 1]], str], Callable[[int], str]),
    ],
    ids=str,
)
def test_annotated_and_none_are_stripped_and_aliases_are_their_builtins(annotation, stripped):
    assert bare(annotation) == stripped


def test_none_inside_a_container_is_not_stripped():
    assert bare(list[int | None]) != bare(list[int])


@pytest.mark.parametrize(
    "annotation", [None, Any, object, Card | None, Annotated[Card | None, 1], Literal[None]], ids=str
)
def test_these_admit_none(annotation):
    assert admits_none(annotation)


@pytest.mark.parametrize("annotation", [Card, Card | Cash, list[None], Literal[1], Annotated[Card, None]], ids=str)
def test_these_do_not(annotation):
    assert not admits_none(annotation)


@pytest.mark.parametrize(
    "annotation", [int, list, list[Card], dict[str, Any], Any, int | str, Literal[1], type(None)], ids=str
)
def test_builtins_and_containers_are_plain(annotation):
    assert is_plain(annotation)


@pytest.mark.parametrize("annotation", [Card, Card | int, Page[int]], ids=str)
def test_an_author_s_types_are_not(annotation):
    assert not is_plain(annotation)


@pytest.mark.parametrize(
    ("declared", "wanted", "same"),
    [
        (Card, Card, True),
        (Card, Cash, False),
        (dict, dict[str, int], True),
        (dict[str, int], dict, True),
        (dict[str, int], dict[str, str], False),
        (list, dict, False),
        (list[int], dict, False),
        (Any, Card, True),
        (Card, Any, True),
        (Card, object, True),
        (Page, Page[int], True),
    ],
    ids=lambda it: text(it) if not isinstance(it, bool) else str(it).lower(),
)
def test_a_name_may_bear_the_same_type_or_one_that_says_less(declared, wanted, same):
    assert same_kind(declared, wanted) is same


@pytest.mark.parametrize(
    ("annotation", "shown"),
    [
        (None, "None"),
        (Card, "Card"),
        (Optional[Card], "Card | None"),
        (dict[str, list[Card]], "dict[str, list[Card]]"),
        (Any, "Any"),
        ("Card", "Card"),
    ],
    ids=str,
)
def test_a_type_is_shown_as_its_author_would_write_it(annotation, shown):
    assert text(annotation) == shown
