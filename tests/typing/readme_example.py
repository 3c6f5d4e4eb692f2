"""The README's example, as a type checker sees it; `test_typing.py` runs mypy --strict on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, assert_type

from amends import Context, Handle, Orchestrator, Retry, Saga, choose, parallel, sleep, step, wait_for, when


@dataclass
class Order:
    order_id: str
    total: int


@dataclass
class Payment:
    payment_id: str


@dataclass
class Shipment:
    shipment_id: str


@dataclass
class Approval:
    by: str


@step(read_only=True)
def validate_order(order: Order) -> None:
    assert order.total > 0


@step(timeout=5, retry=Retry(attempts=4))
async def reserve_payment(order: Order, ctx: Context) -> Payment:
    return Payment(ctx.idempotency_key + order.order_id)


@reserve_payment.compensation(timeout=5)
async def refund_payment(order: Order, payment: Payment | None, ctx: Context) -> None: ...


@reserve_payment.probe
async def find_payment(order: Order, ctx: Context) -> Payment | None:
    return None


@step
async def reserve_inventory(order: Order) -> str:
    return order.order_id


@reserve_inventory.compensation
async def release_inventory(order: Order, reserve_inventory: str | None) -> None: ...


@step(pivot=True)
async def capture_payment(payment: Payment) -> None: ...


@step(retriable=True, rejects=(LookupError,), key_ttl="24h")
async def create_shipment(order: Order) -> Shipment:
    return Shipment(order.order_id)


@step
async def send_confirmation(order: Order, shipment: Shipment) -> None: ...


@step(best_effort=True, on_unknown="retry")
def send_apology(order: Order) -> None: ...


def over_limit(order: Order) -> bool:
    return order.total > 100


place_order = Saga(
    "place_order",
    validate_order,
    reserve_payment,
    parallel(reserve_inventory, (reserve_inventory.named("more"), sleep("10s"))),
    choose(
        when(over_limit, wait_for("approval", Approval, timeout="24h")),
        when(lambda order: order.total < 0, [send_apology.named("note")]),
        otherwise=(),
    ),
    capture_payment,
    create_shipment,
    version=1,
    input=Order,
    deadline="25h",
    result=create_shipment,
    on_completed=[send_confirmation],
    on_compensated=[send_apology],
)
assert_type(place_order, Saga[Order, Shipment])
assert_type(Saga("inferred", reserve_payment, result=reserve_payment), Saga[Any, Payment])
assert_type(Saga("given", reserve_payment.named("again"), input=Order), Saga[Order, Any])
assert_type(Saga("neither", validate_order), Saga[Any, Any])


async def as_a_unit_test() -> None:
    ctx = Context(saga_id="s-1", step="reserve_payment")
    assert_type(await reserve_payment(Order("o-1", 1), ctx), Payment)
    await refund_payment(Order("o-1", 1), None, ctx)
    validate_order(Order("o-1", 1))


async def as_a_service(orchestrator: Orchestrator) -> None:
    saga = await orchestrator.start(place_order, Order("o-1", 1), key="o-1", correlation={"customer": "ann"})
    assert_type(saga, Handle[Shipment])
    assert_type(await saga.result(), Shipment)
    assert_type(await (await orchestrator.start("place_order", {"order_id": "o-1"})).result(), Any)
    assert_type(orchestrator.handle("s-1"), Handle[Any])
