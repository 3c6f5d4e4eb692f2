"""Several workers on one PostgreSQL server: what they do together, and how soon a dead one's shards are taken over.

    python bench/workers.py [--seconds 8] [--workers 1,2,3] [--lease 10]

Each worker is a process that starts four-step sagas and runs them, 500 in flight; counted is what all of them complete
within the same seconds. Server and workers share the machine, so two cores are used up by two workers.

Then two workers with sagas in flight in every shard: one is killed (`kill -9`), in another run it is stopped, which
stands for a machine that is gone: nobody can see that it is dead, so its lease must run out. The time runs from the
signal until all shards are the other's.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent))
import psycopg
from figures import tell
from orchestrator import build, runner

from amends import Orchestrator
from amends.core.shards import SHARDS
from amends.runtime.tuning import tune_process
from tests.servers.postgres import Databases, databases

IN_FLIGHT = 500


class Worker:
    """A process of `work`; a line goes in, what it has completed comes out."""

    def __init__(self, address: str, lease: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--child", address, "--lease", lease],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def completed(self) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("?\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


async def work(address: str, lease: str) -> None:
    """Run sagas for ever; say how many are completed whenever a line comes."""
    saga, completed, loop = build(fails=False), 0, asyncio.get_running_loop()
    async with Orchestrator(address, sagas=[saga], lease=lease) as orchestrator:

        async def client() -> None:
            nonlocal completed
            while True:
                handle = await orchestrator.start(saga, {"order": completed, "total": 100})
                await handle.result()
                completed += 1

        clients = [loop.create_task(client()) for _ in range(IN_FLIGHT)]
        while await loop.run_in_executor(None, sys.stdin.readline):
            print(completed, flush=True)
        for task in clients:
            task.cancel()


@contextlib.contextmanager
def workers(server: Databases, count: int, lease: str) -> Iterator[tuple[list[Worker], psycopg.Connection]]:
    """So many, and a connection to their database, once each has its share of the shards."""
    address = server.new()
    started = [Worker(address, lease) for _ in range(count)]
    try:
        with psycopg.connect(address, autocommit=True) as db:
            until(lambda: len(held(db)) == count and min(held(db).values()) >= SHARDS // count - count, 60)
            yield started, db
    finally:
        for worker in started:
            worker.kill()
    server.drop_all()


def held(db: psycopg.Connection) -> dict[int, int]:
    """How many shards each worker has, by its process."""
    with contextlib.suppress(psycopg.errors.UndefinedTable):
        return dict(
            db.execute("SELECT pid, count(shard) FROM amends_workers JOIN amends_shards USING (epoch) GROUP BY pid")
        )
    return {}


def until(happened: Callable[[], bool], limit_s: float) -> float:
    """Wait; how long it took, in seconds."""
    began = time.monotonic()
    while not happened():
        if time.monotonic() - began > limit_s:
            raise SystemExit("it did not happen in time")
        time.sleep(0.01)
    return time.monotonic() - began


def throughput(server: Databases, count: int, seconds: float) -> float:
    """Sagas that so many workers complete in a second."""
    with workers(server, count, "30s") as (started, _):
        time.sleep(1.5)
        began, before = time.monotonic(), sum(worker.completed() for worker in started)
        time.sleep(seconds)
        return (sum(worker.completed() for worker in started) - before) / (time.monotonic() - began)


def take_over(server: Databases, how: signal.Signals, lease_s: int) -> float:
    """How long it takes until a dead worker's shards are another's, in seconds."""
    with workers(server, 2, f"{lease_s}s") as ((first, second), db):
        time.sleep(2)
        os.kill(first.process.pid, how)
        try:
            return until(lambda: held(db).get(second.process.pid) == SHARDS, 6 * lease_s)
        finally:
            first.process.send_signal(signal.SIGCONT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--workers", default="1,2,3")
    parser.add_argument("--lease", default="10")
    parser.add_argument("--runs", type=int, default=3, help="times that a worker is killed, and stopped")
    parser.add_argument("--child", default="")
    given = parser.parse_args()
    tune_process()
    if given.child:
        with runner() as loop:
            loop.run(work(given.child, given.lease))
        return
    with databases() as server:
        alone = 0.0
        for count in map(int, given.workers.split(",")):
            speed = throughput(server, count, given.seconds)
            alone = alone or speed
            print(f"{count} workers: {speed:,.0f} sagas/s, {speed / alone:.2f} of the first line")
            tell(f"PostgreSQL, workers: {count}", speed, "sagas/s")
        lease_s = int(given.lease)
        for how, said in ((signal.SIGKILL, "killed"), (signal.SIGSTOP, "stopped")):
            took = [take_over(server, how, lease_s) for _ in range(given.runs)]
            print(
                f"{said}: its shards are another's after {statistics.median(took):.2f} s, "
                f"{max(took):.2f} s at most ({lease_s} s of lease)"
            )
            tell(f"a worker {said}: shards taken over, of a lease", max(took) / lease_s, at_most=1)


if __name__ == "__main__":
    main()
