"""Starts inside the caller's own transaction on PostgreSQL: there if and only if it commits, by whatever driver."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from amends import (
    Conflict,
    KeyConflict,
    Orchestrator,
    Saga,
    SyncOrchestrator,
    UsageError,
    start_in_async_transaction,
    start_in_transaction,
    step,
)
from amends.errors import StoreUnusable
from amends.stores.base import KEY_OPEN, Batch, FrameRow, KeyRow
from amends.stores.owner import this_process
from amends.stores.postgres import PostgresStore
from tests.servers.postgres import Databases


@dataclass
class Order:
    number: int = 1


@step
async def note(order: Order) -> int:
    return order.number


orders = Saga("orders", note)
elsewhere = Saga("orders", note, note.named("again"))


@pytest.fixture
def address(postgres: Databases) -> str:
    """A database that an orchestrator has used once, with a table of the application's in it."""
    address = postgres.new()

    async def make() -> None:
        async with Orchestrator(address, sagas=[orders], worker=False):
            pass

    asyncio.run(make())
    with psycopg.connect(address) as db:
        db.execute("CREATE TABLE orders (number integer)")
    return address


def with_driver(address: str, driver: str) -> str:
    return address.replace("postgresql://", f"postgresql+{driver}://")


INSERT = "INSERT INTO orders VALUES (7)"


@asynccontextmanager
async def by_psycopg(address: str) -> AsyncIterator[tuple[Any, Callable[[], Any]]]:
    with psycopg.connect(address) as db:
        db.execute(INSERT)
        yield db, db.rollback


@asynccontextmanager
async def by_async_psycopg(address: str) -> AsyncIterator[tuple[Any, Callable[[], Any]]]:
    async with await psycopg.AsyncConnection.connect(address) as db:
        await db.execute(INSERT)
        yield db, db.rollback


@asynccontextmanager
async def by_asyncpg(address: str) -> AsyncIterator[tuple[Any, Callable[[], Any]]]:
    async with asyncpg.create_pool(address, min_size=1, max_size=1) as pool, pool.acquire() as db:
        transaction = db.transaction()
        await transaction.start()
        await db.execute(INSERT)
        done = []

        async def back() -> None:
            done.append(True)
            await transaction.rollback()

        yield db, back
        if not done:
            await transaction.commit()


@asynccontextmanager
async def by_session(address: str) -> AsyncIterator[tuple[Any, Callable[[], Any]]]:
    engine = create_engine(with_driver(address, "psycopg"))
    with Session(engine) as session, session.begin() as transaction:
        session.execute(text(INSERT))
        yield session, transaction.rollback
    engine.dispose()


@asynccontextmanager
async def by_connection(address: str) -> AsyncIterator[tuple[Any, Callable[[], Any]]]:
    engine = create_engine(with_driver(address, "psycopg"))
    with engine.begin() as connection:
        connection.execute(text(INSERT))
        yield connection, connection.get_transaction().rollback
    engine.dispose()


@asynccontextmanager
async def by_async_session(address: str) -> AsyncIterator[tuple[Any, Callable[[], Any]]]:
    engine = create_async_engine(with_driver(address, "asyncpg"))
    async with AsyncSession(engine) as session, session.begin() as transaction:
        await session.execute(text(INSERT))
        yield session, transaction.rollback
    await engine.dispose()


WAYS = [by_psycopg, by_async_psycopg, by_asyncpg, by_session, by_connection, by_async_session]
SYNC = [by_psycopg, by_session, by_connection]


async def rolled_back(back: Callable[[], Any]) -> None:
    answer = back()
    if answer is not None:
        await answer


def rows(address: str) -> int:
    with psycopg.connect(address) as db:
        return db.execute("SELECT count(*) FROM orders").fetchone()[0]


