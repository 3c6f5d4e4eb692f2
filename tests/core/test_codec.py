"""Payloads: what goes in comes out, and what would not is refused where it was returned."""

from __future__ import annotations

import enum
import math
import re
import typing
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, TypedDict

import msgspec
import pytest
from hypothesis import given, strategies as st

from amends.core.codec import Codec, Codecs, undecodable
from amends.errors import PayloadError
from amends.limits import PAYLOAD_BYTES_MAX


class Colour(enum.StrEnum):
    RED = "red"


class Point(NamedTuple):
    x: int
    y: int


@dataclass(slots=True)
class Slotted:
    size: int = 3


class Struct(msgspec.Struct):
    size: int
    inner: Struct | None = None


class Typed(TypedDict, total=False):
    size: int
    note: str | None


@dataclass
class Item:
    price: Decimal
    at: datetime
    id: uuid.UUID
    colour: Colour = Colour.RED


@dataclass
class Order:
    order_id: str
    items: list[Item] = field(default_factory=list)
    weight: float | None = None


class Holder(msgspec.Struct):
    order: Order
    other: Slotted = msgspec.field(default_factory=Slotted)


@dataclass
class Payment:
    payment_id: str


@dataclass
class Picky:
    kind: typing.Literal["a"]


@dataclass(eq=False)
class NeverEqual:
    sizes: dict[int, str]
    note: str | None = None


ITEM = Item(Decimal("1.10"), datetime(2026, 1, 2, tzinfo=UTC), uuid.UUID(int=7))


def code_of(declared: Any, value: Any) -> str:
    with pytest.raises(PayloadError) as caught:
        Codec(declared).encode(value, what='step "pay"')
    assert 'step "pay"' in caught.value.message
    return caught.value.code


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        (Order, Order("o-1", [ITEM], 1.5)),
        (Order | None, None),
        (Struct, Struct(1, Struct(2))),
        (Typed, {"size": 1, "note": None}),
        (Point, Point(1, 2)),
        (Colour, Colour.RED),
        (dict[int, str], {1: "a"}),
        (dict[str, Payment], {"a": Payment("p")}),
        (tuple[int, str], (1, "a")),
        (set[int], {1, 2}),
        (timedelta, timedelta(seconds=5)),
        (bytes, b"\x00\xff"),
        (int, 10**40),
        (int, -(2**70)),
        (float, 5),
        (Any, {"a": [1, 2.5, "x", None, True, {"b": 2**65}]}),
        (None, None),
        (str, "\U0001f600 \x00"),
    ],
    ids=repr,
)
def test_what_goes_in_comes_out(declared, value):
    codec = Codec(declared)
    back = codec.decode(codec.encode(value))
    assert back == value
    assert type(back) is type(value) or value == 5


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json)
def test_all_plain_json_comes_back_as_it_was(value):
    codec = Codec(Any)
    back = codec.decode(codec.encode(value))
    assert back == value
    assert repr(back) == repr(value)


@given(st.recursive(st.floats() | st.text(max_size=2), lambda inner: st.lists(inner, max_size=3), max_leaves=6))
def test_a_float_that_is_not_finite_never_becomes_null(value):
    codec = Codec(Any)
    if _has_odd(value):
        assert code_of(Any, value) == "AM2102"
    else:
        assert codec.decode(codec.encode(value)) == value


def _has_odd(value: Any) -> bool:
    return (
        any(map(_has_odd, value)) if isinstance(value, list) else isinstance(value, float) and not math.isfinite(value)
    )


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf], ids=repr)
def test_nan_and_infinity_are_refused_at_any_depth_and_for_any_type(bad):
    assert code_of(Any, {"a": [1, {"b": bad}]}) == "AM2102"
    assert code_of(Order, Order("o", weight=bad)) == "AM2102"
    assert code_of(float, bad) == "AM2102"
    assert code_of(float | None, bad) == "AM2102"
    assert code_of(NeverEqual, NeverEqual({1: "a"}, bad)) == "AM2102"


def test_keys_that_would_come_back_as_text_are_refused_and_typed_ones_are_not():
    assert code_of(Any, {"a": [{1: "x"}]}) == "AM2103"
    assert code_of(dict, {1.5: "x"}) == "AM2103"
    assert code_of(dict[str, Any], {"a": {True + 1: "x"}}) == "AM2103"
    codec = Codec(NeverEqual)
    assert codec.decode(codec.encode(NeverEqual({1: "a"}))).sizes == {1: "a"}


def test_a_tuple_in_plain_json_comes_back_as_a_list():
    codec = Codec(Any)
    assert codec.decode(codec.encode({"a": (1, 2)})) == {"a": [1, 2]}


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        (Payment, None),
        (Payment, {"payment_id": "p"}),
        (Payment, Struct(1)),
        (Payment, Payment(5)),
        (Payment | None, {"payment_id": "p"}),
        (int, "5"),
        (list[int], ["a"]),
        (Typed, {"size": "large"}),
        (None, 1),
    ],
    ids=repr,
)
def test_a_value_that_is_not_what_was_declared_is_refused(declared, value):
    assert code_of(declared, value) == "AM2107"


def test_the_error_says_what_was_declared_and_what_came():
    with pytest.raises(PayloadError, match="declared as Payment, but got dict"):
        Codec(Payment).encode({"payment_id": "p"})


