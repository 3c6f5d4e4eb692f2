"""What the five services share: a process, a database, guarded resources, and clerks' endpoints.

A *resource* is what one step of a saga makes and unmakes, at one URL: POST makes it (the action),
DELETE unmakes it (the compensation), GET looks (the probe). Every one of these calls passes the
barrier of `amends.participant`, in the transaction of the service's own writes. A *desk* is an
endpoint for people: it acts at once, in a transaction of its own, and no saga hears of it.

Rules of this file:
  * **One process, one connection, one writer.** A handler never awaits inside a transaction, so
    the event loop is the lock and no call waits for another one's.
  * **`synchronous = NORMAL`.** A SIGKILL takes the process and not the page cache, so what it
    committed is still there; only a power cut could take commits back, and this demo does not cut
    the power. The orchestrator's own journal uses FULL, because it must survive that too.
  * **No business table has a unique order id.** If the barrier ever let a call through twice, the
    second row must be there for the audit to find, not be hidden by a constraint.
  * Ledgers are append-only, by trigger.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from amends.errors import UsageError
from amends.participant import Guard, Op, create_schema

from ..orphans import end_with_parent
from .faults import App, Faults, Receive, Scope, Send

Business = Callable[[sqlite3.Connection, str, Any], Mapping[str, Any]]
Desk = Callable[[sqlite3.Connection, Any], Mapping[str, Any]]
METHODS = {Op.ACTION: "POST", Op.COMPENSATION: "DELETE", Op.PROBE: "GET"}
RETRIES_MAX = 50


class Refused(Exception):
    """A business "no": nothing was written, and the caller gets a 409 with the reason."""


class Changed(Exception):
    """What was read before the transaction is no longer so: read again, and try again."""


@dataclass(frozen=True)
class Resource:
    """What one step makes and unmakes.

    Attributes:
        action: makes it; called as `action(connection, order_id, body)` inside the guarded transaction.
        compensation: unmakes it; None where nothing can be unmade.
        read: reads, before the transaction, what the action then finds in `body["seen"]`.
    """

    action: Business
    compensation: Business | None = None
    read: Callable[[sqlite3.Connection, Any], Any] | None = None


@dataclass
class Service:
    """One service.

    Attributes:
        name: also the name of its SQL file, beside the module.
        open_books: fills the empty database with what the shop opens with.
        resources: URL under `/orders/{order_id}/` -> resource.
        desks: URL under `/desk/` -> what a person does there, with a JSON body (POST).
        in_flight: how many calls of sagas are being served; `/healthz` shows it.
    """

    name: str
    open_books: Callable[[sqlite3.Connection], None]
    resources: Mapping[str, Resource]
    desks: Mapping[str, Desk] = field(default_factory=dict)
    in_flight: int = 0

    def app(self, connection: sqlite3.Connection, *, seed: int = 0, faults: float = 0.0) -> App:
        """The service as an ASGI application on its open database."""
        routes = [
            Route(f"/orders/{{order_id}}/{url}", self._guarded(connection, resource), methods=list(METHODS.values()))
            for url, resource in self.resources.items()
        ]
        routes += [
            Route(f"/desk/{url}", self._desk(connection, desk), methods=["POST"]) for url, desk in self.desks.items()
        ]
        routes.append(Route("/desk/seal", self._seal(connection), methods=["POST"]))
        routes.append(Route("/healthz", self._health(connection)))
        return self._counted(Faults(Starlette(routes=routes), seed=seed, rate=faults))

    def connect(self, database: Path) -> sqlite3.Connection:
        """Open the service's database; create it and open the books when it is not there."""
        # Threads: uvicorn runs us in one; a test's client may create us in another.
        connection = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        create_schema(connection)
        connection.executescript(Path(__file__).with_name(f"{self.name}.sql").read_text(encoding="utf-8"))
        connection.execute("BEGIN IMMEDIATE")
        if not connection.execute("SELECT 1 FROM opened").fetchone():
            self.open_books(connection)
            connection.execute("INSERT INTO opened VALUES (0)")
        connection.execute("COMMIT")
        return connection

    def _guarded(self, connection: sqlite3.Connection, resource: Resource) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            try:
                guard = Guard.from_headers(request.headers)
            except UsageError as error:
                return JSONResponse({"reason": str(error)}, 400)
            if METHODS[guard.op] != request.method:
                return JSONResponse({"reason": f"Saga-Op {guard.op} comes with {METHODS[guard.op]}"}, 400)
            if guard.op is Op.PROBE:
                answer = guard.probe(connection).reply
                return JSONResponse(answer.body, answer.status)
            body = await request.json() if guard.op is Op.ACTION else {}
            business = resource.action if guard.op is Op.ACTION else resource.compensation
            if business is None:
                return JSONResponse({"reason": "this cannot be unmade"}, 405)
            return await self._run(connection, resource, business, guard, request.path_params["order_id"], body)

        return endpoint

    async def _run(
        self,
        connection: sqlite3.Connection,
        resource: Resource,
        business: Business,
        guard: Guard,
        order_id: str,
        body: Any,
    ) -> Response:
        for _ in range(RETRIES_MAX):
            if resource.read is not None and guard.op is Op.ACTION:
                body["seen"] = resource.read(connection, body)
                await asyncio.sleep(0)  # others get their turn between reading and writing, as in any real service
            try:
                with guard.sqlite3(connection) as go:
                    if go.run:
                        try:
                            go.reply(business(connection, order_id, body))
                        except Refused as no:
                            go.refuse(409, {"reason": str(no)})
            except Changed:
                connection.execute("UPDATE opened SET changed = changed + 1")
                continue
            return JSONResponse(go.stored.body, go.stored.status, headers={"Barrier-Decision": go.decision})
        return JSONResponse({"reason": "too much contention; nothing was written"}, 503)

    def _desk(self, connection: sqlite3.Connection, desk: Desk) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            body = await request.json()
            connection.execute("BEGIN IMMEDIATE")
            try:
                answer = desk(connection, body)
            except Refused as no:
                connection.execute("ROLLBACK")
                return JSONResponse({"reason": str(no)}, 409)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
            return JSONResponse(dict(answer))

        return endpoint

    def _seal(self, connection: sqlite3.Connection) -> Callable[[Request], Any]:
        """A person settles an unknown action: its stored answer, or a proof that it can no longer land."""

        async def endpoint(request: Request) -> Response:
            body = await request.json()
            answer = Guard(body["saga_id"], body["step"], Op.PROBE).probe(connection, seal=True).reply
            return JSONResponse(answer.body, answer.status)

        return endpoint

    def _health(self, connection: sqlite3.Connection) -> Callable[[Request], Any]:
        async def endpoint(_request: Request) -> Response:
            changed = connection.execute("SELECT changed FROM opened").fetchone()[0]
            return JSONResponse({"service": self.name, "in_flight": self.in_flight, "changed": changed})

        return endpoint

    def _counted(self, app: App) -> App:
        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            saga = scope["type"] == "http" and scope["path"].startswith("/orders/")
            self.in_flight += saga
            try:
                await app(scope, receive, send)
            finally:
                self.in_flight -= saga

        return counted


def rows(connection: sqlite3.Connection, sql: str, arguments: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """The rows of a query as dictionaries."""
    cursor = connection.execute(sql, arguments)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def main(service: Service) -> None:
    """Serve until killed, or until whoever started us is gone."""
    parser = argparse.ArgumentParser(description=f"the shop's {service.name} service")
    parser.add_argument("--db", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", type=float, default=0.0)
    given = parser.parse_args()
    app = service.app(service.connect(given.db), seed=given.seed, faults=given.faults)
    config = uvicorn.Config(
        app,
        port=given.port,
        log_level="critical",
        access_log=False,
        lifespan="off",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
    end_with_parent()
    uvicorn.Server(config).run()


def encode(value: Any) -> str:
    """A value as the JSON text that a column holds."""
    return msgspec.json.encode(value).decode()