@pytest.mark.parametrize("way", WAYS)
def test_the_saga_exists_once_the_caller_has_committed_and_a_worker_takes_it_up_at_once(address, way):
    async def main() -> None:
        async with Orchestrator(address, sagas=[orders]) as orchestrator:
            async with way(address) as (connection, _):
                handle = await orchestrator.start(orders, Order(5), key="five", transaction=connection)
                assert await orchestrator.count() == 0
                other = await orchestrator.start(orders, Order(6))
                assert await other.result() == 6  # nobody waits for the open transaction
                assert [view.id async for view in orchestrator.list()] == [other.id]
                assert {entry.saga_id async for entry in orchestrator.tail(after=0)} == {other.id}
            assert await asyncio.wait_for(handle.result(), 5) == 5
            assert {view.id async for view in orchestrator.list()} == {handle.id, other.id}
            assert {entry.saga_id async for entry in orchestrator.tail(after=0)} == {handle.id, other.id}

    asyncio.run(main())
    assert rows(address) == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_start_that_was_rolled_back_leaves_nothing_and_its_key_is_free(address, way):
    async def main() -> None:
        async with Orchestrator(address, sagas=[orders]) as orchestrator:
            async with way(address) as (connection, back):
                gone = await orchestrator.start(orders, Order(5), key="five", transaction=connection)
                await rolled_back(back)
            assert await orchestrator.count() == 0
            again = await orchestrator.start(orders, Order(6), key="five")
            assert again.id != gone.id
            assert await again.result() == 6

    asyncio.run(main())
    assert rows(address) == 0


@pytest.mark.parametrize("way", WAYS)
def test_a_taken_key_gives_its_saga_or_is_refused_and_the_transaction_goes_on(address, way):
    async def main() -> None:
        async with Orchestrator(address, sagas=[orders], worker=False) as orchestrator:
            first = await orchestrator.start(orders, Order(5), key="five")
            async with way(address) as (connection, _):
                same = await orchestrator.start(orders, Order(5), key="five", transaction=connection)
                assert same.id == first.id
                with pytest.raises(KeyConflict):
                    await orchestrator.start(orders, Order(6), key="five", transaction=connection)
                with pytest.raises(Conflict, match="another structure"):
                    await start_in_async_transaction(connection, elsewhere, Order(1))
                second = await start_in_async_transaction(connection, orders, Order(7), correlation={"customer": "ann"})
            assert {view.id async for view in orchestrator.list()} == {first.id, second}
            assert [view.id async for view in orchestrator.list("customer:ann")] == [second]

    asyncio.run(main())
    assert rows(address) == 1


@pytest.mark.parametrize("way", SYNC)
def test_code_that_does_not_await_starts_without_an_orchestrator(address, way):
    async def main() -> str:
        async with way(address) as (connection, _):
            return start_in_transaction(connection, orders, Order(9), key="nine")

    saga_id = asyncio.run(main())
    with SyncOrchestrator(address, sagas=[orders]) as orchestrator:
        assert orchestrator.handle(saga_id).result() == 9
        with psycopg.connect(address) as db:
            other = orchestrator.start(orders, Order(10), transaction=db)
        assert other.result() == 10


def test_an_async_connection_is_refused_where_nothing_awaits(address):
    async def main() -> None:
        async with by_asyncpg(address) as (connection, _):
            with pytest.raises(UsageError, match="start_in_async_transaction") as caught:
                start_in_transaction(connection, orders, Order())
            assert caught.value.code == "AM2235"

    asyncio.run(main())


def test_a_connection_without_a_transaction_is_refused(address):
    async def main() -> None:
        with psycopg.connect(address, autocommit=True) as db:
            with pytest.raises(UsageError, match="no open transaction") as caught:
                start_in_transaction(db, orders, Order())
            assert caught.value.code == "AM2231"
            with db.transaction():
                start_in_transaction(db, orders, Order())
        connection = await asyncpg.connect(address)
        with pytest.raises(UsageError, match="no open transaction"):
            await start_in_async_transaction(connection, orders, Order())
        await connection.close()
        async with await psycopg.AsyncConnection.connect(address, autocommit=True) as db:
            with pytest.raises(UsageError, match="no open transaction"):
                await start_in_async_transaction(db, orders, Order())

    asyncio.run(main())


