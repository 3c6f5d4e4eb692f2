"""pydantic models as payloads: they come back as they were given, or are refused where they were returned."""

from __future__ import annotations

import math
import subprocess
import sys
import traceback
import typing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Generic, Literal, Optional, TypeVar
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, RootModel, SecretBytes, SecretStr

from amends import DefinitionError, Saga, step
from amends.core.annotations import text
from amends.core.codec import Codec
from amends.errors import PayloadError
from amends.limits import PAYLOAD_BYTES_MAX

T = TypeVar("T")


class Kind(Enum):
    LARGE = "large"


class Card(BaseModel):
    number: SecretStr
    pin: SecretBytes = SecretBytes(b"0000")


class Item(BaseModel):
    sku: str = Field(alias="SKU")
    price: Decimal
    at: datetime
    on: date = date(2026, 1, 2)
    took: timedelta = timedelta(seconds=90)
    id: UUID = UUID(int=7)
    raw: bytes = b"abc"
    kind: Kind = Kind.LARGE
    tags: set[str] = {"b", "a"}
    pair: tuple[int, str] = (1, "x")


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")
    order_id: str = Field(validation_alias="orderId", serialization_alias="order-id")
    items: list[Item] = []
    card: Card | None = None

    @pydantic.computed_field
    @property
    def size(self) -> int:
        return len(self.items)


class Cat(BaseModel):
    kind: Literal["cat"] = Field("cat", alias="type")
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = Field("dog", alias="type")
    name: str = ""


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


class Page(BaseModel, Generic[T]):
    rows: list[T]


class Tree(BaseModel):
    name: str
    below: list[Tree] = []


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    size: int


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)
    at: datetime
    size: int


