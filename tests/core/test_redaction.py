"""Redaction by type: where a type says that people must not look, and what they see instead."""

from __future__ import annotations

import traceback
import typing
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, NamedTuple, NewType, TypedDict, TypeVar

import attrs
import msgspec
import pydantic
import pytest
from pydantic import SecretBytes, SecretStr

from amends import Redacted, Saga, each, parallel, step, wait_for
from amends.core.annotations import text
from amends.core.codec import Codec
from amends.core.redaction import decode_redactions, encode_redactions, marked_at, paths_in, redact
from amends.errors import PayloadError

T = TypeVar("T")
Secret = Annotated[str, Redacted]
Token = NewType("Token", Secret)


@dataclass
class Card:
    number: Annotated[str, "a note", Redacted()]
    name: str


@dataclass
class Order:
    card: Card | None
    cards: list[Card] = field(default_factory=list)
    by_name: dict[str, tuple[Card, int]] = field(default_factory=dict)


class Struct(msgspec.Struct, rename="camel"):
    card_number: Secret
    plain_text: str = ""


class Row(msgspec.Struct, array_like=True):
    plain: str
    secret: Secret


class Pair(NamedTuple):
    plain: str
    secret: Secret


class Typed(TypedDict, total=False):
    secret: typing.Required[Secret]
    plain: typing.NotRequired[str]


@attrs.define
class Attrs:
    _secret: Secret
    plain: str = ""


class Model(pydantic.BaseModel):
    card: SecretStr = pydantic.Field(alias="cardNumber")
    pin: SecretBytes | None = None
    marked: Annotated[dict[str, int], Redacted] = {}
    held: pydantic.Secret[int] | None = None
    plain: str = ""


class Root(pydantic.RootModel[list[SecretStr]]):
    pass


@dataclass
class Tree:
    secret: Secret
    below: list[Tree] = field(default_factory=list)


@dataclass
class Even:
    odd: Odd | None = None


@dataclass
class Odd:
    secret: Secret
    even: Even | None = None


@dataclass
class Box(Generic[T]):
    held: T


class Cat(msgspec.Struct, tag="cat"):
    name: str


class Dog(msgspec.Struct, tag="dog"):
    name: Secret


def cases(**by_name):
    return pytest.mark.parametrize(("declared", "expected"), list(by_name.values()), ids=list(by_name))


@cases(
    nothing=(dict[str, list[int]], []),
    the_whole=(Secret, [()]),
    or_none=(Secret | None, [()]),
    new_type=(Token, [()]),
    dataclass=(Card, [("number",)]),
    nested=(Order, [("card", "number"), ("cards", "*", "number"), ("by_name", "*", "*", "number")]),
    marked_whole=(Annotated[Card, Redacted], [()]),
    elements=(list[Secret], [("*",)]),
    keys=(dict[Secret, int], [()]),
    struct=(Struct, [("cardNumber",)]),
    array_like=(list[Row], [("*", "1")]),
    named_tuple=(Pair, [("1",)]),
    typed_dict=(Typed, [("secret",)]),
    attrs=(Attrs, [("_secret",)]),
    model=(Model, [("card",), ("pin",), ("marked",), ("held",)]),
    root_model=(Root, [("*",)]),
    secret_alone=(SecretStr | None, [()]),
    holds_itself=(Tree, [("secret",), ("**", "secret")]),
    two_that_hold_each_other=(list[Even], [("*", "odd", "secret"), ("*", "**", "odd", "secret")]),
    generic=(Box[Secret], [("held",)]),
    generic_of_a_record=(Box[list[Card]], [("held", "*", "number")]),
    union=(Cat | Dog, [("name",)]),
)
def test_the_marked_places_of_a_type(declared, expected):
    assert sorted(paths_in(declared)) == sorted(expected)
    assert sorted(Codec(declared).redacted) == sorted(expected), text(declared)


