"""The saga on the real orchestrator, its services inside this process: every way an order can go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import httpx2
import pytest

from amends import Orchestrator, Saga, SagaCompensated, SagaFailed, SagaRequiresManual, parallel
from examples.shop import saga as shop
from examples.shop.audit import audit
from examples.shop.back_office import BackOffice
from examples.shop.catalogue import ARTICLES
from examples.shop.model import Approval, Item, Order
from examples.shop.saga import Shop, place_order
from examples.shop.services import faults
from tests.shop.conftest import SERVICES, Rig

T = TypeVar("T")
Scene = Callable[[SimpleNamespace], Awaitable[T]]
URLS = {name: f"http://{name}" for name in SERVICES}


def an_order(*items: Item, order_id: str = "o1", card: str = "valid") -> Order:
    found = list(items) or [Item("A000", 2, 500)]
    total = sum(item.quantity * item.price_cents for item in found)
    return Order(order_id, "c001", "c@example.org", "d01", card, found, total)


BIG = Item("A039", 5, ARTICLES[39].price_cents)


# The same steps, with a deadline that a test can await: a pivot is asked again until then.
IMPATIENT = Saga(
    "place_order",
    shop.create_order,
    shop.reserve_payment,
    parallel(shop.reserve_inventory, shop.reserve_courier),
    shop.capture_payment,
    shop.create_shipment,
    input=Order,
    deadline="2s",
    resources=[Shop],
    on_completed=[shop.send_confirmation],
    on_compensated=[shop.send_apology],
)


def play(rig: Rig, scene: Scene[T], saga: Saga[Order, Any] = place_order) -> T:
    """Run a scene with an orchestrator in memory, a shop and a back office."""

    async def stage() -> T:
        mounts = {url: rig.clients[name]._transport for name, url in URLS.items()}
        client = httpx2.AsyncClient(mounts=mounts, timeout=None)
        async with Orchestrator("sqlite://", sagas=[saga], resources=[Shop(URLS, client)]) as orchestrator:
            result = await scene(
                SimpleNamespace(orchestrator=orchestrator, office=BackOffice(orchestrator, URLS, client))
            )
            await asyncio.wait_for(orchestrator.drain(), 20)
            return result

    return asyncio.run(stage())


async def outcome(scene: SimpleNamespace, order: Order) -> str:
    saga = await scene.orchestrator.start(
        "place_order", order, key=order.order_id, correlation={"order": order.order_id}
    )
    try:
        await asyncio.wait_for(saga.result(), 20)
    except SagaFailed as failed:
        return failed.status
    return "completed"


def found(rig: Rig) -> dict[str, str]:
    report = audit(rig.directory)
    assert report.violations == []
    return report.orders


def test_an_order_is_fulfilled_and_its_result_is_the_shipment(rig: Rig) -> None:
    async def scene(stage: SimpleNamespace) -> str:
        saga = await stage.orchestrator.start(place_order, an_order())
        return (await saga.result()).shipment_id

    shipment = play(rig, scene)
    assert rig.sql("shipping", "SELECT shipment_id FROM shipments") == [(shipment,)]
    assert found(rig) == {"o1": "done"}


@pytest.mark.parametrize(
    "order",
    [
        an_order(card="blocked"),
        an_order(Item("A000", 13, 500)),
        an_order(Item("A010", 1, 3_250), Item("A999", 1, 1)),
        an_order(Item("A000", 0, 500), Item("A001", 1, 775)),
    ],
    ids=["card", "stock", "article", "invalid"],
)
def test_an_order_that_is_refused_anywhere_is_undone_with_an_apology(rig: Rig, order: Order) -> None:
    assert play(rig, lambda stage: outcome(stage, order)) == "compensated"
    assert found(rig) == {"o1": "undone"}
    assert rig.sql("notification", "SELECT kind FROM mails") == [("apology",)]


@pytest.mark.parametrize(("approved", "ends"), [(True, "completed"), (False, "compensated")])
def test_an_order_over_the_limit_waits_for_what_the_approver_says(rig: Rig, approved: bool, ends: str) -> None:
    async def scene(stage: SimpleNamespace) -> str:
        saga = await stage.orchestrator.start(place_order, an_order(BIG))
        await stage.orchestrator.signal(saga.id, "approval", Approval(approved=approved, by="ann"))
        if approved:
            await saga.result()
            return "completed"
        with pytest.raises(SagaCompensated) as caught:
            await saga.result()
        assert "ann did not approve" in caught.value.cause
        return caught.value.status

    assert play(rig, scene) == ends
    assert found(rig) == {"o1": "done" if approved else "undone"}


@pytest.mark.parametrize("kind", ["after", "before"])
def test_an_answer_lost_on_every_first_attempt_loses_and_doubles_nothing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(faults, "fault_of", lambda seed, rate, path, op, attempt: kind if attempt == "1" else "")
    assert play(rig, lambda stage: outcome(stage, an_order())) == "completed"
    assert found(rig) == {"o1": "done"}


def test_a_reservation_whose_outcome_stays_unknown_is_undone_too(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its effect is there, every answer is lost, and the courier next to it is undone as well."""

    def fault(seed: int, rate: float, path: str, op: str, attempt: str) -> str:
        return "after" if path.endswith("/stock") and op == "action" else ""

    monkeypatch.setattr(faults, "fault_of", fault)
    assert play(rig, lambda stage: outcome(stage, an_order())) == "compensated"
    assert rig.sql("inventory", "SELECT state FROM reservations") == [("released",)]
    assert found(rig) == {"o1": "undone"}


