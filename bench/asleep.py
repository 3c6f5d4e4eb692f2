"""A million sagas asleep: what they cost in memory, and whether they wake on time.

    python bench/asleep.py [--sagas 1000000] [--waking 20000] [--store postgresql://...]

All are started and run for real, up to a `sleep`. A process of its own then opens the store, as a worker that begins
anew would: its resident memory is read when it has looked through everything. `--waking` of them are due within a
minute that begins a little after; "late" is how long after its due time the step behind the sleep is called. The rest
sleeps for a day.

Then what a waiting saga costs that stays in memory: the growth of the resident memory over 50,000 of them. Once they
wait for room (1,000 calls run at a time, the default), once each has a call that runs, whose task and coroutine count.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
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
from recovery import resident, saga as unanswered

from amends import Context, Orchestrator, Saga, sleep, step
from amends.runtime.tuning import tune_process

LATE: list[float] = []
DAY_S = 86_400


def until_due(order: dict[str, Any]) -> float:
    return max(0.0, float(order["due"]) - time.time())


@step
async def first(order: dict[str, Any], ctx: Context) -> dict[str, Any]:
    return {"id": 1}


@first.compensation
async def undo_first(order: dict[str, Any], ctx: Context) -> None:
    return None


@step
async def second(order: dict[str, Any], ctx: Context) -> dict[str, Any]:
    LATE.append(time.time() - order["due"])
    return {"id": 2}


@second.compensation
async def undo_second(order: dict[str, Any], ctx: Context) -> None:
    return None


saga = Saga("asleep", first, sleep(until_due), second, input=dict[str, Any])


async def start_all(orchestrator: Orchestrator, which: Saga[Any, Any], inputs: Any) -> None:
    async def client() -> None:
        for order in inputs:
            await orchestrator.start(which, order)

    await asyncio.gather(*(client() for _ in range(1_000)))


async def begin(address: str, sagas: int, waking: int, told: Any) -> None:
    async with Orchestrator(address, sagas=[saga], admission=10_000) as orchestrator:
        started = time.monotonic()
        day = time.time() + DAY_S
        await start_all(orchestrator, saga, ({"order": number, "due": day} for number in range(sagas - waking)))
        window = time.time() + 90
        dues = ({"order": number, "due": window + 60 * number / waking} for number in range(waking))
        await start_all(orchestrator, saga, dues)
        while orchestrator._leader.engine.actors and time.time() < window - 65:  # noqa: ASYNC110, SLF001
            await asyncio.sleep(0.05)
        print(f"{sagas:,} sagas put to sleep in {time.monotonic() - started:.0f} s", flush=True)
        told.send(window)


def first_process(address: str, sagas: int, waking: int, told: Any) -> None:
    tune_process()
    with runner() as loop:
        loop.run(begin(address, sagas, waking, told))


async def wake(address: str, waking: int, window: float) -> None:
    gc.collect()
    async with Orchestrator(address, sagas=[saga], admission=100_000) as orchestrator:
        await asyncio.sleep(3)
        asleep = resident() / 1_048_576
        print(f"all asleep: {asleep:.0f} MiB resident, {window - time.time():.0f} s before the first", flush=True)
        peak = 0
        while time.time() < window + 60 or orchestrator._leader.engine.actors:  # noqa: SLF001
            await asyncio.sleep(0.2)
            peak = max(peak, resident())
            if time.time() > window + 180:
                break
    late = sorted(LATE)
    print(
        f"{len(late):,} of {waking:,} woke; late p50 {late[len(late) // 2] * 1_000:.0f} ms, "
        f"p99 {late[int(len(late) * 0.99)] * 1_000:.0f} ms, most {late[-1] * 1_000:.0f} ms, "
        f"earliest {late[0] * 1_000:.0f} ms; at most {peak / 1_048_576:.0f} MiB resident",
        flush=True,
    )
    tell("sagas asleep: resident memory of their worker", max(asleep, peak / 1_048_576), "MiB", at_most=300)
    tell("sagas asleep: woken, of those due", len(late) / waking, at_least=1)
    tell("sagas asleep: woken late, p99", late[int(len(late) * 0.99)] * 1_000, "ms", at_most=1_000)


def second_process(address: str, waking: int, window: float) -> None:
    tune_process()
    with runner() as loop:
        loop.run(wake(address, waking, window))


async def hold(address: str, count: int, calls: int) -> None:
    async with Orchestrator(address, sagas=[unanswered], admission=3 * count, concurrency=calls) as orchestrator:
        engine = orchestrator._leader.engine  # noqa: SLF001 -- what is measured is inside
        sizes = []
        for _ in range(2):  # the first half makes what all share
            await start_all(orchestrator, unanswered, ({"order": number} for number in range(count)))
            while not engine.committer.idle or any(actor.durable_seq < 1 for actor in engine.actors.values()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.5)
            gc.collect()
            sizes.append(resident())
        each = (sizes[1] - sizes[0]) / count
        if calls > count:
            print(f"waiting for an answer: {each:.0f} B a saga, its call's task and coroutine included", flush=True)
            tell("memory of a saga whose call runs", each, "B")
        else:
            print(f"waiting in memory: {each:.0f} B a saga", flush=True)
            tell("memory of a waiting saga", each, "B", at_most=2_048)
        os.kill(os.getpid(), signal.SIGKILL)  # so many calls are not worth cutting one by one


def third_process(address: str, count: int, calls: int) -> None:
    tune_process()
    with runner() as loop:
        loop.run(hold(address, count, calls))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sagas", type=int, default=1_000_000)
    parser.add_argument("--waking", type=int, default=20_000)
    parser.add_argument("--store", default="")
    given = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        address = given.store or f"sqlite:///{folder}/sagas.db"
        here, there = context.Pipe()
        process = context.Process(target=first_process, args=(address, given.sagas, given.waking, there))
        process.start()
        window = here.recv()
        process.join()
        process = context.Process(target=second_process, args=(address, given.waking, window))
        process.start()
        process.join()
        for calls in (1_000, 1_000_000):
            held = (f"sqlite:///{folder}/held-{calls}.db", 50_000, calls)
            process = context.Process(target=third_process, args=held)
            process.start()
            process.join()


if __name__ == "__main__":
    main()