@pytest.mark.parametrize("way", WAYS)
def test_another_database_than_the_store_is_refused_and_so_is_one_without_the_tables(address, postgres, way):
    async def main() -> None:
        other, empty = postgres.new(), postgres.new()
        async with Orchestrator(other, worker=False):
            pass
        for each in (other, empty):
            with psycopg.connect(each) as db:
                db.execute("CREATE TABLE orders (number integer)")
        async with Orchestrator(address, sagas=[orders], worker=False) as orchestrator:
            async with way(other) as (connection, _):
                with pytest.raises(UsageError, match="another database") as caught:
                    await orchestrator.start(orders, Order(), transaction=connection)
                assert caught.value.code == "AM2233"
            async with way(empty) as (connection, _):
                with pytest.raises(StoreUnusable, match="amends migrate") as unusable:
                    await orchestrator.start(orders, Order(), transaction=connection)
                assert unusable.value.code == "AM6038"
        assert rows(other) == rows(empty) == 1

    asyncio.run(main())


@pytest.mark.parametrize("worker", [True, False], ids=["worker", "outside"])
@pytest.mark.parametrize("commits", [True, False], ids=["committed", "rolled back"])
def test_a_start_under_a_key_that_an_open_transaction_has_waits_for_it_and_nobody_else_does(address, worker, commits):
    async def main() -> None:
        async with (
            Orchestrator(address, sagas=[orders]) as runner,
            Orchestrator(address, sagas=[orders], worker=False) as outside,
        ):
            orchestrator = runner if worker else outside
            with psycopg.connect(address) as db:
                joined = await orchestrator.start(orders, Order(5), key="five", transaction=db)
                waiting = asyncio.ensure_future(orchestrator.start(orders, Order(5), key="five"))
                for number in range(3):
                    other = await asyncio.wait_for(orchestrator.start(orders, Order(number), key=str(number)), 2)
                    assert await asyncio.wait_for(other.result(), 2) == number
                assert not waiting.done()
                if not commits:
                    db.rollback()
            handle = await asyncio.wait_for(waiting, 5)
            assert (handle.id == joined.id) is commits
            assert await asyncio.wait_for(handle.result(), 5) == 5
            assert await runner.count() == 4

    asyncio.run(main())


def test_a_batch_that_left_such_a_start_out_says_so_also_when_it_is_sent_again(address):
    async def main() -> None:
        store = PostgresStore(address)
        await store.open()
        try:
            lease = await store.acquire(this_process(), ttl_ms=60_000, now=1_000)
            assert lease is not None
            with psycopg.connect(address) as db:
                start_in_transaction(db, orders, Order(5), key="five")
                batch = Batch(
                    1,
                    frames=[FrameRow("a", 1, b""), FrameRow("b", 1, b""), FrameRow("b", 2, b"")],
                    opened=["a", "b"],
                    keys=[KeyRow("orders", "four", "a", "h"), KeyRow("orders", "five", "b", "h")],
                )
                for _ in range(2):
                    assert await store.commit(lease, batch) == {"b": KEY_OPEN}
                assert set(await store.frames(["a", "b"])) == {"a"}
                assert await store.start(FrameRow("c", 1, b""), KeyRow("orders", "five", "c", "h")) == KEY_OPEN
            taken = await store.commit(
                lease, Batch(2, frames=[FrameRow("d", 1, b"")], opened=["d"], keys=[KeyRow("orders", "five", "d", "h")])
            )
            assert list(taken) == ["d"]
            assert taken["d"] != KEY_OPEN
        finally:
            store.close()

    asyncio.run(main())
