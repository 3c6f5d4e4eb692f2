"""Amends, measured as the peers are: one orchestrator in the process of its clients, on SQLite or on PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from measure import RESULT, STEPS, System, order

import amends
from amends import Context, Orchestrator, Rejected, Saga, SagaCompensated, Step, step
from amends.runtime.tuning import tune_process


def make(number: int) -> Step[Any, Any, Any]:
    @step(name=f"step_{number}")
    async def action(given: dict[str, Any], ctx: Context) -> dict[str, Any]:
        if number == STEPS and given["fails"]:
            raise Rejected(repr(time.monotonic()))
        return RESULT

    @action.compensation
    async def compensation(given: dict[str, Any], ctx: Context) -> None:
        return None

    return action


SAGA: Saga[Any, Any] = Saga("bench", *(make(number) for number in range(1, STEPS + 1)), input=dict[str, Any])


@asynccontextmanager
async def system(address: str, folder: Path) -> AsyncIterator[System]:
    tune_process()  # as `amends worker` does
    async with Orchestrator(address or f"sqlite:///{folder}/amends.db", sagas=[SAGA]) as orchestrator:

        async def run(number: int, fails: bool) -> float | None:
            handle = await orchestrator.start(SAGA, order(number, fails=fails))
            try:
                await handle.result()
            except SagaCompensated as ended:
                return float(ended.cause.rpartition(": ")[2])
            return None

        store = "PostgreSQL, server's defaults" if address else "SQLite, WAL, synchronous=FULL"
        yield System(f"amends {amends.__version__}", [store, "one process, an orchestrator's defaults", "uvloop"], run)
