"""The audit: proves conservation from the five databases alone.

    python -m examples.shop.audit DIRECTORY [--manual o0001,o0002]

It asks no orchestrator, no service and no barrier. It opens the five files read-only, folds each ledger
and holds the tables against the fold, and against the catalogue that the books were opened with:

    money        every account is what the ledger says; the accounts sum up to zero; a payment's amount
                 is refunded + released + captured + still held, to the cent
    stock        on hand is what was received; reserved is what the ledger and the reservations say
    couriers     the places taken in a slot are its bookings; every shipment travels with one of them
    mails        nobody gets two, and nobody both

and then each order: it is *done* (order, payment, every unit of stock, courier, shipment, confirmation)
or *undone* (cancelled, everything returned, one apology), wholly, and nothing happened twice. Orders in
`requires_manual` are named by the caller; they may be in between, so they are reported with what they
hold, and for them too nothing may have happened twice. An order whose courier a person wrote off is
undone but for that place, and gets no apology, for such a saga is closed and not compensated.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .catalogue import ARTICLES, CUSTOMERS, SLOTS

SERVICES = ("order", "payment", "inventory", "shipping", "notification")
DONE, UNDONE, MANUAL, BROKEN = "done", "undone", "manual", "broken"
Row = dict[str, Any]


@dataclass
class Report:
    """What the audit found.

    Attributes:
        violations: one sentence for each law that is broken somewhere; empty if all is well.
        orders: order id -> done, undone, manual or broken.
        holds: what each order in `requires_manual` holds now.
        figures: sums, for people.
    """

    violations: list[str] = field(default_factory=list)
    orders: dict[str, str] = field(default_factory=dict)
    holds: dict[str, str] = field(default_factory=dict)
    figures: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.violations

    def expect(self, law: str, subject: str, found: object, due: object) -> None:
        if found != due:
            self.violations.append(f"{law}: {subject}: found {found}, should be {due}")


@dataclass
class Traces:
    """What all five databases hold of one order."""

    orders: list[Row] = field(default_factory=list)
    payments: list[Row] = field(default_factory=list)
    reservations: list[Row] = field(default_factory=list)
    bookings: list[Row] = field(default_factory=list)
    shipments: list[Row] = field(default_factory=list)
    mails: list[Row] = field(default_factory=list)


def audit(directory: Path, manual: Collection[str] = ()) -> Report:
    """Audit the databases `order.db`, `payment.db`, ... in a directory; nothing may be under way meanwhile.

    Parameters:
        manual: ids of the orders whose saga waits for a person.

    Raises:
        sqlite3.Error: a database is missing or cannot be read.
    """
    report = Report()
    books = {name: _read(directory / f"{name}.db") for name in SERVICES}
    _audit_orders(report, books["order"])
    _audit_money(report, books["payment"])
    _audit_stock(report, books["inventory"])
    _audit_couriers(report, books["shipping"])
    for order_id, traces in sorted(_traces(books).items()):
        _audit_order(report, order_id, traces, order_id in manual)
    for kind in (DONE, UNDONE, MANUAL, BROKEN):
        report.figures[kind] = sum(1 for found in report.orders.values() if found == kind)
    return report


def _read(path: Path) -> dict[str, list[Row]]:
    """All tables of a database, in one snapshot."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("BEGIN")
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {name: [dict(row) for row in connection.execute(f'SELECT * FROM "{name}"')] for name in names}
    finally:
        connection.close()


# --- each service's own books --------------------------------------------------------------------


def _audit_orders(report: Report, books: dict[str, list[Row]]) -> None:
    entries = Counter((row["order_id"], row["kind"]) for row in books["ledger"])
    rows = Counter((row["order_id"], "create") for row in books["orders"])
    rows += Counter((row["order_id"], "cancel") for row in books["orders"] if row["state"] == "cancelled")
    for order_id, kind in entries.keys() | rows.keys():
        subject = f"{order_id}, {kind}: orders against ledger"
        report.expect("orders", subject, rows[order_id, kind], entries[order_id, kind])


