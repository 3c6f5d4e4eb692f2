"""Recovery: sagas in flight, `kill -9`, and how long it takes until the first moves again and all are in memory.

    python bench/recovery.py [--sagas 100000] [--store postgresql://...]

A process starts the sagas, whose second step never answers, and is killed. Another one opens the store: "first" is
when the first call is made again, "all" is when every saga is in memory again with its next call announced. On one host
a dead holder loses its lease at once; so the time runs from the second process's `open`.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from figures import tell
from orchestrator import runner

from amends import Context, Orchestrator, Saga, step
from amends.runtime.tuning import tune_process

CALLS: list[float] = []


@step
async def first(order: dict[str, Any], ctx: Context) -> dict[str, Any]:
    return {"id": 1}


@first.compensation
async def undo_first(order: dict[str, Any], ctx: Context) -> None:
    return None


@step(timeout="10m")
async def second(order: dict[str, Any], ctx: Context) -> dict[str, Any]:
    CALLS.append(time.perf_counter())
    await asyncio.sleep(600)
    return {"id": 2}


@second.compensation
async def undo_second(order: dict[str, Any], ctx: Context) -> None:
    return None


saga = Saga("recovery", first, second, input=dict[str, Any])


def resident() -> int:
    """This process's resident memory, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4_096


async def begin(address: str, sagas: int, told: Any) -> None:
    async with Orchestrator(address, sagas=[saga], admission=sagas + 1) as orchestrator:
        numbers = iter(range(sagas))

        async def client() -> None:
            for number in numbers:
                await orchestrator.start(saga, {"order": number})

        await asyncio.gather(*(client() for _ in range(1_000)))
        engine = orchestrator._leader.engine  # noqa: SLF001 -- what is measured is inside
        while any(actor.durable_seq < 1 for actor in engine.actors.values()):  # noqa: ASYNC110 -- a look from outside
            await asyncio.sleep(0.05)
        told.send(len(engine.actors))
        await asyncio.sleep(3_600)


def victim(address: str, sagas: int, told: Any) -> None:
    tune_process()
    with runner() as loop:
        loop.run(begin(address, sagas, told))


async def recover(address: str, sagas: int) -> None:
    CALLS.clear()
    began = time.perf_counter()
    async with Orchestrator(address, sagas=[saga], admission=sagas + 1, grace="0s") as orchestrator:
        engine = orchestrator._leader.engine  # noqa: SLF001 -- what is measured is inside
        while len(engine.actors) < sagas or not engine.committer.idle:  # noqa: ASYNC110 -- the same
            await asyncio.sleep(0.005)
        armed = time.perf_counter()
        memory = resident()
        first_call = CALLS[0]
        print(
            f"{sagas:,} sagas: first {first_call - began:.2f} s, all {armed - began:.2f} s, "
            f"{memory / 1_048_576:.0f} MiB resident",
            flush=True,
        )
        store = "SQLite" if address.startswith("sqlite") else "PostgreSQL"
        tell(f"recovery of {sagas:,}, {store}: first moves", first_call - began, "s", at_most=1)
        tell(f"recovery of {sagas:,}, {store}: all armed", armed - began, "s", at_most=10)
        os.kill(os.getpid(), signal.SIGKILL)  # 100,000 calls are not worth cutting one by one


def second_process(address: str, sagas: int) -> None:
    tune_process()
    with runner() as loop:
        loop.run(recover(address, sagas))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sagas", type=int, default=100_000)
    parser.add_argument("--store", default="")
    given = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        address = given.store or f"sqlite:///{folder}/sagas.db"
        here, there = context.Pipe()
        process = context.Process(target=victim, args=(address, given.sagas, there))
        process.start()
        here.recv()
        process.kill()
        process.join()
        again = context.Process(target=second_process, args=(address, given.sagas))
        again.start()
        again.join()


if __name__ == "__main__":
    main()