@cases(
    order=(
        (Order, Order(Card("4111", "ann"), [Card("4222", "bob")], {"a": (Card("4333", "cy"), 7)})),
        {
            "card": {"number": "[redacted]", "name": "ann"},
            "cards": [{"number": "[redacted]", "name": "bob"}],
            "by_name": {"a": [{"number": "[redacted]", "name": "cy"}, 7]},
        },
    ),
    nothing_there=((Order, Order(None)), {"card": None, "cards": [], "by_name": {}}),
    any_depth=(
        (Tree, Tree("a", [Tree("b", [Tree("c")])])),
        {
            "secret": "[redacted]",
            "below": [{"secret": "[redacted]", "below": [{"secret": "[redacted]", "below": []}]}],
        },
    ),
    deeper=(
        (Even, Even(Odd("a", Even(Odd("b"))))),
        {"odd": {"secret": "[redacted]", "even": {"odd": {"secret": "[redacted]", "even": None}}}},
    ),
    array_like=((Row, Row("p", "s")), ["p", "[redacted]"]),
    model=(
        (Model, Model(cardNumber="4111", pin=b"1234", marked={"a": 1}, plain="p")),
        {"card": "[redacted]", "pin": "[redacted]", "marked": "[redacted]", "held": None, "plain": "p"},
    ),
)
def test_what_people_see_of_a_stored_value(declared, expected):
    kind, value = declared
    codec = Codec(kind)
    stored = msgspec.json.decode(codec.encode(value))
    assert redact(stored, codec.redacted) == expected
    assert codec.decode(codec.encode(value)) == value


def test_a_function_is_given_the_value_and_the_stored_json_holds_it():
    assert Codec(Card).decode(Codec(Card).encode(Card("4111", "ann"))).number == "4111"


@step
async def pay(order: Order) -> Card: ...


@step
async def note(order: Order) -> str: ...


def test_a_saga_s_marks_change_neither_its_structure_nor_its_fingerprint():
    @step(read_only=True)
    async def plain(order: Order) -> int: ...

    @step(read_only=True)
    async def marked(order: Order) -> Annotated[int, Redacted]: ...

    one, other = Saga("s", plain, note), Saga("s", marked.named("plain"), note)
    assert one.fingerprint == other.fingerprint
    assert "plain" not in one.redactions and other.redactions["plain"] == ((),)


def test_a_saga_knows_the_marks_of_its_input_its_steps_and_its_waits():
    saga = Saga("s", parallel(pay, note), wait_for("code", Secret))
    assert set(saga.redactions) == {"", "pay", "code"}
    assert marked_at(saga.redactions, ("pay",)) == (("number",),)
    assert marked_at(saga.redactions, ("note",)) == ()


def test_marks_are_stored_as_json_and_damaged_ones_mark_everything():
    saga = Saga("s", pay, note)
    stored = encode_redactions(saga.redactions)
    assert decode_redactions(stored) == saga.redactions
    assert encode_redactions({}) == b"" and decode_redactions(b"") == {}
    assert marked_at(decode_redactions(b"{"), ("note",)) == ((),)


class Level(msgspec.Struct):
    level: Annotated[typing.Literal["low", "high"], Redacted]


@cases(
    literal=(Level, b'{"level":"canary"}'),
    number=(Card, b'{"number":["canary"],"name":"x"}'),
    model=(Model, b'{"card":["canary"]}'),
)
def test_no_message_quotes_a_marked_value(declared, expected):
    with pytest.raises(PayloadError, match=r"AM2108.*at `\$\.") as caught:
        Codec(declared).decode(expected)
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    wrong: Any = Level("canary") if declared is Level else msgspec.json.decode(expected)
    with pytest.raises(PayloadError) as refused:
        Codec(declared).encode(wrong)
    assert "canary" not in "".join(traceback.format_exception(refused.value))


def marked_texts(order: Order) -> list[Secret]: ...
def marked_list(order: Order) -> Annotated[list[str], Redacted] | None: ...
def marked_cards(order: Order) -> "Annotated[tuple[Card, ...] | None, 'a note']": ...
def nested(order: Order) -> list[list[Secret]]: ...


@pytest.mark.parametrize(
    ("items", "paths"),
    [(marked_texts, ((),)), (marked_list, ((),)), (marked_cards, (("number",),)), (nested, (("*",),))],
)
def test_a_mark_in_what_gives_the_items_of_an_each_marks_the_items_that_are_stored(items, paths):
    @step
    async def look(order: Order) -> None: ...

    assert Saga("marked", each(items, look)).redactions["each#1#given"] == paths


def test_an_item_type_that_is_said_besides_takes_no_mark_away():
    @step
    async def look(order: Order) -> None: ...

    assert Saga("marked", each(marked_texts, look, item=str)).redactions["each#1#given"] == ((),)
