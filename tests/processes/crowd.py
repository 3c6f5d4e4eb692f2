"""One of many processes on one file: a runner, a starter or a looker; see test_many_processes.py.

    python -m tests.processes.crowd run STORE LOG
    python -m tests.processes.crowd start STORE LOG --first 0 --count 200
    python -m tests.processes.crowd look STORE LOG

LOG is written line by line in one system call each, so that it tells what was acknowledged before a kill:
`started KEY ID`, `error TEXT`, `looked N`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
from dataclasses import dataclass

from amends import Context, Orchestrator, Rejected, Retry, Saga, step


@dataclass
class Order:
    number: int


@step(retry=Retry(attempts=50, base="1ms", cap="5ms"))
async def reserve(order: Order, ctx: Context) -> str:
    return ctx.idempotency_key


@reserve.compensation(retry=Retry(attempts=50, base="1ms", cap="5ms"))
async def release(order: Order) -> None:
    pass


@step(retry=Retry(attempts=50, base="1ms", cap="5ms"))
async def pay(order: Order) -> int:
    if order.number % 10 == 9:
        raise Rejected("no money", conclusive=True)  # of this call, and of one that a kill has cut off
    return order.number


crowded = Saga("crowded", reserve, pay)


class Log:
    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def say(self, line: str) -> None:
        os.write(self._file, f"{line}\n".encode())


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def run(store: str) -> None:
    async with Orchestrator(f"sqlite:///{store}", sagas=[crowded]) as orchestrator:
        orchestrator.subscribe(lambda notice: tell(notice.event), "lease.*")
        tell("lease.acquired" if orchestrator.leading else "standing by")
        await asyncio.to_thread(sys.stdin.readline)


async def start(store: str, log: Log, first: int, count: int) -> None:
    """Start keys in an order of one's own; a neighbour starts the same ones."""
    numbers = list(range(first, first + count))
    random.Random(os.getpid()).shuffle(numbers)
    async with Orchestrator(f"sqlite:///{store}", sagas=[crowded], worker=False) as orchestrator:

        async def client() -> None:
            while numbers:
                number = numbers.pop()
                try:
                    handle = await orchestrator.start(crowded, Order(number), key=f"k{number}")
                except Exception as error:
                    log.say(f"error {error!r}")
                else:
                    log.say(f"started k{number} {handle.id}")

        await asyncio.gather(*(client() for _ in range(4)))
    log.say("through")


async def look(store: str, log: Log) -> None:
    looked = 0
    over = asyncio.ensure_future(asyncio.to_thread(sys.stdin.readline))
    async with Orchestrator(f"sqlite:///{store}", worker=False) as orchestrator:
        while not over.done():
            try:
                views = [view async for view in orchestrator.list(limit=20)]
                await orchestrator.count(status="completed")
                if views:
                    await orchestrator.get(views[-1].id)
            except Exception as error:
                log.say(f"error {error!r}")
            looked += 1
            await asyncio.sleep(0.02)
    log.say(f"looked {looked}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["run", "start", "look"])
    parser.add_argument("store")
    parser.add_argument("log")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=0)
    given = parser.parse_args()
    log = Log(given.log)
    work = {
        "run": lambda: run(given.store),
        "start": lambda: start(given.store, log, given.first, given.count),
        "look": lambda: look(given.store, log),
    }
    asyncio.run(work[given.role]())


if __name__ == "__main__":
    main()
