"""attrs classes as payloads, and dataclasses that hide something from their equality."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

import attrs
import msgspec
import pytest

from amends import DefinitionError, Saga, step
from amends.core.annotations import text
from amends.core.codec import Codec
from amends.errors import PayloadError
from amends.limits import PAYLOAD_BYTES_MAX

T = TypeVar("T")


@attrs.define
class Item:
    sku: str
    price: Decimal = Decimal(1)
    at: datetime | None = None


@attrs.frozen(kw_only=True)
class Order:
    order_id: str
    items: list[Item] = attrs.field(factory=list)
    size: int = attrs.field(default=0, converter=int)
    note: str = attrs.field(init=False, default="none")

    @size.validator
    def _not_negative(self, attribute: Any, value: int) -> None:
        if value < 0:
            raise ValueError("less than nothing")


@attrs.define(slots=False)
class Private:
    size: int
    _token: str = "none"
    __deep: int = 0


@attrs.define(eq=False)
class Holder:
    private: list[Private]
    by_name: dict[str, Private] = attrs.field(factory=dict)


@attrs.define
class Page(Generic[T]):
    rows: list[T]


@attrs.define
class Tree:
    name: str
    below: list[Tree] = attrs.field(factory=list)


@dataclass
class HoldsAttrs:
    order: Order
    tree: Tree | None = None


class Struct(msgspec.Struct):
    item: Item


@attrs.define
class HoldsStruct:
    struct: Struct


@attrs.define
class TakesSelf:
    size: int = 1
    twice: int = attrs.Factory(lambda self: self.size * 2, takes_self=True)


@attrs.define
class Growing:
    size: int

    def __attrs_post_init__(self) -> None:
        self.size += 1


@attrs.define
class Unequal:
    size: float | None = attrs.field(eq=False)


@dataclass
class Grows:
    size: int

    def __post_init__(self) -> None:
        self.size += 1


@dataclass
class Uncompared:
    size: float | None = field(compare=False)
    extra: str = field(default="", compare=False)


ORDER = Order(order_id="o", items=[Item("s", Decimal("1.10"), datetime(2026, 1, 2, tzinfo=UTC))], size="3")


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
    (Order, attrs.evolve(ORDER, order_id="p")),
    (Order | None, None),
    (list[Order], [ORDER]),
    (Private, Private(1, token="t")),
    (list[Private], [Private(1, "a", 7), Private(2)]),
    (Page[int], Page([1])),
    (Page[Item], Page([Item("s")])),
    (Tree, Tree("a", [Tree("b")])),
    (HoldsAttrs, HoldsAttrs(ORDER, Tree("a"))),
    (Struct, Struct(Item("s"))),
    (HoldsStruct, HoldsStruct(Struct(Item("s")))),
)
def test_what_goes_in_comes_out(declared, value):
    codec = Codec(declared)
    back = codec.decode(codec.encode(value))
    assert back == value
    assert type(back) is type(value)


def test_private_fields_are_stored_by_the_name_of_the_attribute():
    assert msgspec.json.decode(Codec(Private).encode(Private(1, "t", 7))) == {
        "size": 1,
        "_token": "t",
        "_Private__deep": 7,
    }
    back = Codec(Holder).decode(Codec(Holder).encode(Holder([Private(1, "t")], {"a": Private(2, "u")})))
    assert back.private[0]._token == "t" and back.by_name["a"]._token == "u"


def test_a_field_that_no_init_takes_comes_back_as_it_was():
    order = Order(order_id="o")
    object.__setattr__(order, "note", "said later")
    assert Codec(Order).decode(Codec(Order).encode(order)).note == "said later"


def test_validators_run_when_a_value_is_read_and_converters_do_not():
    with pytest.raises(PayloadError, match="less than nothing"):
        Codec(Order).decode(b'{"order_id":"o","size":-1}')
    with pytest.raises(PayloadError, match="AM2108"):
        Codec(Order).decode(b'{"order_id":"o","size":"3"}')


@cases(
    (Growing, Growing(1)),
    (list[Growing], [Growing(1)]),
    (Grows, Grows(1)),
    (Any, {"a": Private(1, "t")}),
)
def test_what_would_come_back_changed_is_refused(declared, value):
    assert code_of(declared, value) == "AM2110"


def test_a_private_field_is_kept_where_nothing_is_declared():
    assert Codec(Any).decode(Codec(Any).encode(Private(1, "t")))["_token"] == "t"


@cases((Unequal, Unequal(math.nan)), (Uncompared, Uncompared(math.inf)), (list[Unequal], [Unequal(math.nan)]))
def test_what_is_left_out_of_an_equality_is_looked_at_all_the_same(declared, value):
    assert code_of(declared, value) == "AM2102"
    assert Codec(Uncompared).decode(Codec(Uncompared).encode(Uncompared(1.5, "x"))) == Uncompared(1.5, "x")


@cases(
    (Order, {"order_id": "o"}), (Order, None), (Order, Item("s")), (Item, Item(5)), (HoldsAttrs, HoldsAttrs(Item("s")))
)
def test_a_value_that_is_not_what_was_declared_is_refused(declared, value):
    assert code_of(declared, value) == "AM2107"


def test_the_limit_holds_for_attrs_classes():
    frame = len('{"sku":"","price":"1","at":null}')
    Codec(Item).encode(Item("x" * (PAYLOAD_BYTES_MAX - frame)))
    assert code_of(Item, Item("x" * (PAYLOAD_BYTES_MAX - frame + 1))) == "AM2106"
    assert code_of(Private, Private(1, "x" * PAYLOAD_BYTES_MAX)) == "AM2106"


def test_equal_payloads_have_one_canonical_form_with_the_defaults_written_out():
    codec = Codec(HoldsAttrs)
    old, new = (
        b'{"order":{"order_id":"o"}}',
        b'{"tree":null,"order":{"size":0,"items":[],"order_id":"o","note":"none"}}',
    )
    assert codec.canonical(old) == codec.canonical(new)
    assert codec.canonical(old) != codec.canonical(b'{"order":{"order_id":"o","size":1}}')
    private = Codec(Private)
    assert private.canonical(b'{"size":1}') == private.canonical(b'{"_token":"none","size":1}')
    assert private.canonical(b'{"size":1}') != private.canonical(b'{"_token":"t","size":1}')


def test_what_cannot_be_stored_is_refused_when_the_saga_is_built():
    class HoldsPrivate(msgspec.Struct):
        private: Private

    for declared, why in ((TakesSelf, "takes self"), (HoldsPrivate, "private field _token")):
        with pytest.raises(TypeError, match=why):
            Codec(declared)

        @step
        async def take(value: declared) -> None: ...

        with pytest.raises(DefinitionError, match=why):
            Saga("refused", take)


def test_attrs_classes_are_wired_by_type_like_every_record():
    @step
    async def make(order: Order) -> Item:
        return Item(order.order_id)

    @step
    async def use(item: Item, order: Order) -> None: ...

    assert Saga("wired", make, use).input_type is Order
