"""The shop's own saga: what its table says is what the real orchestrator asks the services for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from amends import Context, NotSent, Orchestrator, Rejected, SagaFailed
from amends.lint.failing import Way
from amends.lint.rollback import rollback
from examples.shop.catalogue import APPROVAL_LIMIT_CENTS
from examples.shop.model import Approval, Item, Order
from examples.shop.saga import Shop, place_order

COST = APPROVAL_LIMIT_CENTS + 1  # which needs an approval
TABLE = rollback(place_order)
WAYS = {each.value: each for each in (Way.REJECTED, Way.NOT_SENT, Way.UNKNOWN)}
ANSWERS = {
    "reserve_payment": {"payment_id": "p", "amount_cents": 1}, "reserve_courier": {"booking_id": "b", "slot": "s"},
    "capture_payment": {"captured_cents": 1}, "create_shipment": {"shipment_id": "s"},
}  # fmt: skip


class Services(Shop):
    """Instead of the five services: what they are asked to take back, and one step that fails."""

    def __init__(self, fails: str, way: Way, first: set[str]) -> None:
        self.fails, self.way, self.first = fails, way, first
        self.acted: set[str] = set()
        self.ready = asyncio.Event()
        self.undone: list[str] = []

    async def call(self, ctx: Context, method: str, service: str, url: str, body: object = None) -> Any:
        if method == "DELETE":
            self.undone.append(ctx.step)
        elif method == "GET":
            return None
        elif ctx.step == self.fails:
            if not self.first <= self.acted:
                await self.ready.wait()  # the table takes what stands beside it as done
            for _ in range(20):
                await asyncio.sleep(0)
            raise {
                Way.REJECTED: Rejected("no"), Way.NOT_SENT: NotSent("no connection"), Way.UNKNOWN: TimeoutError(),
            }[self.way]  # fmt: skip
        self.acted.add(ctx.step)
        if self.first <= self.acted:
            self.ready.set()
        return ANSWERS.get(ctx.step)


async def play(services: Services, order: Order) -> str:
    async with Orchestrator("sqlite://", sagas=[place_order], resources=[services]) as orchestrator:
        saga = await orchestrator.start(place_order, order)
        try:
            await asyncio.wait_for(saga.result(), 30)
        except SagaFailed as failed:
            return str(failed.status)
        return "completed"


CASES = [
    pytest.param(point.path, row.outcome, WAYS[way], id=f"{point.path}-{way}")
    for point in TABLE.points
    for row in point.rows
    for way in row.ways
    if way in WAYS
    and point.path not in ("validate_order", "check_approval")  # which call no service
    and not any("until the deadline" in why for why in row.outcome.why)  # it is ten minutes away
]


@pytest.mark.parametrize(("path", "outcome", "way"), CASES)
def test_what_the_services_are_asked_to_take_back_is_what_the_table_says(path, outcome, way):
    groups = [sorted(undo.step for undo in group) for group in outcome.undone]
    services = Services(path, way, {step for group in groups for step in group} - {path})
    order = Order("o1", "c001", "c@example.org", "d01", "valid", [Item("A000", 1, 500)], 500)
    assert asyncio.run(play(services, order)) == outcome.ends
    told, left = [], services.undone
    for group in groups:
        told.append(sorted(left[: len(group)]))
        left = left[len(group) :]
    assert (told, left) == (groups, [])


def test_an_approval_that_is_refused_undoes_what_the_table_says():
    (point,) = [each for each in TABLE.points if each.path == "check_approval"]
    (row,) = [each for each in point.rows if Way.REJECTED.value in each.ways]

    async def scene():
        services = Services("", Way.REJECTED, set())
        order = Order("o1", "c001", "c@example.org", "d01", "valid", [Item("A000", 1, COST)], COST)
        async with Orchestrator("sqlite://", sagas=[place_order], resources=[services]) as orchestrator:
            saga = await orchestrator.start(place_order, order)
            await orchestrator.signal(saga.id, "approval", Approval(approved=False, by="a clerk"))
            with pytest.raises(SagaFailed) as failed:
                await asyncio.wait_for(saga.result(), 30)
        return str(failed.value.status), services.undone

    status, undone = asyncio.run(scene())
    assert status == row.outcome.ends
    assert point.where == "over_limit"
    groups = [sorted(undo.step for undo in group) for group in row.outcome.undone]
    assert [sorted(undone[:2]), *([each] for each in undone[2:])] == groups
