"""The articles' orchestrator: one row per saga, one UPDATE and commit per state.

What a team writes after reading about the pattern: a table of sagas with a state and the data so far. No journal, no
lease, no recovery, no retries, no idempotency keys; it is here as the least that anything durable costs without group
commit. A pool of connections on PostgreSQL; one connection on a thread of its own on SQLite, which is the fastest of
the plain ways there (one writer at a time is all that SQLite has).
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from measure import RESULT, STEPS, System, order

Execute = Callable[[str, tuple[Any, ...]], Awaitable[None]]
CREATE = "CREATE TABLE sagas (id TEXT PRIMARY KEY, state TEXT NOT NULL, data TEXT NOT NULL)"
INSERT = "INSERT INTO sagas (id, state, data) VALUES ({0}, {0}, {0})"
UPDATE = "UPDATE sagas SET state = {0}, data = {0} WHERE id = {0}"


class Rejected(Exception):
    """The fourth step says no."""


async def action(step: int, given: dict[str, Any]) -> dict[str, Any]:
    if step == STEPS and given["fails"]:
        raise Rejected(repr(time.monotonic()))
    return RESULT


async def compensation(step: int, given: dict[str, Any]) -> None:
    return None


async def run_saga(execute: Execute, mark: str, number: int, fails: bool) -> float | None:
    """One saga; each state is committed before the next step starts."""
    insert, update = INSERT.format(mark), UPDATE.format(mark)
    data: dict[str, Any] = {"input": order(number, fails=fails)}
    saga_id = str(uuid.uuid4())
    await execute(insert, (saga_id, "started", json.dumps(data)))
    rejected = None
    done: list[int] = []
    for step in range(1, STEPS + 1):
        try:
            data[f"step_{step}"] = await action(step, data["input"])
        except Rejected as error:
            rejected = float(str(error))
            break
        done.append(step)
        await execute(update, (f"step_{step} done", json.dumps(data), saga_id))
    if rejected is not None:
        await execute(update, ("compensating", json.dumps(data), saga_id))
        for step in reversed(done):
            await compensation(step, data["input"])
            await execute(update, (f"step_{step} compensated", json.dumps(data), saga_id))
    await execute(update, ("compensated" if rejected is not None else "completed", json.dumps(data), saga_id))
    return rejected


@asynccontextmanager
async def on_postgres(address: str) -> AsyncIterator[System]:
    from psycopg_pool import AsyncConnectionPool

    async with AsyncConnectionPool(address, min_size=20, max_size=20, open=False) as pool:

        async def execute(statement: str, values: tuple[Any, ...]) -> None:
            async with pool.connection() as connection:
                await connection.execute(statement, values)

        await execute(CREATE, ())
        yield System(
            "own code",
            ["psycopg 3, a pool of 20 connections", "server's defaults (fsync, synchronous_commit on)", "uvloop"],
            lambda number, fails: run_saga(execute, "%s", number, fails),
        )


@asynccontextmanager
async def on_sqlite(path: Path) -> AsyncIterator[System]:
    with ThreadPoolExecutor(1) as thread:
        loop = asyncio.get_running_loop()
        connection = await loop.run_in_executor(
            thread, lambda: sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        )

        async def execute(statement: str, values: tuple[Any, ...]) -> None:
            await loop.run_in_executor(thread, connection.execute, statement, values)

        for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", CREATE):
            await execute(statement, ())
        yield System(
            "own code",
            ["one connection on a thread of its own", "WAL, synchronous=FULL", "uvloop"],
            lambda number, fails: run_saga(execute, "?", number, fails),
        )
        await loop.run_in_executor(thread, connection.close)


def system(address: str, folder: Path) -> Any:
    return on_postgres(address) if address else on_sqlite(folder / "naive.db")
