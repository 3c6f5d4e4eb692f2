"""A start inside the caller's own transaction on PostgreSQL, on the caller's own connection.

    with psycopg.connect(...) as connection:
        connection.execute("INSERT INTO orders ...")
        start_in_transaction(connection, place_order, order, key=order.order_id)

    async with pool.acquire() as connection, connection.transaction():          # asyncpg
        await connection.execute("INSERT INTO orders ...")
        await orchestrator.start(place_order, order, transaction=connection)

Taken are connections of psycopg (sync and async), psycopg2 and asyncpg, and what SQLAlchemy and Django make of them.

Rules of this file:
  * **The transaction stays the caller's.** It is never begun, committed or rolled back here; a savepoint takes back
    what a refused start wrote, and the caller goes on.
  * **One statement**, a function of the database (`amends_join_1`): so no driver is imported here, and none is
    relied on but for how it runs a statement.
  * The start gets its place in the journal when the transaction commits, and the worker is told then.

Codes: AM2230, AM2231, AM2233, AM2235 and AM6038, as in `stores/sqlite/joining.py`:
    AM2235  an async connection was given to a function that does not await
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable
from typing import Any

import msgspec

from ...core.shards import shard_of
from ...errors import StoreUnusable, UsageError
from ..base import DefinitionRow, FrameRow, KeyRow
from ..held import Held
from ..messages import other_definition, refuse_nul
from ..projection import fold_row
from .rows import summaries_of

_MARKS = 14
_TYPES = (
    "bigint", "text", "integer", "bytea", "text", "bigint", "text", "bytea", "bytea", "text", "text", "text", "bytea",
    "text",
)  # fmt: skip
_MADE_BY = "open an Orchestrator of this release on the database once, or run `amends migrate`"
_UNDEFINED = ("42883", "42P01")  # no such function, no such table

Answer = Held | None


def driver_of(given: object) -> tuple[str, Any]:
    """The driver's name and its connection: what was given, or what SQLAlchemy or Django wraps; "" for none of ours."""
    inner: Any = given
    for _ in range(6):
        name = type(inner).__module__.partition(".")[0]
        if name in ("psycopg", "psycopg2", "psycopg_pool", "asyncpg"):
            return name, inner
        if name == "sqlalchemy" and type(inner).__name__ in ("Session", "scoped_session"):
            inner = inner.connection()
            continue
        inner = (
            getattr(inner, "driver_connection", None)
            or getattr(inner, "sync_connection", None)
            or getattr(inner, "connection", None)
        )
        if inner is None or inspect.ismethod(inner):
            break
    return "", None


def is_ours(given: object) -> bool:
    """Whether it is a connection to PostgreSQL, or an async session that will give one."""
    return bool(driver_of(given)[0]) or _is_async_session(given)


def is_async(given: object) -> bool:
    """Whether the start must be awaited."""
    name, inner = driver_of(given)
    return _is_async_session(given) or name == "asyncpg" or type(inner).__name__ == "AsyncConnection"


def join(given: object, frame: FrameRow, key: KeyRow | None, definition: DefinitionRow, store: int) -> Answer:
    """Write a start into the connection's open transaction.

    Parameters:
        store: which store it must be, 0 for any.

    Returns:
        None when it is written, or who has the start key; then nothing is.

    Raises:
        UsageError, StoreError: see the codes above; the transaction is as it was.
        Conflict: the definition's version is registered with another structure.
    """
    if is_async(given):
        raise UsageError(
            f"{given!r} is an async connection: `await start_in_async_transaction(...)`, or "
            "`await orchestrator.start(..., transaction=...)`",
            code="AM2235",
        )
    _, connection = driver_of(given)
    bound = _bound(frame, key, definition, store)
    cursor = connection.cursor()
    try:
        if getattr(connection, "autocommit", False) and not _is_open(connection):
            raise _no_transaction()
        cursor.execute("SAVEPOINT amends_start")
        try:
            cursor.execute(_statement("%s"), bound)
            answer = _read(next(iter(cursor.fetchone() or (None,))))
        except BaseException as error:
            cursor.execute("ROLLBACK TO SAVEPOINT amends_start")
            raise _sorted(error) from error
        if isinstance(answer, Exception) or answer is not None:
            cursor.execute("ROLLBACK TO SAVEPOINT amends_start")
        cursor.execute("RELEASE SAVEPOINT amends_start")
    finally:
        cursor.close()
    return _told(answer, definition)


