"""A worker with nothing to do, on PostgreSQL: statements a minute, and processor time.

    python bench/idle.py [--minutes 5]

`amends worker` in a process of its own, with 1,000 sagas that sleep for a day; after a minute to settle, the server's
log of every statement is counted (BEGIN, COMMIT and the like are not asked for by anybody, and listed apart), and the
worker's processor time is read from /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent))
from asleep import saga, start_all
from figures import tell

from amends import Orchestrator
from tests.servers.postgres import cluster

SETTLE_S = 60
LOGGED = {"log_statement": "all", "log_line_prefix": "'%p|'", "log_min_messages": "log"}


def processor_seconds(pid: int) -> float:
    """Of all threads, to the nanosecond where the kernel says it (ticks of 10 ms are too coarse for so little)."""
    exact = [Path(task, "schedstat") for task in Path(f"/proc/{pid}/task").iterdir()]
    if all(path.exists() for path in exact):
        return sum(int(path.read_text().split()[0]) for path in exact) / 1e9
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def statements(log: str) -> Counter[str]:
    """The first words of each statement that the log has."""
    found = re.findall(r"^\d+\|LOG:  (?:statement|execute [^:]*): *(.{0,60})", log, flags=re.MULTILINE)
    return Counter(" ".join(text.split()[:6]) for text in found)


async def put_to_sleep(address: str) -> None:
    async with Orchestrator(address, sagas=[saga]) as orchestrator:
        due = time.time() + 86_400
        await start_all(orchestrator, saga, iter([{"order": number, "due": due} for number in range(1_000)]))
        while orchestrator._leader.engine.actors:  # noqa: ASYNC110, SLF001 -- until all sleep
            await asyncio.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5)
    given = parser.parse_args()
    with cluster(LOGGED) as server, tempfile.TemporaryDirectory() as folder:
        address = server.address("postgres")
        asyncio.run(put_to_sleep(address))
        here = str(Path(__file__).parent)
        with subprocess.Popen(
            [str(Path(sys.executable).with_name("amends")), "worker", "--app", "asleep:saga", "--store", address],
            cwd=folder, env=os.environ | {"PYTHONPATH": here}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as worker:  # fmt: skip
            time.sleep(SETTLE_S)
            assert worker.poll() is None, "the worker ended"
            before, began, log_before = processor_seconds(worker.pid), time.monotonic(), len(server.log())
            time.sleep(given.minutes * 60)
            share = (processor_seconds(worker.pid) - before) / (time.monotonic() - began)
            found = statements(server.log()[log_before:])
            with contextlib.suppress(ProcessLookupError):
                worker.terminate()
            worker.wait(30)
    asked = sum(count for text, count in found.items() if text.split()[0] not in ("BEGIN", "COMMIT", "ROLLBACK"))
    print(f"idle worker on PostgreSQL: {asked / given.minutes:.1f} statements a minute, {share:.3%} of a processor")
    for text, count in found.most_common():
        print(f"  {count / given.minutes:6.1f} a minute  {text}")
    tell("idle worker: statements a minute", asked / given.minutes, at_most=12)
    tell("idle worker: share of a processor", share * 100, "%", at_most=0.1)


if __name__ == "__main__":
    main()
