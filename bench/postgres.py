"""Sagas per second on PostgreSQL, beside the ceiling; and what a saga costs the server.

    python bench/postgres.py [--pairs 5] [--sagas 20000] [--in-flight 1000]

One worker, and the server on the same machine with its defaults (fsync on). Each run of ours is paired with a run of
the loop in `bare_loop_postgres.py` over the very frames that ours wrote. Bytes of WAL are the server's own count; its
processor time is that of all its processes, from /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent))
import bare_loop_postgres
import psycopg
from figures import tell
from orchestrator import build, runner

from amends import Orchestrator, Saga, SagaCompensated
from amends.core.events import decode_frame
from amends.runtime.tuning import tune_process
from tests.servers.postgres import Databases, databases


def server_seconds(pid: int) -> float:
    """Processor time of a server and of every process that it started, in seconds."""
    ticks = 0
    for each in Path("/proc").iterdir():
        if each.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (each / "stat").read_text().rpartition(")")[2].split()
                if int(each.name) == pid or int(fields[1]) == pid:
                    ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


async def ours(address: str, saga: Saga[Any, Any], sagas: int, in_flight: int, cost: Any) -> tuple[float, float, float]:
    """Completed sagas per second; bytes of WAL and server milliseconds per saga."""
    numbers = iter(range(sagas))
    async with Orchestrator(address, sagas=[saga]) as orchestrator:

        async def client() -> None:
            for number in numbers:
                handle = await orchestrator.start(saga, {"order": number, "total": 100})
                with contextlib.suppress(SagaCompensated):
                    await handle.result()

        wal, seconds = cost()
        started = asyncio.get_running_loop().time()
        await asyncio.gather(*(client() for _ in range(in_flight)))
        elapsed = asyncio.get_running_loop().time() - started
        wal_after, seconds_after = cost()
    return sagas / elapsed, (wal_after - wal) / sagas, (seconds_after - seconds) / sagas * 1_000


def pair(server: Databases, case: str, sagas: int, in_flight: int) -> tuple[float, float, float, float]:
    """One run of ours and one of the bare loop over the same frames."""
    address = server.new()
    with server.connection() as db, runner() as loop:
        db.execute("CHECKPOINT")

        def cost() -> tuple[float, float]:
            row = db.execute("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')").fetchone()
            return float(row[0]), server_seconds(server.server.pid) if server.server else 0.0

        speed, wal, milliseconds = loop.run(ours(address, build(fails=case == "failing"), sagas, in_flight, cost))
    with psycopg.connect(address) as db:
        rows = db.execute(
            "SELECT body FROM amends_journal WHERE saga_id = (SELECT max(saga_id) FROM amends_journal) ORDER BY seq"
        ).fetchall()
    frames = [decode_frame(body) for (body,) in rows]
    with runner() as loop:
        ceiling = loop.run(bare_loop_postgres.run(address, frames, sagas, in_flight))
    server.drop_all()
    return speed, ceiling, wal, milliseconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sagas", type=int, default=20_000)
    parser.add_argument("--in-flight", type=int, default=1_000)
    parser.add_argument("--pairs", type=int, default=5)
    given = parser.parse_args()
    tune_process()
    print(
        f"{'on PostgreSQL':<14}{'ours/s':>8}{'bare/s':>9}{'ratio':>7}{'WAL B/saga':>12}{'server ms/saga':>16}"
        f"   (median of {given.pairs} pairs)"
    )
    with databases() as server:
        for case in ("succeeding", "failing"):
            pairs = [pair(server, case, given.sagas, given.in_flight) for _ in range(given.pairs)]
            speed, ceiling, wal, milliseconds = (statistics.median(column) for column in zip(*pairs, strict=True))
            ratio = statistics.median(mine / bare for mine, bare, *_ in pairs)
            print(f"{case:<14}{speed:>8.0f}{ceiling:>9.0f}{ratio:>7.2f}{wal:>12.0f}{milliseconds:>16.3f}")
            tell(f"PostgreSQL, {case}", speed, "sagas/s")
            tell(f"PostgreSQL, {case}: to the bare loop", ratio, at_least=0.5, ratio=True)
            if case == "succeeding":
                tell("PostgreSQL, succeeding: WAL", wal, "B/saga", at_most=2_500, ratio=True)
                tell("PostgreSQL, succeeding: processor of the server", milliseconds, "ms/saga", at_most=0.06)


if __name__ == "__main__":
    main()