@pytest.mark.parametrize(
    ("declared", "value", "stored", "said"),
    [
        (typing.Literal["a", "b"], "canary", b'"canary"', "Invalid enum value."),
        (typing.Literal[1, 2], 4711, b"4711", "Invalid enum value."),
        (Picky, Picky("canary"), b'{"kind":"canary"}', "Invalid enum value at `$.kind`."),
        (dict[str, Picky], {"p": Picky("canary")}, b'{"p":{"kind":"canary"}}', "Invalid enum value at `$[...].kind`."),
    ],
    ids=repr,
)
def test_no_error_says_what_the_value_was(declared, value, stored, said):
    codec = Codec(declared)
    with pytest.raises(PayloadError) as error:
        codec.encode(value, what="it")
    assert said in str(error.value) and not re.search("canary|4711", str(error.value))
    with pytest.raises(msgspec.ValidationError) as complaint:
        codec.decode_raw(stored)
    told = str(undecodable("it", codec, complaint.value))
    assert said in told and not re.search("canary|4711", told)


def test_a_subclass_is_stored_as_what_was_declared():
    @dataclass
    class Refund(Payment):
        reason: str = "late"

    codec = Codec(Payment)
    assert codec.decode(codec.encode(Refund("p"))) == Payment("p")


@pytest.mark.parametrize(
    "value", [object(), {"a": {object(): 1}}, (each for each in ()), 1 + 2j], ids=lambda it: type(it).__name__
)
def test_what_is_no_payload_is_refused_with_the_supported_types(value):
    assert code_of(Any, value) == "AM2101"
    with pytest.raises(PayloadError, match="dataclass, msgspec Struct"):
        Codec(Any).encode(value)


def test_a_lone_surrogate_is_refused():
    assert code_of(Any, {"a": "\ud800"}) == "AM2104"


def test_what_is_nested_too_deeply_or_holds_itself_is_refused():
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    itself: dict[str, Any] = {}
    itself["me"] = itself
    assert code_of(Any, deep) == "AM2105"
    assert code_of(Any, itself) == "AM2105"
    while deep:  # freed from the outside in, or CPython would recurse
        deep = deep.pop()


def test_the_limit_is_in_bytes_of_json():
    Codec(str).encode("x" * (PAYLOAD_BYTES_MAX - 2))
    assert code_of(str, "x" * (PAYLOAD_BYTES_MAX - 1)) == "AM2106"
    assert code_of(str, "\u00e9" * (PAYLOAD_BYTES_MAX // 2)) == "AM2106"


def test_an_error_in_the_author_s_own_methods_is_a_payload_error():
    @dataclass
    class Touchy:
        size: int

        def __eq__(self, other: object) -> bool:
            raise ZeroDivisionError

        __hash__ = None

    codec = Codec(Touchy)
    assert codec.decode(codec.encode(Touchy(3))).size == 3

    @dataclass
    class Narrow:
        size: int

        def __post_init__(self):
            if self.size > 5:
                raise KeyError(self.size)

    value = Narrow(1)
    value.size = 6
    assert code_of(Narrow, value) == "AM2107"


class Renamed(msgspec.Struct, rename={"size": "$sealed"}):
    size: int


def test_plain_json_that_looks_like_an_encrypted_payload_is_refused():
    assert code_of(Any, {"$sealed": ["k", "n", "c"]}) == "AM2111"
    assert code_of(dict[str, int], {"a": 1, "$sealed": 2}) == "AM2111"
    assert Codec(Any).decode(Codec(Any).encode([{"$sealed": 1}])) == [{"$sealed": 1}]
    with pytest.raises(TypeError, match="sealed"):
        Codec(Renamed)


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[1]", b'{"payment_id": 5}', b'{"payment_id": "\xff"}', b"[" * 100_000],
    ids=lambda raw: repr(raw[-12:]),
)
def test_what_does_not_decode_is_a_payload_error_that_names_the_type(raw):
    with pytest.raises(PayloadError, match=r"AM2108.*input.*Payment"):
        Codec(Payment).decode(raw, what="input")


def test_equal_payloads_have_one_canonical_form():
    plain = Codec(Any)
    assert plain.canonical(b'{"b": 1, "a": {"d": 2, "c": 3}}') == plain.canonical(b'{"a":{"c":3,"d":2},"b":1}')
    assert plain.canonical(b'{"a": 1}') != plain.canonical(b'{"a": 2}')


def test_a_field_that_was_added_with_a_default_does_not_change_the_canonical_form():
    codec = Codec(list[dict[str, Order]])
    old, new = b'[{"a":{"order_id":"o"}}]', b'[{"a":{"weight":null,"items":[],"gone":1,"order_id":"o"}}]'
    assert codec.canonical(old) == codec.canonical(new) == b'[{"a":{"order_id":"o","items":[],"weight":null}}]'
    holder = Codec(Holder)
    assert holder.canonical(b'{"order":{"order_id":"o"}}') == holder.canonical(
        b'{"order":{"order_id":"o","weight":null},"other":{}}'
    )
    assert codec.canonical(old) != codec.canonical(b'[{"a":{"order_id":"o","weight":1.5}}]')


@pytest.mark.parametrize("declared", [object, typing.Callable[[], int]], ids=str)
def test_a_type_that_cannot_be_stored_is_refused_when_its_codec_is_made(declared):
    with pytest.raises(TypeError, match="dataclass, msgspec Struct"):
        Codec(declared)


def test_a_field_that_does_not_resolve_says_so():
    @dataclass
    class Local:
        size: int

    @dataclass
    class Outer:
        inner: Local

    with pytest.raises(TypeError, match="module level"):
        Codec(Outer)


def test_codecs_are_made_once_for_a_type_and_told_apart_when_equal():
    codecs = Codecs()
    assert codecs.of(Payment) is codecs.of(Payment)
    assert codecs.of(typing.Literal[1]) is not codecs.of(typing.Literal[True])
    assert codecs.of(typing.Annotated[int, []]).decode(b"5") == 5