@pytest.mark.parametrize(("way", "ends"), [(0, "compensated"), (1, "compensated"), (2, "closed")])
def test_a_courier_who_has_left_is_parked_and_ended_by_hand(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, way: int, ends: str
) -> None:
    async def scene(stage: SimpleNamespace) -> str:
        saga = await stage.orchestrator.start(place_order, an_order(BIG), correlation={"order": "o1"})
        while not rig.sql("shipping", "SELECT 1 FROM bookings"):  # noqa: ASYNC110 -- a table tells, no event does
            await asyncio.sleep(0)
        rig.sql("shipping", "UPDATE bookings SET state = 'dispatched'")
        rig.sql("shipping", "INSERT INTO ledger (kind, order_id, slot) SELECT 'dispatch', order_id, slot FROM bookings")
        await stage.orchestrator.signal(saga.id, "approval", Approval(approved=False, by="ann"))
        with pytest.raises(SagaRequiresManual):
            await saga.result()
        assert audit(rig.directory, manual={"o1"}).holds == {"o1": "courier dispatched, mails []"}
        stage.office._couriers = way
        return (await stage.office.end_all())["o1"]

    assert play(rig, scene) == ends
    assert found(rig) == {"o1": "undone"}


@pytest.mark.parametrize(
    ("kind", "ends", "became"), [("before", "compensated", "undone"), ("after", "completed", "done")]
)
def test_a_capture_whose_outcome_nobody_knows_is_settled_by_a_seal(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, kind: str, ends: str, became: str
) -> None:
    """Every answer of the action is lost, and every probe fails: there is neither back nor forward."""

    def fault(seed: int, rate: float, path: str, op: str, attempt: str) -> str:
        return ("before" if op == "probe" else kind) if path.endswith("/capture") else ""

    monkeypatch.setattr(faults, "fault_of", fault)

    async def scene(stage: SimpleNamespace) -> str:
        assert await outcome(stage, an_order()) == "requires_manual"
        return (await stage.office.end_all())["o1"]

    assert play(rig, scene, IMPATIENT) == ends
    assert found(rig) == {"o1": became}


def test_a_service_that_is_down_is_not_sent_and_proves_no_effect(tmp_path: Path) -> None:
    async def scene() -> str:
        down = Shop(dict.fromkeys(SERVICES, "http://127.0.0.1:1"))
        async with Orchestrator("sqlite://", sagas=[place_order], resources=[down]) as orchestrator:
            saga = await orchestrator.start(place_order, an_order())
            with pytest.raises(SagaCompensated):
                await saga.result()
            step = (await orchestrator.get(saga.id))["create_order"]
        await down.aclose()
        return f"{step.status} {step.compensation_attempts}"

    assert asyncio.run(scene()) == "failed 0"
