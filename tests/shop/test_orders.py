"""Reading orders: no line stops the others."""

from __future__ import annotations

import io
import json

import pytest

from examples.shop.orders import LINE_BYTES_MAX, SHIPPED, draw_orders, read_file, read_orders, write_orders

GOOD = {
    "order_id": "o1",
    "customer": "c001",
    "email": "c@example.org",
    "district": "d01",
    "card": "valid",
    "items": [{"sku": "A000", "quantity": 1, "price_cents": 500}],
    "total_cents": 500,
}


def line(**changed: object) -> bytes:
    return json.dumps({**GOOD, **changed}).encode()


def test_a_good_line_is_an_order() -> None:
    read = read_orders([line()])
    assert [order.order_id for order in read.orders] == ["o1"]
    assert read.orders[0].items[0].quantity == 1


@pytest.mark.parametrize(
    "bad",
    [
        b"{",
        b"not json",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"order_id": "o2"}',
        line(total_cents="500"),
        line(total_cents=500.5),
        line(total_cents=10**30),
        line(items=[{"sku": "A000"}]),
        line(items={}),
        line(order_id=7),
        line(order_id=""),
        line(order_id="../../etc"),
        line(order_id="o" * 65),
        line(customer=None),
        line(email="x" * 300),
        b"[" * 100_000,
        line() + b"trailing",
        line() + b" " * LINE_BYTES_MAX,
    ],
)
def test_a_malformed_line_is_counted_with_its_number_and_the_rest_is_read(bad: bytes) -> None:
    read = read_orders([line(order_id="a"), b"", bad, line(order_id="b")])
    assert [order.order_id for order in read.orders] == ["a", "b"]
    assert [number for number, _ in read.malformed] == [3]
    assert read.malformed[0][1]


def test_a_business_wise_absurd_order_is_no_malformed_line() -> None:
    read = read_orders([line(total_cents=-5, items=[], card="", email="", district="")])
    assert (len(read.orders), read.malformed) == (1, [])


def test_a_repeated_order_counts_once_and_a_second_order_under_its_id_is_a_conflict() -> None:
    read = read_orders([line(), line(total_cents=600), line()])
    assert len(read.orders) == 1
    assert read.orders[0].total_cents == 500
    assert read.repeated == [3]
    assert read.conflicting == [(2, "o1")]


def test_the_shipped_file_is_what_is_drawn_and_varied() -> None:
    stream = io.BytesIO()
    write_orders(draw_orders(1_000), stream)
    assert stream.getvalue() == SHIPPED.read_bytes()
    read = read_file(str(SHIPPED))
    assert (len(read.orders), read.malformed, read.repeated, read.conflicting) == (1_000, [], [], [])
    assert {order.card for order in read.orders} == {"valid", "blocked", "expired"}
    assert any(not order.items for order in read.orders)