async def join_async(given: Any, frame: FrameRow, key: KeyRow | None, definition: DefinitionRow, store: int) -> Answer:
    """The same on an async connection."""
    connection = await given.connection() if _is_async_session(given) else given
    name, inner = driver_of(connection)
    bound = _bound(frame, key, definition, store)
    if name == "asyncpg":
        if not inner.is_in_transaction():
            raise _no_transaction()
        run, text = inner.execute, _statement("$")
        ask: Any = lambda: inner.fetchval(text, *bound)  # noqa: E731 -- a name for one of two ways
    else:
        if inner.autocommit and not _is_open(inner):
            raise _no_transaction()
        run, text = inner.execute, _statement("%s")

        async def fetch() -> Any:
            row = await (await inner.execute(text, bound)).fetchone()
            return next(iter(row or (None,)))

        ask = fetch
    await run("SAVEPOINT amends_start")
    try:
        answer = _read(await _awaited(ask()))
    except BaseException as error:
        await run("ROLLBACK TO SAVEPOINT amends_start")
        raise _sorted(error) from error
    if answer is not None:
        await run("ROLLBACK TO SAVEPOINT amends_start")
    await run("RELEASE SAVEPOINT amends_start")
    return _told(answer, definition)


async def _awaited(answer: Awaitable[Any]) -> Any:
    return await answer


def _is_async_session(given: object) -> bool:
    kind = type(given)
    return kind.__module__.startswith("sqlalchemy.") and kind.__name__ in ("AsyncSession", "async_scoped_session")


def _is_open(connection: Any) -> bool:
    status = connection.info.transaction_status
    return int(status) in (1, 2)  # ACTIVE, INTRANS


def _statement(mark: str) -> str:
    marks = (f"{f'${at}' if mark == '$' else mark}::{kind}" for at, kind in enumerate(_TYPES, 1))
    return f"SELECT amends_join_1({', '.join(marks)})"


def _bound(frame: FrameRow, key: KeyRow | None, row: DefinitionRow, store: int) -> tuple[Any, ...]:
    if key is not None:
        refuse_nul([key])
    summary = fold_row(None, frame, {})
    told, bodies, *_ = summaries_of([summary])
    labels = msgspec.json.encode(summary.correlation).decode()
    return (
        store, frame.saga_id, shard_of(frame.saga_id), frame.body, row.name, row.version, row.fingerprint,
        row.structure, row.redactions, key.key if key else "", key.input_hash if key else "", told, bodies[0], labels,
    )  # fmt: skip


def _read(answer: str | None) -> dict[str, Any] | None:
    return None if answer is None else msgspec.json.decode(answer)


def _told(answer: dict[str, Any] | None, definition: DefinitionRow) -> Answer:
    if answer is None:
        return None
    if "store" in answer:
        raise UsageError(
            "the connection is on another database than the store: a transaction cannot span the two. Connect to the "
            "store's database, and to its schema",
            code="AM2233",
        )
    if "fingerprint" in answer:
        raise other_definition(definition, answer["fingerprint"])
    first = answer["first_frame"]
    return Held(answer["holder"], answer["input_hash"], None if first is None else bytes.fromhex(first))


def _no_transaction() -> UsageError:
    return UsageError(
        "the connection has no open transaction that the start could be a part of: begin one first (with an async "
        "SQLAlchemy session, execute or flush something first), and commit it after the start",
        code="AM2231",
    )


def _sorted(error: BaseException) -> BaseException:
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if state in _UNDEFINED:
        return StoreUnusable(f"the connection's database has no tables of Amends: {_MADE_BY}", code="AM6038")
    return error
