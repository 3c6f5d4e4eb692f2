"""The five services inside this process, over ASGI, and an order that went through all of them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from examples.shop.services import inventory, notification, order, payment, shipping
from examples.shop.services.base import Service

SERVICES: dict[str, Service] = {
    module.SERVICE.name: module.SERVICE for module in (order, payment, inventory, shipping, notification)
}
ITEMS = [{"sku": "A000", "quantity": 2, "price_cents": 500}, {"sku": "A010", "quantity": 1, "price_cents": 3_250}]
TOTAL = 4_250


class Rig:
    """Calls as the saga makes them, one at a time."""

    def __init__(self, directory: Path, faults: float = 0.0) -> None:
        self.directory = directory
        self.connections = {name: service.connect(directory / f"{name}.db") for name, service in SERVICES.items()}
        self.clients = {
            name: httpx2.AsyncClient(
                transport=httpx2.ASGITransport(service.app(self.connections[name], faults=faults)),  # type: ignore[arg-type]
                base_url="http://shop",
            )
            for name, service in SERVICES.items()
        }

    def close(self) -> None:
        for connection in self.connections.values():
            connection.close()

    def call(
        self, method: str, service: str, order_id: str, url: str, body: object = None, *, attempt: int = 1
    ) -> httpx2.Response:
        return asyncio.run(self.calling(method, service, order_id, url, body, attempt=attempt))

    async def calling(
        self, method: str, service: str, order_id: str, url: str, body: object = None, *, attempt: int = 1
    ) -> httpx2.Response:
        op = {"POST": "action", "DELETE": "compensation", "GET": "probe"}[method]
        key = f"saga-{order_id}/{url}"
        headers = {
            "Idempotency-Key": f"{key}/{'action' if op == 'probe' else op}",
            "Saga-Op": op,
            "Saga-Attempt": str(attempt),
        }
        path = f"/orders/{order_id}/{url}"
        return await self.clients[service].request(method, path, json=body, headers=headers)

    def desk(self, service: str, url: str, **body: object) -> httpx2.Response:
        async def asking() -> httpx2.Response:
            return await self.clients[service].post(f"/desk/{url}", json=body)

        return asyncio.run(asking())

    def place(self, order_id: str, customer: str = "c001") -> None:
        """Everything up to the pivot."""
        body = {"customer": customer, "items": ITEMS, "total_cents": TOTAL}
        assert self.call("POST", "order", order_id, "order", body).status_code == 200
        assert self.reserve_payment(order_id, customer).status_code == 200
        assert self.call("POST", "inventory", order_id, "stock", {"items": ITEMS}).status_code == 200
        assert self.call("POST", "shipping", order_id, "courier", {"district": "d01"}).status_code == 200

    def reserve_payment(self, order_id: str, customer: str = "c001", amount: int = TOTAL) -> httpx2.Response:
        body = {"customer": customer, "card": "valid", "amount_cents": amount}
        return self.call("POST", "payment", order_id, "reservation", body)

    def fulfil(self, order_id: str) -> None:
        """The pivot and what follows it."""
        assert self.call("POST", "payment", order_id, "capture", {}).status_code == 200
        assert self.call("POST", "shipping", order_id, "shipment", {}).status_code == 200
        assert self.mail(order_id, "confirmation").status_code == 200

    def undo(self, order_id: str) -> None:
        for service, url in (
            ("shipping", "courier"),
            ("inventory", "stock"),
            ("payment", "reservation"),
            ("order", "order"),
        ):
            assert self.call("DELETE", service, order_id, url).status_code == 200
        assert self.mail(order_id, "apology").status_code == 200

    def mail(self, order_id: str, kind: str) -> httpx2.Response:
        return self.call("POST", "notification", order_id, kind, {"email": "c@example.org"})

    def sql(self, service: str, statement: str, *arguments: Any) -> list[Any]:
        """Look into a service's database, or corrupt it; its triggers and checks are switched off."""
        connection = sqlite3.connect(self.directory / f"{service}.db", isolation_level=None)
        try:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            for (trigger,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
                connection.execute(f"DROP TRIGGER {trigger}")
            return connection.execute(statement, arguments).fetchall()
        finally:
            connection.close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.close()