def _audit_money(report: Report, books: dict[str, list[Row]]) -> None:
    accounts = {row["account"]: row["balance_cents"] for row in books["accounts"]}
    balances = dict.fromkeys(("world", "held", "shop", *CUSTOMERS), 0)
    moved: dict[str, Counter[str]] = defaultdict(Counter)
    opened: Counter[str] = Counter()
    shop = held = 0
    for entry in books["ledger"]:
        amount = entry["amount_cents"]
        balances[entry["source"]] = balances.get(entry["source"], 0) - amount
        balances[entry["target"]] = balances.get(entry["target"], 0) + amount
        if entry["kind"] == "open":
            opened[entry["target"]] += amount
        else:
            moved[entry["payment_id"]][entry["kind"]] += amount
    report.expect("money", "opening balances", dict(opened), CUSTOMERS)
    report.expect("money", "the sum of all accounts", sum(accounts.values()), 0)
    for account in accounts.keys() | balances.keys():
        report.expect("money", f"account {account} against its ledger", accounts.get(account), balances.get(account))
    for payment in books["payments"]:
        sums, subject = moved.pop(payment["payment_id"], Counter()), f"payment {payment['payment_id']}"
        remainder = payment["amount_cents"] - payment["refunded_cents"]
        state = payment["state"]
        report.expect("money", f"{subject}, reserved", sums["reserve"], payment["amount_cents"])
        report.expect("money", f"{subject}, refunded", sums["refund"], payment["refunded_cents"])
        report.expect("money", f"{subject}, released", sums["release"], remainder if state == "released" else 0)
        if state == "captured":  # a refund may come before the capture or after it; the shop's account tells them apart
            captured = payment["amount_cents"] - _refunded_before(books["ledger"], payment["payment_id"])
            report.expect("money", f"{subject}, captured", sums["capture"], captured)
            shop += remainder
        else:
            report.expect("money", f"{subject}, captured", sums["capture"], 0)
            held += remainder if state == "reserved" else 0
    report.expect("money", "ledger entries of payments that do not exist", sorted(moved), [])
    report.expect("money", "the shop's account", accounts.get("shop"), shop)
    report.expect("money", "what is held", accounts.get("held"), held)
    report.figures |= {"captured_cents": shop, "held_cents": held}
    report.figures["refunded_cents"] = sum(row["refunded_cents"] for row in books["payments"])


def _refunded_before(ledger: Iterable[Row], payment_id: str) -> int:
    return sum(
        row["amount_cents"]
        for row in ledger
        if row["payment_id"] == payment_id and row["kind"] == "refund" and row["source"] == "held"
    )


def _audit_stock(report: Report, books: dict[str, list[Row]]) -> None:
    sums: Counter[tuple[str, str]] = Counter()
    orders: Counter[tuple[str, str]] = Counter()
    for entry in books["ledger"]:
        sums[entry["kind"], entry["sku"]] += entry["quantity"]
        orders[entry["order_id"], entry["sku"]] += {"reserve": 1, "release": -1}.get(entry["kind"], 0) * entry[
            "quantity"
        ]
    held: Counter[str] = Counter()
    for row in books["reservations"]:
        if row["state"] == "held":
            held[row["sku"]] += row["quantity"]
            orders[row["order_id"], row["sku"]] -= row["quantity"]
    articles = {row["sku"]: row for row in books["articles"]}
    report.expect("stock", "articles", sorted(articles), sorted(article.sku for article in ARTICLES))
    for article in ARTICLES:
        row = articles.get(article.sku, {"on_hand": None, "reserved": None})
        report.expect("stock", f"{article.sku}, received", sums["receive", article.sku], article.stock)
        report.expect("stock", f"{article.sku}, on hand", row["on_hand"], article.stock)
        report.expect("stock", f"{article.sku}, reserved against reservations", row["reserved"], held[article.sku])
        due = sums["reserve", article.sku] - sums["release", article.sku]
        report.expect("stock", f"{article.sku}, reserved against its ledger", row["reserved"], due)
        if held[article.sku] > article.stock:
            report.violations.append(f"stock: {article.sku}: {held[article.sku]} reserved of {article.stock}")
    for (order_id, sku), difference in orders.items():
        report.expect("stock", f"{order_id}, {sku}: ledger against reservations", difference, 0)
    report.figures["units_reserved"] = sum(held.values())


def _audit_couriers(report: Report, books: dict[str, list[Row]]) -> None:
    taken = Counter(row["slot"] for row in books["bookings"] if row["state"] != "cancelled")
    entries = Counter((row["kind"], row["slot"]) for row in books["ledger"])
    by_order = Counter((row["kind"], row["order_id"]) for row in books["ledger"])
    slots = {row["slot"]: row for row in books["slots"]}
    report.expect("couriers", "slots", sorted(slots), sorted(SLOTS))
    for slot, (_, capacity) in SLOTS.items():
        row = slots.get(slot, {"capacity": None, "taken": None})
        report.expect("couriers", f"{slot}, capacity", row["capacity"], capacity)
        report.expect("couriers", f"{slot}, taken against bookings", row["taken"], taken[slot])
        due = entries["book", slot] - entries["cancel", slot]
        report.expect("couriers", f"{slot}, taken against its ledger", row["taken"], due)
    for order_id in {row["order_id"] for row in [*books["ledger"], *books["bookings"], *books["shipments"]]}:
        states = Counter(row["state"] for row in books["bookings"] if row["order_id"] == order_id)
        for kind, found in (
            ("book", states.total()),
            ("cancel", states["cancelled"]),
            ("write_off", states["written_off"]),
        ):
            report.expect("couriers", f"{order_id}, {kind}: bookings against ledger", found, by_order[kind, order_id])
        shipped = sum(1 for row in books["shipments"] if row["order_id"] == order_id)
        report.expect("couriers", f"{order_id}: shipments against ledger", shipped, by_order["ship", order_id])
        report.expect("couriers", f"{order_id}: shipments against couriers used", shipped, states["used"])
    used = {row["booking_id"] for row in books["bookings"] if row["state"] == "used"}
    travelling = {row["booking_id"] for row in books["shipments"]}
    report.expect("couriers", "bookings that shipments travel with", sorted(travelling), sorted(used))
    report.figures["places_taken"] = sum(taken.values())
    report.figures["written_off"] = sum(1 for row in books["bookings"] if row["state"] == "written_off")
    report.figures["shipments"] = len(books["shipments"])


