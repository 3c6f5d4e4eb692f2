"""The saga: how an order becomes a shipment, or is made good.

    validate → create order → reserve payment → reserve stock ∥ reserve courier
             → approval, above a limit → capture payment (the pivot) → create shipment
    after the end: a confirmation, or an apology

What an answer means is decided in one place, `Shop.call`:
  * **409** is a business "no". The service's barrier keeps its refusals, so no attempt under this key
    had or will have an effect: `Rejected(conclusive=True)`.
  * **no connection** (refused, or none free): nothing was sent: `NotSent`.
  * **anything else** that is no success (500, a cut connection, a timeout) raises, and the outcome is
    *unknown*: it may have taken effect. The engine repeats it with the same key, probes it, or undoes it.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import httpx2

from amends import Context, NotSent, Rejected, Retry, Saga, choose, parallel, step, wait_for, when

from .catalogue import APPROVAL_LIMIT_CENTS
from .model import Approval, Booking, Capture, Order, Payment, Shipment

TIMEOUT = "1s"  # of every call; `services.faults` hangs for longer
TRIES = Retry(attempts=4, base="100ms", cap="1s")
PATIENT = Retry(attempts=50, base="100ms", cap="2s")  # for what is owed: compensations, mails
APPROVAL_TIMEOUT = "3s"


class Shop:
    """The five services, as the saga's steps call them: a resource of the orchestrator.

    Parameters:
        urls: service -> its address.
        client: what to call them with; one of our own when left out.
    """

    def __init__(self, urls: dict[str, str], client: httpx2.AsyncClient | None = None) -> None:
        self.urls = urls
        # Timeouts are the steps'. The pool is larger than what is ever in flight.
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=200, keepalive_expiry=30)
        self.client = client or httpx2.AsyncClient(timeout=None, limits=limits)

    async def call(self, ctx: Context, method: str, service: str, url: str, body: object = None) -> Any:
        """One call to a service; the decoded answer, or None when a probe has not seen anything.

        Raises:
            Rejected: 409. NotSent: no connection. httpx2.HTTPError: anything else.
        """
        headers = ctx.headers()
        try:
            answer = await self.client.request(method, f"{self.urls[service]}/{url}", json=body, headers=headers)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise NotSent(f"{service}: {error}") from error
        if answer.status_code == 409:
            raise Rejected(answer.json()["reason"], conclusive=True)
        if answer.status_code == 404 and method == "GET":
            return None
        answer.raise_for_status()
        return answer.json()

    async def aclose(self) -> None:
        await self.client.aclose()


@step(read_only=True)
async def validate_order(order: Order) -> None:
    """What can be known without asking anybody."""
    if not order.items:
        raise Rejected("the order is empty")
    if any(item.quantity < 1 or item.price_cents < 0 for item in order.items):
        raise Rejected("a quantity or price is out of range")
    if order.total_cents < 1 or order.total_cents != sum(item.quantity * item.price_cents for item in order.items):
        raise Rejected("the total is not the sum of the items")
    if "@" not in order.email:
        raise Rejected(f"{order.email!r} is no address for mail")


@step(timeout=TIMEOUT, retry=TRIES)
async def create_order(order: Order, ctx: Context, shop: Shop) -> None:
    await shop.call(ctx, "POST", "order", f"orders/{order.order_id}/order", asdict(order))


@create_order.compensation(timeout=TIMEOUT, retry=PATIENT)
async def cancel_order(order: Order, ctx: Context, shop: Shop) -> None:
    await shop.call(ctx, "DELETE", "order", f"orders/{order.order_id}/order")


@step(timeout=TIMEOUT, retry=TRIES)
async def reserve_payment(order: Order, ctx: Context, shop: Shop) -> Payment:
    body = {"customer": order.customer, "card": order.card, "amount_cents": order.total_cents}
    return Payment(**await shop.call(ctx, "POST", "payment", f"orders/{order.order_id}/reservation", body))


@reserve_payment.compensation(timeout=TIMEOUT, retry=PATIENT)
async def release_payment(order: Order, ctx: Context, shop: Shop) -> None:
    """The service returns what is left: a clerk may have refunded part of it already."""
    await shop.call(ctx, "DELETE", "payment", f"orders/{order.order_id}/reservation")


@reserve_payment.probe(timeout=TIMEOUT)
async def find_payment(order: Order, ctx: Context, shop: Shop) -> Payment | None:
    found = await shop.call(ctx, "GET", "payment", f"orders/{order.order_id}/reservation")
    return Payment(**found) if found else None


@step(timeout=TIMEOUT, retry=TRIES)
async def reserve_inventory(order: Order, ctx: Context, shop: Shop) -> None:
    items = [{"sku": item.sku, "quantity": item.quantity} for item in order.items]
    await shop.call(ctx, "POST", "inventory", f"orders/{order.order_id}/stock", {"items": items})


@reserve_inventory.compensation(timeout=TIMEOUT, retry=PATIENT)
async def release_inventory(order: Order, ctx: Context, shop: Shop) -> None:
    await shop.call(ctx, "DELETE", "inventory", f"orders/{order.order_id}/stock")


@step(timeout=TIMEOUT, retry=TRIES)
async def reserve_courier(order: Order, ctx: Context, shop: Shop) -> Booking:
    body = {"district": order.district}
    return Booking(**await shop.call(ctx, "POST", "shipping", f"orders/{order.order_id}/courier", body))


@reserve_courier.compensation(timeout=TIMEOUT, retry=PATIENT)
async def cancel_courier(order: Order, ctx: Context, shop: Shop) -> None:
    """Refused, and so parked for a person, when the courier has left already."""
    await shop.call(ctx, "DELETE", "shipping", f"orders/{order.order_id}/courier")


def over_limit(order: Order) -> bool:
    return order.total_cents > APPROVAL_LIMIT_CENTS


@step(read_only=True)
async def check_approval(approval: Approval) -> None:
    if not approval.approved:
        raise Rejected(f"{approval.by} did not approve")


@step(pivot=True, timeout=TIMEOUT, retry=TRIES)
async def capture_payment(order: Order, ctx: Context, shop: Shop) -> Capture:
    return Capture(**await shop.call(ctx, "POST", "payment", f"orders/{order.order_id}/capture", {}))


@capture_payment.probe(timeout=TIMEOUT)
async def find_capture(order: Order, ctx: Context, shop: Shop) -> Capture | None:
    found = await shop.call(ctx, "GET", "payment", f"orders/{order.order_id}/capture")
    return Capture(**found) if found else None


@step(retriable=True, timeout=TIMEOUT, retry=PATIENT)
async def create_shipment(order: Order, ctx: Context, shop: Shop) -> Shipment:
    return Shipment(**await shop.call(ctx, "POST", "shipping", f"orders/{order.order_id}/shipment", {}))


@step(timeout=TIMEOUT, retry=PATIENT)
async def send_confirmation(order: Order, ctx: Context, shop: Shop) -> None:
    await shop.call(ctx, "POST", "notification", f"orders/{order.order_id}/confirmation", {"email": order.email})


@step(timeout=TIMEOUT, retry=PATIENT)
async def send_apology(order: Order, ctx: Context, shop: Shop) -> None:
    await shop.call(ctx, "POST", "notification", f"orders/{order.order_id}/apology", {"email": order.email})


place_order = Saga(
    "place_order",
    validate_order,
    create_order,
    reserve_payment,
    parallel(reserve_inventory, reserve_courier),
    choose(when(over_limit, wait_for("approval", Approval, timeout=APPROVAL_TIMEOUT), check_approval)),
    capture_payment,
    create_shipment,
    version=1,
    input=Order,
    deadline="10m",
    result=create_shipment,
    resources=[Shop],
    on_completed=[send_confirmation],
    on_compensated=[send_apology],
)