class Binary(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
    blob: bytes
    secret: SecretBytes


class Tags(RootModel[list[str]]):
    pass


@dataclass
class Holder:
    order: Order
    secret: SecretStr
    pets: dict[str, Cat] = field(default_factory=dict)


class Struct(msgspec.Struct):
    cat: Cat | None = None


@attrs.frozen
class Attrs:
    cat: Cat


@dataclass
class Plain:
    size: int


class HoldsPlain(BaseModel):
    plain: Plain


class Typed(typing.TypedDict):
    cat: Cat


@pydantic.dataclasses.dataclass
class Modern:
    size: int


AT = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
ITEM = Item(SKU="s-1", price=Decimal("1.10"), at=AT)
ORDER = Order(orderId="o-1", items=[ITEM], card=Card(number="4111", pin=b"1234"))


def cases(*pairs):
    """Parameter sets of a declared type and a value, each with a name of its own."""
    named = [pytest.param(*pair, id=f"{number}-{text(pair[0])}") for number, pair in enumerate(pairs)]
    return pytest.mark.parametrize(("declared", "value"), named)


def code_of(declared: Any, value: Any) -> str:
    with pytest.raises(PayloadError) as caught:
        Codec(declared).encode(value, what="the order")
    assert caught.value.message.startswith("the order")
    return caught.value.code


@cases(
    (Order, ORDER),
    (Order | None, None),
    (Optional[Order], ORDER),
    (list[Order], [ORDER, ORDER]),
    (dict[int, Item], {1: ITEM}),
    (Pet, Dog(type="dog", name="rex")),
    (list[Pet], [Cat(), Dog()]),
    (Cat | Dog | None, Cat()),
    (Page[int], Page[int](rows=[1])),
    (Page[Page[Cat]], Page[Page[Cat]](rows=[Page[Cat](rows=[Cat()])])),
    (Tree, Tree(name="a", below=[Tree(name="b")])),
    (Open, Open(size=1, more={"x": [1]}, size2=2)),
    (Strict, Strict(at=AT, size=1)),
    (Binary, Binary(blob=b"\xff\x00", secret=b"\xfe")),
    (Tags, Tags(["a"])),
    (HoldsPlain, HoldsPlain(plain=Plain(3))),
    (Modern, Modern(3)),
    (list[Modern], [Modern(3)]),
    (Holder, Holder(ORDER, SecretStr("s"), {"a": Cat()})),
    (Struct, Struct(Cat())),
    (Attrs, Attrs(Cat())),
    (Typed, {"cat": Cat()}),
    (tuple[Plain, Cat], (Plain(1), Cat())),
    (SecretStr, SecretStr("s")),
)
def test_what_goes_in_comes_out(declared, value):
    codec = Codec(declared)
    raw = codec.encode(value)
    msgspec.json.decode(raw)
    back = codec.decode(raw)
    assert back == value
    assert type(back) is type(value)


def test_secrets_are_stored_as_they_are_and_not_as_asterisks():
    codec = Codec(Order)
    back = codec.decode(codec.encode(ORDER))
    assert back.card.number.get_secret_value() == "4111"
    assert back.card.pin.get_secret_value() == b"1234"


def test_fields_are_stored_by_their_names_without_what_is_computed():
    stored = msgspec.json.decode(Codec(Order).encode(ORDER))
    assert set(stored) == {"order_id", "items", "card"}
    assert stored["items"][0]["sku"] == "s-1"


def test_json_from_outside_may_use_aliases_or_names():
    codec = Codec(Order)
    assert codec.decode_outside(b'{"orderId":"o-1"}') == codec.decode_outside(b'{"order_id":"o-1"}')
    with pytest.raises(PayloadError, match="AM2107"):
        codec.decode_outside(b'{"orderId":1}')
    with pytest.raises(PayloadError, match="AM2108"):
        codec.decode(b'{"orderId":"o-1"}')


class Growing(BaseModel):
    text: str

    @pydantic.field_validator("text")
    @classmethod
    def longer(cls, text: str) -> str:
        return text + "!"


class Trimmed(BaseModel):
    text: str

    @pydantic.field_validator("text")
    @classmethod
    def trim(cls, text: str) -> str:
        return text.strip()


class Private(BaseModel):
    size: int = 1
    _seen: int = PrivateAttr(0)


class Excluded(BaseModel):
    size: int = Field(1, exclude=True)


class Loose(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    any: Any = None


class Inf(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan="constants")
    size: float


def _private(seen: int) -> Private:
    made = Private()
    made._seen = seen
    return made


@cases(
    (Growing, Growing(text="a")),
    (list[Growing], [Growing(text="a")]),
    (tuple[Plain, Growing], (Plain(1), Growing(text="a"))),
    (Private, _private(3)),
    (Any, _private(3)),
    (Excluded, Excluded(size=2)),
    (Cat, Cat.model_construct(lives="9")),
    (Loose, Loose(any=AT)),
    (Loose, Loose(any=SecretStr("s"))),
    (list[Cat], [{"kind": "cat", "lives": 9}]),
    (Open, Open(size=1, more=AT)),
)
def test_what_would_come_back_changed_is_refused(declared, value):
    assert code_of(declared, value) == "AM2110"


def test_the_refusal_says_where_and_quotes_no_value():
    with pytest.raises(PayloadError, match=r"items\.0\.text does not come back") as caught:
        Codec(Big).encode(Big(items=[Growing(text="secret")]))
    assert "secret" not in str(caught.value)


class Big(BaseModel):
    items: list[Growing]


@cases((Trimmed, Trimmed(text=" a ")), (Private, Private()), (Excluded, Excluded()), (Loose, Loose(any=(1, 2))))
def test_what_comes_back_the_same_is_stored_whatever_else_the_model_does(declared, value):
    codec = Codec(declared)
    assert codec.decode(codec.encode(value)) in (value, Loose(any=[1, 2]))


@pytest.mark.parametrize("bad", [math.nan, math.inf], ids=repr)
def test_nan_is_refused_whatever_the_model_says_of_it(bad):
    assert code_of(Inf, Inf(size=bad)) == "AM2102"
    assert code_of(Loose, Loose(any={"a": [bad]})) == "AM2102"
    assert code_of(tuple[Plain, Inf], (Plain(1), Inf(size=bad))) == "AM2102"


def test_keys_that_would_come_back_as_text_are_refused():
    assert code_of(Loose, Loose(any={1: "a"})) == "AM2103"


@cases(
    (Cat, {"kind": "cat"}),
    (Cat, None),
    (Cat, Dog()),
    (Cat | None, {"lives": 9}),
    (Cat, Cat.model_construct(lives="many")),
    (Holder, Holder(ORDER, "plain text", {"a": Dog()})),
)
def test_a_value_that_is_not_what_was_declared_is_refused(declared, value):
    assert code_of(declared, value) == "AM2107"


def test_a_subclass_is_stored_as_what_was_declared():
    class Lion(Cat):
        mane: str = "long"

    codec = Codec(Cat)
    assert codec.decode(codec.encode(Lion(lives=3))) == Cat(lives=3)


def test_a_model_given_where_nothing_is_declared_is_plain_json_later():
    assert Codec(Any).decode(Codec(Any).encode(Card(number="4111"))) == {"number": "4111", "pin": "0000"}


def test_what_holds_itself_is_too_deep_or_no_text_is_refused():
    itself: dict[str, Any] = {}
    itself["me"] = itself
    deep: Any = []
    for depth in range(1, 1_000):
        deep = [deep]
        if depth in (230, 999):  # one is too deep to be read, the other to be written
            assert code_of(Loose, Loose(any=deep)) == "AM2105"
    assert code_of(Loose, Loose(any=itself)) == "AM2105"
    assert code_of(Loose, Loose(any="\ud800")) == "AM2104"
    assert code_of(Loose, Loose(any=object())) == "AM2101"


class Free(RootModel[dict[str, Any]]):
    pass


def test_a_model_that_looks_like_an_encrypted_payload_is_refused():
    assert code_of(Free, Free({"$sealed": ["k", "n", "c"]})) == "AM2111"
    assert code_of(Free | None, Free({"$sealed": 1})) == "AM2111"


def test_the_limit_holds_for_models():
    frame = len('{"any":""}')
    Codec(Loose).encode(Loose(any="x" * (PAYLOAD_BYTES_MAX - frame)))
    assert code_of(Loose, Loose(any="x" * (PAYLOAD_BYTES_MAX - frame + 1))) == "AM2106"
    assert code_of(Holder, Holder(ORDER, SecretStr("x" * PAYLOAD_BYTES_MAX))) == "AM2106"


@pytest.mark.parametrize("raw", [b"", b"{", b'{"number": 5}', b"[]", b"[" * 100_000], ids=lambda raw: repr(raw[-12:]))
def test_what_does_not_validate_is_a_payload_error_that_quotes_nothing(raw):
    with pytest.raises(PayloadError, match=r"AM2108.*input.*Card"):
        Codec(Card).decode(raw, what="input")


def test_no_message_and_no_traceback_quotes_the_input():
    for codec, raw in ((Codec(Card), b'{"number": ["canary"]}'), (Codec(Holder), b'{"order":{},"secret":["canary"]}')):
        with pytest.raises(PayloadError) as caught:
            codec.decode(raw)
        assert "canary" not in "".join(traceback.format_exception(caught.value))
        assert "$" in caught.value.message
    wrong = Card.model_construct(number=["canary"])
    with pytest.raises(PayloadError) as caught:
        Codec(Card).encode(wrong)
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_equal_payloads_have_one_canonical_form_with_the_defaults_written_out():
    codec = Codec(Item)
    base = b'{"sku":"s","price":"1","at":"2026-01-02T03:04:05Z"'
    old, new = base + b"}", base[:-1] + b'","tags":["a","b"],"raw":"abc","took":"PT1M30S","kind":"large"}'
    assert codec.canonical(old) == codec.canonical(new)
    assert codec.canonical(old) == codec.canonical(new.replace(b'["a","b"]', b'["b","a"]'))
    assert codec.canonical(old) != codec.canonical(old.replace(b'"s"', b'"t"'))
    holder = Codec(Holder)
    assert holder.canonical(b'{"order":{"order_id":"o"},"secret":"x"}') == holder.canonical(
        b'{"secret":"x","order":{"order_id":"o","items":[],"card":null},"pets":{}}'
    )
    assert holder.canonical(b'{"order":{"order_id":"o"},"secret":"x"}') != holder.canonical(
        b'{"order":{"order_id":"o"},"secret":"y"}'
    )


@attrs.define
class Inner:
    size: int


class HoldsAttrs(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    inner: list[Inner]


@dataclass
class HoldsModern:
    modern: Modern


class Crossed(BaseModel):
    first: int = Field(alias="second")
    second: int = Field(alias="first")


class Incomplete(BaseModel):
    later: Undefined  # noqa: F821


@pytest.mark.parametrize(
    ("declared", "why"),
    [
        (HoldsAttrs, "Inner stands in a pydantic model"),
        (HoldsModern, "Modern, a dataclass of pydantic's, stands in a record"),
        (Incomplete, "not complete"),
        (list[Crossed], "another field's name"),
    ],
    ids=["attrs", "dataclass", "incomplete", "crossed"],
)
def test_what_cannot_be_stored_is_refused_when_the_saga_is_built(declared, why):
    with pytest.raises(TypeError, match=why):
        Codec(declared)

    @step
    async def take(value: declared) -> None: ...

    with pytest.raises(DefinitionError, match=why):
        Saga("refused", take)


def test_models_are_wired_by_type_like_every_record():
    @step
    async def make(order: Order) -> Page[int]:
        return Page[int](rows=[1])

    @step
    async def use(page: Page[int], order: Order) -> Cat:
        return Cat()

    @step
    async def by_name(make: Page, use: Cat | None) -> None: ...

    saga = Saga("wired", make, use, by_name)
    assert saga.input_type is Order
    with pytest.raises(DefinitionError, match="AM1207"):
        Saga("refused", make, step(by_other_name).named("other"))


async def by_other_name(make: Page[str]) -> None: ...


def test_pydantic_and_attrs_are_not_loaded_for_those_who_do_not_use_them():
    code = """
import sys
from dataclasses import dataclass
from amends import Saga, step
@dataclass
class Order:
    size: int
@step
async def pay(order: Order) -> Order: return order
saga = Saga("s", pay)
saga.decode_input(saga.encode_input(Order(1)))
found = [name for name in ("pydantic", "pydantic_core", "attr", "attrs") if name in sys.modules]
assert not found, found
"""
    subprocess.run([sys.executable, "-c", code], check=True)
