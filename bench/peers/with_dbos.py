"""DBOS Transact for Python, on PostgreSQL.

As its documentation has it: the async API, workflow and steps as decorated functions, compensations as steps that the
workflow calls where it catches the error. Its default pools; DBOS itself asks for nothing else in production but
PostgreSQL in place of SQLite. Logging at WARNING and no admin server, which spares it work.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dbos import DBOS, DBOSConfig
from measure import RESULT, STEPS, System, order


class Rejected(Exception):
    """The fourth step says no."""


def make_step(number: int) -> Any:
    @DBOS.step(name=f"step_{number}")
    async def action(given: dict[str, Any]) -> dict[str, Any]:
        if number == STEPS and given["fails"]:
            raise Rejected(repr(time.monotonic()))
        return RESULT

    return action


def make_compensation(number: int) -> Any:
    @DBOS.step(name=f"compensate_{number}")
    async def compensation(given: dict[str, Any]) -> None:
        return None

    return compensation


ACTIONS = {number: make_step(number) for number in range(1, STEPS + 1)}
COMPENSATIONS = {number: make_compensation(number) for number in range(1, STEPS + 1)}


@DBOS.workflow(name="bench")
async def saga(given: dict[str, Any]) -> dict[str, Any]:
    done: list[int] = []
    try:
        for number, action in ACTIONS.items():
            await action(given)
            done.append(number)
    except Rejected as error:
        for number in reversed(done):
            await COMPENSATIONS[number](given)
        return {"rejected": float(str(error))}
    return {}


@asynccontextmanager
async def system(address: str, folder: Path) -> AsyncIterator[System]:
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": address,
        "log_level": "WARNING",
        "run_admin_server": False,
    }
    DBOS(config=config)
    DBOS.launch()

    async def run(number: int, fails: bool) -> float | None:
        handle = await DBOS.start_workflow_async(saga, order(number, fails=fails))
        found: dict[str, Any] = await handle.get_result()
        return found.get("rejected")

    try:
        yield System(
            f"dbos {version('dbos')}",
            ["PostgreSQL, server's defaults", "async workflow and steps, default pools", "log level WARNING", "uvloop"],
            run,
        )
    finally:
        DBOS.destroy()