# --- each order, over all five -------------------------------------------------------------------


def _traces(books: dict[str, dict[str, list[Row]]]) -> dict[str, Traces]:
    found: dict[str, Traces] = defaultdict(Traces)
    for service, table in (
        ("order", "orders"),
        ("payment", "payments"),
        ("inventory", "reservations"),
        ("shipping", "bookings"),
        ("shipping", "shipments"),
        ("notification", "mails"),
    ):
        for row in books[service][table]:
            getattr(found[row["order_id"]], table).append(row)
    return found


def _audit_order(report: Report, order_id: str, traces: Traces, manual: bool) -> None:
    for what, rows in (
        ("order", traces.orders),
        ("payment", traces.payments),
        ("booking", traces.bookings),
        ("shipment", traces.shipments),
        ("mail", traces.mails),
    ):
        if len(rows) > 1:
            report.violations.append(f"twice: {order_id}: {what} happened {len(rows)} times")
    for sku, times in Counter(row["sku"] for row in traces.reservations).items():
        if times > 1:
            report.violations.append(f"twice: {order_id}: {sku} was reserved {times} times")
    done, undone = _missing_from_done(traces), _left_of_undone(traces)
    if manual:
        report.orders[order_id] = MANUAL
        report.holds[order_id] = ", ".join(undone) or "nothing"
    elif not done:
        report.orders[order_id] = DONE
    elif not undone:
        report.orders[order_id] = UNDONE
    else:
        report.orders[order_id] = BROKEN
        report.violations.append(
            f"half: {order_id}: not done ({', '.join(done)}) and not undone (left: {', '.join(undone)})"
        )


def _missing_from_done(traces: Traces) -> list[str]:
    """What keeps an order from being wholly done; empty when it is."""
    if [row["state"] for row in traces.orders] != ["created"]:
        return ["no standing order"]
    order, missing = traces.orders[0], []
    if [(row["state"], row["amount_cents"]) for row in traces.payments] != [("captured", order["total_cents"])]:
        missing.append("payment not captured in full")
    wanted: Counter[str] = Counter()
    for item in json.loads(order["items"]):
        wanted[item["sku"]] += item["quantity"]
    if _held(traces) != wanted:
        missing.append("stock not reserved as ordered")
    if [row["state"] for row in traces.bookings] != ["used"]:
        missing.append("no courier used")
    if len(traces.shipments) != 1:
        missing.append("no single shipment")
    if [row["kind"] for row in traces.mails] != ["confirmation"]:
        missing.append(f"mails {[row['kind'] for row in traces.mails]}")
    return missing


def _left_of_undone(traces: Traces) -> list[str]:
    """What is left of an order that should be wholly undone; empty when nothing is."""
    left = [f"order {row['state']}" for row in traces.orders if row["state"] != "cancelled"]
    left += [
        f"payment {row['state']} ({row['amount_cents'] - row['refunded_cents']} cents)"
        for row in traces.payments
        if row["state"] != "released"
    ]
    left += [f"{quantity} of {sku}" for sku, quantity in _held(traces).items()]
    left += [f"courier {row['state']}" for row in traces.bookings if row["state"] not in ("cancelled", "written_off")]
    left += [f"shipment {row['shipment_id']}" for row in traces.shipments]
    written_off = any(row["state"] == "written_off" for row in traces.bookings)
    mails = [row["kind"] for row in traces.mails]
    if mails != ([] if written_off else ["apology"]):
        left.append(f"mails {mails}")
    return left


def _held(traces: Traces) -> Counter[str]:
    held: Counter[str] = Counter()
    for row in traces.reservations:
        if row["state"] == "held":
            held[row["sku"]] += row["quantity"]
    return held


def main() -> int:
    parser = argparse.ArgumentParser(description="prove conservation from the shop's five databases")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--manual", default="", help="ids of orders in requires_manual, with commas")
    given = parser.parse_args()
    report = audit(given.directory, {name for name in given.manual.split(",") if name})
    for name, figure in report.figures.items():
        print(f"{name:>16} {figure}")
    for order_id, holds in report.holds.items():
        print(f"  manual {order_id}: holds {holds}")
    for violation in report.violations:
        print(f"VIOLATED {violation}", file=sys.stderr)
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
