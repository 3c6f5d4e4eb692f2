"""Atomic steps on PostgreSQL: the author's rows and the step's frame are there together, once, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from amends import Context, Orchestrator, Rejected, Retry, Saga, SagaCompensated, UsageError, step
from tests.servers.postgres import Databases
from tests.servers.proxy import Proxy

ONCE = Retry(attempts=1)


@dataclass
class Order:
    number: int = 1


@pytest.fixture
def address(postgres: Databases) -> str:
    address = postgres.new()
    with psycopg.connect(address) as db:
        db.execute("CREATE TABLE items (number integer PRIMARY KEY)")
        db.execute(
            "CREATE TABLE orders (number integer, saga_id text, "
            "item integer REFERENCES items DEFERRABLE INITIALLY DEFERRED)"
        )
    return address


def rows(address: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(address) as db:
        return db.execute("SELECT number, saga_id FROM orders ORDER BY number").fetchall()


def saga_of(body: Any, *, timeout: float = 5, then: Any = None) -> Saga[Any, Any]:
    @step(atomic=True, retry=ONCE, timeout=timeout)
    def write(order: Order, ctx: Context, db: psycopg.Connection) -> int:
        return body(order, ctx, db)

    @write.compensation
    def unwrite(order: Order, db: psycopg.Connection) -> None:
        db.execute("DELETE FROM orders WHERE number = %s", (order.number,))

    return Saga("atomic", write, *([then] if then else []), input=Order, result=write)


def insert(order: Order, ctx: Context, db: psycopg.Connection) -> int:
    db.execute("INSERT INTO orders VALUES (%s, %s)", (order.number, ctx.saga_id))
    return order.number


async def outcome(address: str, saga: Saga[Any, Any], order: Order | None = None) -> Any:
    async with Orchestrator(address, sagas=[saga]) as orchestrator:
        return await (await orchestrator.start(saga, order or Order())).result()


def test_what_it_writes_is_there_when_the_step_is_and_is_undone_with_it(address):
    @step(retry=ONCE)
    async def refuse(order: Order) -> None:
        assert [row[0] for row in await asyncio.to_thread(rows, address)] == [order.number]
        if order.number == 2:
            raise Rejected("no")

    saga = saga_of(insert, then=refuse)
    assert asyncio.run(outcome(address, saga, Order(1))) == 1
    with psycopg.connect(address) as db:
        db.execute("DELETE FROM orders")
    with pytest.raises(SagaCompensated):
        asyncio.run(outcome(address, saga, Order(2)))
    assert rows(address) == []


def raises(order: Order, ctx: Context, db: psycopg.Connection) -> int:
    insert(order, ctx, db)
    raise ZeroDivisionError


def breaks_a_deferred_key(order: Order, ctx: Context, db: psycopg.Connection) -> int:
    db.execute("INSERT INTO orders VALUES (1, 's', 99)")
    return 1


def swallows_an_error(order: Order, ctx: Context, db: psycopg.Connection) -> int:
    insert(order, ctx, db)
    with contextlib.suppress(psycopg.Error):
        db.execute("SELECT 1/0")
    return 1


def returns_what_cannot_be_kept(order: Order, ctx: Context, db: psycopg.Connection) -> int:
    insert(order, ctx, db)
    return object()  # type: ignore[return-value]


def takes_too_long_in_sql(order: Order, ctx: Context, db: psycopg.Connection) -> int:
    insert(order, ctx, db)
    db.execute("SELECT pg_sleep(30)")
    return 1


BAD = [
    (raises, "ZeroDivisionError"), (breaks_a_deferred_key, "foreign key"), (swallows_an_error, "AM2240"),
    (returns_what_cannot_be_kept, "AM21"), (takes_too_long_in_sql, "statement timeout"),
    (lambda order, ctx, db: (insert(order, ctx, db), db.commit()), "AM2240"),
    (lambda order, ctx, db: (insert(order, ctx, db), db.rollback()), "AM2240"),
    (lambda order, ctx, db: (insert(order, ctx, db), db.close()), "AM2243"),
    (lambda order, ctx, db: (insert(order, ctx, db), db.execute("ROLLBACK"), 1)[2], "AM2240"),
    (lambda order, ctx, db: (insert(order, ctx, db), db.execute("ROLLBACK"), db.execute("BEGIN"), 1)[3], "AM2240"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "said"), BAD, ids=range(len(BAD)))
def test_what_goes_wrong_in_it_leaves_nothing_and_is_a_failure_without_effect(address, body, said):
    with pytest.raises(SagaCompensated) as caught:
        asyncio.run(outcome(address, saga_of(body, timeout=0.3)))
    assert said in str(caught.value.errors)
    assert rows(address) == []


def test_a_savepoint_of_its_own_is_fine(address):
    def body(order: Order, ctx: Context, db: psycopg.Connection) -> int:
        insert(order, ctx, db)
        try:
            with db.transaction():
                db.execute("INSERT INTO orders VALUES (5)")
                raise ZeroDivisionError
        except ZeroDivisionError:
            return 1

    asyncio.run(outcome(address, saga_of(body)))
    assert [row[0] for row in rows(address)] == [1]


def test_each_row_is_there_once_however_often_connections_are_cut_and_answers_lost(address):
    port = psycopg.conninfo.conninfo_to_dict(address)["port"]
    proxy = Proxy(int(port))

    @step(atomic=True, retry=Retry(attempts=20, base="5ms", cap="20ms"))
    def write(order: Order, ctx: Context, db: psycopg.Connection) -> int:
        return insert(order, ctx, db)

    saga = Saga("cut", write, input=Order)

    async def main() -> None:
        async with Orchestrator(address.replace(f":{port}/", f":{proxy.port}/"), sagas=[saga]) as orchestrator:
            for number in range(60):
                if number % 4 == 1:
                    proxy.lose_answers(1, b"COMMIT")
                elif number % 4 == 3:
                    asyncio.get_running_loop().call_later(0.002, proxy.cut)
                handle = await orchestrator.start(saga, Order(number), key=str(number))
                await asyncio.wait_for(handle.result(), 30)

    try:
        asyncio.run(main())
    finally:
        proxy.close()
    assert proxy.lost >= 10
    assert [row[0] for row in rows(address)] == list(range(60))


def test_a_connection_of_another_driver_is_refused_when_the_orchestrator_is_made(address, tmp_path):
    @step(atomic=True)
    def write(order: Order, db: sqlite3.Connection) -> int: ...

    @write.compensation
    def unwrite(order: Order, db: sqlite3.Connection) -> None: ...

    for store, saga, said in (
        (address, Saga("other", write), r"gives a psycopg\.Connection"),
        (f"sqlite:///{tmp_path}/sagas.db", saga_of(insert), r"gives a sqlite3\.Connection"),
    ):
        with pytest.raises(UsageError, match=said) as caught:
            Orchestrator(store, sagas=[saga])
        assert caught.value.code == "AM2028"
