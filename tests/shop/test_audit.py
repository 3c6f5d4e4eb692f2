"""The audit sees a single unit that is missing, or there twice, whatever law it breaks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from examples.shop.audit import audit
from tests.shop.conftest import Rig


@pytest.fixture
def shop(rig: Rig) -> Rig:
    """One order done, one undone, one done with a refund, and a courier written off."""
    for order_id in ("done", "undone", "refunded", "given-up"):
        rig.place(order_id)
    rig.fulfil("done")
    rig.undo("undone")
    rig.desk("payment", "refund", order_id="refunded", amount_cents=100)
    rig.fulfil("refunded")
    rig.desk("payment", "refund", order_id="refunded", amount_cents=30)
    rig.desk("shipping", "dispatch", order_id="given-up")
    rig.desk("shipping", "write_off", order_id="given-up")
    for service, url in (("inventory", "stock"), ("payment", "reservation"), ("order", "order")):
        rig.call("DELETE", service, "given-up", url)
    report = audit(rig.directory)
    assert report.violations == []
    assert report.orders == {"done": "done", "undone": "undone", "refunded": "done", "given-up": "undone"}
    return rig


# Service, what is done to its database, and the sentences (regular expressions) that the audit must say of it.
PAYMENT = [
    (
        "UPDATE accounts SET balance_cents = balance_cents - 1 WHERE account = 'c007'",
        ["money: the sum of all accounts", "money: account c007 against its ledger"],
    ),
    ("UPDATE accounts SET balance_cents = balance_cents + 1 WHERE account = 'world'", ["money: account world"]),
    (
        (
            "UPDATE accounts SET balance_cents = balance_cents + iif(account = 'c001', 1, -1)"
            " WHERE account IN ('c001', 'shop')"
        ),
        ["money: account c001", "money: the shop's account"],
    ),
    ("UPDATE accounts SET balance_cents = balance_cents + 1 WHERE account = 'held'", ["money: what is held"]),
    ("DELETE FROM accounts WHERE account = 'c150'", ["money: account c150"]),
    ("INSERT INTO accounts VALUES ('hidden', 0)", ["money: account hidden"]),
    ("DELETE FROM ledger WHERE kind = 'capture' AND order_id = 'done'", ["money: payment .* captured: found 0"]),
    (
        (
            "INSERT INTO ledger (kind, order_id, payment_id, source, target, amount_cents)"
            " SELECT 'capture', order_id, payment_id, source, target, amount_cents FROM ledger"
            " WHERE kind = 'release' AND order_id = 'undone'"
        ),
        ["money: payment .* captured: found 4250, should be 0"],
    ),
    (
        "UPDATE ledger SET amount_cents = amount_cents - 1 WHERE kind = 'release' AND order_id = 'undone'",
        ["money: payment .* released: found 4249, should be 4250"],
    ),
    (
        "UPDATE ledger SET amount_cents = amount_cents + 1 WHERE kind = 'open' AND target = 'c003'",
        ["money: opening balances"],
    ),
    (
        (
            "INSERT INTO ledger (kind, order_id, payment_id, source, target, amount_cents)"
            " VALUES ('capture', 'done', 'p', 'held', 'shop', 0)"
        ),
        ["money: ledger entries of payments that do not exist"],
    ),
    (
        "UPDATE payments SET refunded_cents = refunded_cents + 1 WHERE order_id = 'refunded'",
        ["money: payment .* refunded: found 130, should be 131"],
    ),
    (
        "UPDATE payments SET amount_cents = amount_cents + 1 WHERE order_id = 'undone'",
        ["money: payment .* reserved: found 4250, should be 4251"],
    ),
    (
        "UPDATE payments SET state = 'captured' WHERE order_id = 'undone'",
        ["money: payment .* captured: found 0", "half: undone"],
    ),
    (
        (
            "INSERT INTO payments SELECT payment_id || 'x', order_id, customer, amount_cents, refunded_cents, state"
            " FROM payments WHERE order_id = 'done'"
        ),
        ["twice: done: payment"],
    ),
]
INVENTORY = [
    ("UPDATE articles SET on_hand = on_hand - 1 WHERE sku = 'A020'", ["stock: A020, on hand"]),
    (
        "UPDATE articles SET reserved = reserved + 1 WHERE sku = 'A020'",
        ["stock: A020, reserved against reservations", "stock: A020, reserved against its ledger"],
    ),
    ("UPDATE articles SET reserved = reserved - 1 WHERE sku = 'A000'", ["stock: A000, reserved"]),
    ("DELETE FROM articles WHERE sku = 'A039'", ["stock: articles"]),
    (
        "UPDATE reservations SET state = 'released' WHERE order_id = 'done' AND sku = 'A000'",
        ["stock: done, A000: ledger against reservations", "half: done: not done .stock not reserved as ordered"],
    ),
    (
        "UPDATE reservations SET order_id = 'undone' WHERE order_id = 'done' AND sku = 'A000'",
        ["stock: undone, A000: ledger against reservations", "half: undone"],
    ),
    (
        "DELETE FROM ledger WHERE kind = 'release' AND sku = 'A000' AND order_id = 'undone'",
        ["stock: A000, reserved against its ledger"],
    ),
    ("UPDATE ledger SET quantity = quantity + 1 WHERE kind = 'receive' AND sku = 'A005'", ["stock: A005, received"]),
    (
        "INSERT INTO reservations (order_id, sku, quantity, state) VALUES ('done', 'A000', 2, 'released')",
        ["twice: done: A000"],
    ),
]
SHIPPING = [
    (
        "UPDATE slots SET taken = taken - 1 WHERE slot = 'd01-evening'",
        ["couriers: d01-evening, taken against bookings", "couriers: d01-evening, taken against its ledger"],
    ),
    ("UPDATE slots SET capacity = capacity + 1 WHERE slot = 'd05-noon'", ["couriers: d05-noon, capacity"]),
    ("DELETE FROM slots WHERE slot = 'd05-noon'", ["couriers: slots"]),
    (
        "UPDATE bookings SET state = 'cancelled' WHERE order_id = 'given-up'",
        ["couriers: given-up, cancel: bookings against ledger", "couriers: given-up, write_off"],
    ),
    ("UPDATE bookings SET state = 'written_off' WHERE order_id = 'undone'", ["couriers: undone, write_off"]),
    ("DELETE FROM bookings WHERE order_id = 'undone'", ["couriers: undone, book: bookings against ledger"]),
    ("DELETE FROM ledger WHERE kind = 'cancel'", ["couriers: undone, cancel"]),
    (
        "DELETE FROM shipments WHERE order_id = 'done'",
        [
            "couriers: done: shipments against ledger",
            "couriers: done: shipments against couriers used",
            "couriers: bookings that shipments travel with",
            r"half: done: not done \(no single shipment\)",
        ],
    ),
    ("UPDATE bookings SET state = 'booked' WHERE order_id = 'done'", [r"half: done: not done \(no courier used\)"]),
    (
        "UPDATE shipments SET booking_id = 'another' WHERE order_id = 'done'",
        ["couriers: bookings that shipments travel with"],
    ),
    (
        "INSERT INTO shipments SELECT 's-2', order_id, booking_id FROM shipments WHERE order_id = 'done'",
        ["twice: done: shipment"],
    ),
    (
        "INSERT INTO bookings SELECT 'b-2', order_id, slot, state FROM bookings WHERE order_id = 'done'",
        ["twice: done: booking"],
    ),
]
NOTIFICATION = [
    ("DELETE FROM mails WHERE order_id = 'done'", ["half: done"]),
    ("DELETE FROM mails WHERE order_id = 'undone'", ["half: undone"]),
    ("UPDATE mails SET kind = 'apology' WHERE order_id = 'done'", ["half: done"]),
    ("INSERT INTO mails SELECT 99, order_id, kind, email FROM mails WHERE order_id = 'done'", ["twice: done: mail"]),
    ("INSERT INTO mails VALUES (99, 'done', 'apology', 'c@example.org')", ["twice: done: mail"]),
    ("INSERT INTO mails VALUES (99, 'stranger', 'confirmation', 'c@example.org')", ["half: stranger"]),
    ("INSERT INTO mails VALUES (99, 'given-up', 'confirmation', 'c@example.org')", ["half: given-up"]),
]
ORDER = [
    ("UPDATE orders SET total_cents = total_cents + 1 WHERE order_id = 'done'", ["half: done: .*captured in full"]),
    ("UPDATE orders SET items = replace(items, 'A010', 'A011') WHERE order_id = 'done'", ["half: done"]),
    ("UPDATE orders SET state = 'created' WHERE order_id = 'undone'", ["orders: undone, cancel", "half: undone"]),
    ("UPDATE orders SET state = 'cancelled' WHERE order_id = 'done'", ["orders: done, cancel", "half: done"]),
    ("DELETE FROM orders WHERE order_id = 'undone'", ["orders: undone, create"]),
    (
        (
            "INSERT INTO orders SELECT 99, order_id, customer, items, total_cents, state FROM orders"
            " WHERE order_id = 'done'"
        ),
        ["twice: done: order"],
    ),
]
CORRUPTIONS = [
    (service, statement, said)
    for service, cases in (
        ("payment", PAYMENT),
        ("inventory", INVENTORY),
        ("shipping", SHIPPING),
        ("notification", NOTIFICATION),
        ("order", ORDER),
    )
    for statement, said in cases
]


@pytest.mark.parametrize(
    ("service", "statement", "said"), CORRUPTIONS, ids=[f"{case[0]}-{n}" for n, case in enumerate(CORRUPTIONS)]
)
def test_one_unit_that_is_wrong_breaks_its_law(shop: Rig, service: str, statement: str, said: list[str]) -> None:
    shop.sql(service, statement)
    violations = audit(shop.directory).violations
    for sentence in said:
        assert any(re.match(sentence, violation) for violation in violations), (sentence, violations)


def test_an_order_between_done_and_undone_is_broken_unless_it_waits_for_a_person(rig: Rig) -> None:
    rig.place("o1")
    assert audit(rig.directory).orders == {"o1": "broken"}
    waiting = audit(rig.directory, manual={"o1"})
    assert (waiting.violations, waiting.orders) == ([], {"o1": "manual"})
    assert waiting.holds == {
        "o1": "order created, payment reserved (4250 cents), 2 of A000, 1 of A010, courier booked, mails []"
    }


def test_waiting_for_a_person_excuses_nothing_that_happened_twice(rig: Rig) -> None:
    rig.place("o1")
    rig.sql("shipping", "INSERT INTO bookings SELECT 'b-2', order_id, slot, state FROM bookings")
    assert any(v.startswith("twice: o1") for v in audit(rig.directory, manual={"o1"}).violations)


def test_more_reserved_than_there_is_breaks_a_law_even_if_all_books_agree(rig: Rig) -> None:
    rig.place("o1")
    for statement in (
        "UPDATE articles SET reserved = 50 WHERE sku = 'A000'",
        "UPDATE reservations SET quantity = 50 WHERE sku = 'A000'",
        "UPDATE ledger SET quantity = 50 WHERE sku = 'A000' AND kind = 'reserve'",
    ):
        rig.sql("inventory", statement)
    violations = audit(rig.directory, manual={"o1"}).violations
    assert violations == ["stock: A000: 50 reserved of 12"]


def test_a_missing_database_is_an_error_and_not_an_empty_shop(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="unable to open"):
        audit(tmp_path)
