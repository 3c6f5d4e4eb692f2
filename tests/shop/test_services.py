"""The five services alone: their business, under the barrier."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

from examples.shop.audit import audit
from examples.shop.catalogue import ARTICLES, CUSTOMERS, DISTRICTS, SLOTS
from examples.shop.services import inventory
from examples.shop.services.base import Changed
from tests.shop.conftest import ITEMS, SERVICES, TOTAL, Rig


def balance(rig: Rig, account: str) -> int:
    return int(rig.sql("payment", "SELECT balance_cents FROM accounts WHERE account = ?", account)[0][0])


def test_an_order_that_goes_through_is_done_and_one_that_turns_back_is_undone(rig: Rig) -> None:
    rig.place("o1")
    rig.fulfil("o1")
    rig.place("o2")
    rig.undo("o2")
    report = audit(rig.directory)
    assert report.violations == []
    assert report.orders == {"o1": "done", "o2": "undone"}
    assert balance(rig, "shop") == TOTAL
    assert balance(rig, "c001") == CUSTOMERS["c001"] - TOTAL


def test_every_call_may_come_twice_and_gets_the_same_answer_both_times(rig: Rig) -> None:
    first = [rig.call("POST", "shipping", "o1", "courier", {"district": "d01"}) for _ in range(2)]
    assert first[0].json() == first[1].json()
    assert [answer.headers["Barrier-Decision"] for answer in first] == ["run", "duplicate"]
    rig.place("o1")
    rig.place("o1")
    for _ in range(2):
        rig.fulfil("o1")
    assert audit(rig.directory).violations == []


def test_an_undo_that_overtakes_its_action_blocks_it(rig: Rig) -> None:
    undone = rig.call("DELETE", "payment", "o1", "reservation")
    late = rig.reserve_payment("o1")
    assert (undone.status_code, undone.headers["Barrier-Decision"]) == (200, "null_compensation")
    assert (late.status_code, late.headers["Barrier-Decision"]) == (409, "late_action")
    assert balance(rig, "c001") == CUSTOMERS["c001"]


def test_a_release_returns_only_the_remainder_of_what_the_clerk_refunded(rig: Rig) -> None:
    rig.place("o1")
    assert rig.desk("payment", "refund", order_id="o1", amount_cents=1_000).json()["state"] == "reserved"
    answer = rig.call("DELETE", "payment", "o1", "reservation")
    assert answer.json() == {"returned_cents": TOTAL - 1_000}
    assert balance(rig, "c001") == CUSTOMERS["c001"]
    assert balance(rig, "held") == 0


def test_a_capture_takes_only_the_remainder_and_a_later_refund_comes_from_the_shop(rig: Rig) -> None:
    rig.place("o1")
    rig.desk("payment", "refund", order_id="o1", amount_cents=1_000)
    rig.fulfil("o1")
    assert rig.desk("payment", "refund", order_id="o1", amount_cents=50).json()["state"] == "captured"
    assert (balance(rig, "shop"), balance(rig, "held")) == (TOTAL - 1_050, 0)
    assert audit(rig.directory).violations == []


def test_the_clerk_cannot_refund_more_than_is_there(rig: Rig) -> None:
    rig.place("o1")
    for amount in (TOTAL, 0, -5):
        assert rig.desk("payment", "refund", order_id="o1", amount_cents=amount).status_code == 409
    assert rig.desk("payment", "refund", order_id="nobody's", amount_cents=1).status_code == 409


@pytest.mark.parametrize(
    ("customer", "card", "amount", "reason"),
    [
        ("c001", "blocked", 1, "card"),
        ("nobody", "valid", 1, "no such customer"),
        ("shop", "valid", 1, "no such customer"),
        ("c001", "valid", 500_001, "insufficient funds"),
    ],
)
def test_a_refused_payment_stays_refused_under_its_key(
    rig: Rig, customer: str, card: str, amount: int, reason: str
) -> None:
    body = {"customer": customer, "card": card, "amount_cents": amount}
    refused = rig.call("POST", "payment", "o1", "reservation", body)
    assert refused.status_code == 409
    assert reason in refused.json()["reason"]
    again = rig.reserve_payment("o1", amount=1)
    assert (again.status_code, again.json()) == (409, refused.json())
    assert rig.call("DELETE", "payment", "o1", "reservation").headers["Barrier-Decision"] == "null_compensation"


def test_the_last_units_of_an_article_go_to_exactly_as_many_orders_as_there_are(rig: Rig) -> None:
    stock = ARTICLES[0].stock

    async def contest() -> list[int]:
        body = {"items": [{"sku": "A000", "quantity": 1}, {"sku": "A001", "quantity": 1}]}
        calls = (rig.calling("POST", "inventory", f"o{number}", "stock", body) for number in range(stock + 8))
        return [answer.status_code for answer in await asyncio.gather(*calls)]

    answers = asyncio.run(contest())
    assert sorted(answers) == [200] * stock + [409] * 8
    assert rig.sql("inventory", "SELECT changed > 0 FROM opened") == [(1,)], "nobody read a version that changed"
    held = rig.sql("inventory", "SELECT sku, reserved FROM articles WHERE reserved > 0 ORDER BY sku")
    assert held == [("A000", stock), ("A001", stock)], "an order that got only one of its two articles kept it"


def test_a_version_that_changed_since_it_was_read_is_read_again_though_there_is_enough(rig: Rig) -> None:
    stale = {"items": [{"sku": "A010", "quantity": 1}], "seen": {"A010": {"available": 400, "version": 1}}}
    rig.place("o1")
    with pytest.raises(Changed):
        inventory.reserve(rig.connections["inventory"], "o2", stale)


def test_too_little_stock_of_the_second_article_takes_nothing_of_the_first(rig: Rig) -> None:
    body = {"items": [{"sku": "A010", "quantity": 1}, {"sku": "A000", "quantity": ARTICLES[0].stock + 1}]}
    refused = rig.call("POST", "inventory", "o1", "stock", body)
    assert refused.status_code == 409
    assert "out of stock" in refused.json()["reason"]
    assert rig.sql("inventory", "SELECT sum(reserved) FROM articles") == [(0,)]


def test_an_article_on_two_lines_is_reserved_once_with_the_sum(rig: Rig) -> None:
    body = {"items": [ITEMS[0], ITEMS[0]]}
    assert rig.call("POST", "inventory", "o1", "stock", body).json() == {"reserved": {"A000": 4}}
    assert rig.sql("inventory", "SELECT sku, quantity FROM reservations") == [("A000", 4)]


def test_a_district_has_as_many_couriers_as_its_slots_have_places(rig: Rig) -> None:
    district = DISTRICTS[-1]
    capacity = sum(places for where, places in SLOTS.values() if where == district)
    answers = [
        rig.call("POST", "shipping", f"o{number}", "courier", {"district": district}).status_code
        for number in range(capacity + 1)
    ]
    assert answers == [200] * capacity + [409]
    assert rig.call("DELETE", "shipping", "o0", "courier").json() == {"cancelled": True}
    assert rig.call("POST", "shipping", "another", "courier", {"district": district}).status_code == 200


def test_a_dispatched_courier_cannot_be_cancelled_until_it_is_called_back(rig: Rig) -> None:
    rig.place("o1")
    assert rig.desk("shipping", "dispatch", order_id="o1").status_code == 200
    refused = rig.call("DELETE", "shipping", "o1", "courier")
    assert (refused.status_code, refused.json()) == (409, {"reason": "the courier has left already"})
    assert rig.desk("shipping", "recall", order_id="o1").status_code == 200
    assert rig.call("DELETE", "shipping", "o1", "courier").json() == {"cancelled": True}
    assert rig.desk("shipping", "dispatch", order_id="o1").status_code == 409


def test_a_dispatched_courier_still_takes_the_shipment(rig: Rig) -> None:
    rig.place("o1")
    rig.desk("shipping", "dispatch", order_id="o1")
    rig.fulfil("o1")
    assert audit(rig.directory).orders == {"o1": "done"}


@pytest.mark.parametrize(("act", "taken"), [("free", 0), ("write_off", 1)])
def test_a_person_frees_a_dispatched_couriers_place_or_writes_it_off(rig: Rig, act: str, taken: int) -> None:
    rig.place("o1")
    rig.desk("shipping", "dispatch", order_id="o1")
    assert rig.desk("shipping", act, order_id="o1").status_code == 200
    assert rig.sql("shipping", "SELECT sum(taken) FROM slots") == [(taken,)]
    for service, url in (("inventory", "stock"), ("payment", "reservation"), ("order", "order")):
        rig.call("DELETE", service, "o1", url)
    if act == "free":
        rig.mail("o1", "apology")
    report = audit(rig.directory)
    assert (report.violations, report.orders) == ([], {"o1": "undone"})


def test_a_probe_finds_the_stored_answer_and_a_seal_settles_what_it_does_not_find(rig: Rig) -> None:
    assert rig.call("GET", "payment", "o1", "reservation").status_code == 404
    paid = rig.reserve_payment("o1")
    assert rig.call("GET", "payment", "o1", "reservation").json() == paid.json()
    assert rig.desk("payment", "seal", saga_id="saga-o1", step="reservation").json() == paid.json()
    assert rig.desk("payment", "seal", saga_id="saga-o2", step="reservation").status_code == 409
    assert rig.reserve_payment("o2").status_code == 409


def test_ledgers_and_mails_can_only_grow(rig: Rig) -> None:
    rig.place("o1")
    rig.fulfil("o1")
    for name, table in (
        *((name, "ledger") for name in ("order", "payment", "inventory", "shipping")),
        ("notification", "mails"),
    ):
        for statement in (f"UPDATE {table} SET order_id = 'x'", f"DELETE FROM {table}"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                rig.connections[name].execute(statement)


def test_a_request_without_a_key_or_with_the_wrong_method_is_no_call_of_a_saga(rig: Rig) -> None:
    async def asking(method: str, headers: dict[str, str]) -> int:
        answer = await rig.clients["order"].request(method, "/orders/o1/order", json={}, headers=headers)
        return answer.status_code

    assert asyncio.run(asking("POST", {})) == 400
    assert asyncio.run(asking("POST", {"Idempotency-Key": "s/order/compensation"})) == 400
    assert rig.call("DELETE", "notification", "o1", "apology").status_code == 405


def test_the_books_are_opened_once_and_found_again_after_a_restart(rig: Rig) -> None:
    rig.place("o1")
    again = SERVICES["payment"].connect(rig.directory / "payment.db")
    assert again.execute("SELECT balance_cents FROM accounts WHERE account = 'c001'").fetchone() == (500_000 - TOTAL,)
    again.close()
