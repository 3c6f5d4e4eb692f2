"""Half an hour of steady load with pruning on: memory, latency and the size of the database must stay flat.

    python bench/steady.py [--minutes 30] [--rate 1000] [--store postgresql://...]

Sagas of four steps start at an even rate (every tenth is rejected and compensated) and nobody waits for them in a
crowd: each is timed from its start to its result. A line a minute: what ended, p50 and p99, resident memory, size of
the files or of the database. Sagas that ended two minutes ago are pruned every half minute, their keys with them.
Compared are the medians of the second fifth and of the last fifth of the time (the first fills the store up).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent))
from figures import tell
from orchestrator import build, runner
from recovery import resident

from amends import Orchestrator, SagaCompensated
from amends.runtime.tuning import tune_process
from tests.servers.postgres import databases

TICK_S = 0.05
OLDER = "2m"


async def load(address: str, minutes: float, rate: int, size: Callable[[], int]) -> list[tuple[float, ...]]:
    """One row a minute: ended, p50 ms, p99 ms, MiB resident, MiB stored."""
    good, bad = build(fails=False), build(fails=True)
    latencies: list[float] = []
    rows: list[tuple[float, ...]] = []
    async with Orchestrator(address, sagas=[good, bad]) as orchestrator:

        async def one(number: int) -> None:
            started = time.perf_counter()
            handle = await orchestrator.start(bad if number % 10 == 0 else good, {"order": number, "total": 100})
            with contextlib.suppress(SagaCompensated):
                await handle.result()
            latencies.append(time.perf_counter() - started)

        async def prune() -> None:
            while True:
                await asyncio.sleep(30)
                await orchestrator.prune(older=OLDER, key_retention=OLDER)

        def report() -> None:
            ordered = sorted(latencies)
            latencies.clear()
            p50, p99 = (ordered[int(len(ordered) * share)] * 1_000 for share in (0.5, 0.99))
            row = (len(ordered), p50, p99, resident() / 2**20, size() / 2**20)
            rows.append(row)
            print(
                f"{len(rows):>4} min {row[0]:>8,} ended  p50 {p50:6.1f} ms  p99 {p99:7.1f} ms"
                f"  {row[3]:6.0f} MiB resident  {row[4]:7.0f} MiB stored",
                flush=True,
            )

        pruning = asyncio.create_task(prune())
        tasks: set[asyncio.Task[None]] = set()
        began, number = time.monotonic(), 0
        while (elapsed := time.monotonic() - began) < minutes * 60:
            while number < elapsed * rate:
                number += 1
                task = asyncio.create_task(one(number))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            if elapsed >= (len(rows) + 1) * 60:
                report()
            await asyncio.sleep(TICK_S)
        report()
        if pruning.done():
            await pruning  # it must not have failed unseen
        pruning.cancel()
        await asyncio.gather(*tasks)
    return rows


def judge(store: str, rows: list[tuple[float, ...]]) -> None:
    fifth = max(1, len(rows) // 5)
    early, late = rows[fifth : 2 * fifth], rows[-fifth:]
    print(f"{store}, the last fifth of the time to the second:")
    for column, name, most in ((1, "p50", 1.25), (2, "p99", 1.5), (3, "memory", 1.1), (4, "stored", 1.25)):
        ratio = statistics.median(row[column] for row in late) / statistics.median(row[column] for row in early)
        print(f"  {name} {ratio:.2f}")
        tell(f"steady load, {store}: {name}, late to early", ratio, at_most=most, ratio=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=int, default=1_000)
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL in place of SQLite")
    given = parser.parse_args()
    tune_process()
    if given.postgres:
        with databases() as server, runner() as loop:
            address = server.new()

            def database_size() -> int:
                with server.connection() as db:
                    row = db.execute("SELECT pg_database_size(%s)", (address.rpartition("/")[2],)).fetchone()
                    return int(row[0]) if row else 0

            judge("PostgreSQL", loop.run(load(address, given.minutes, given.rate, database_size)))
        return
    with tempfile.TemporaryDirectory() as folder, runner() as loop:

        def files_size() -> int:
            return sum(path.stat().st_size for path in Path(folder).iterdir())

        address = f"sqlite:///{folder}/sagas.db"
        judge("SQLite", loop.run(load(address, given.minutes, given.rate, files_size)))


if __name__ == "__main__":
    main()
