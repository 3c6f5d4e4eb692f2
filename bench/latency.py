"""One saga at a time: the p50 of a four-step saga beside five single commits of the same store.

    python bench/latency.py [--store postgresql://...]

The saga needs five durable commits, one after the other. So does the yardstick: five batches of one frame, handed
to the store of the same kind by one task, one after the other, the writer's thread hop counted in both. The two
alternate.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from figures import tell
from orchestrator import build, runner

from amends import Orchestrator
from amends.runtime.tuning import tune_process
from amends.stores.address import open_address
from amends.stores.base import Batch, FrameRow
from amends.stores.owner import this_process

BODY = b'[1,1700000000000,[["ok",2,{"id":1,"ok":true}],["a",3]]]'


async def sagas(address: str, count: int) -> list[float]:
    """How long each saga took, from the call of `start` to its result, in milliseconds."""
    saga = build(fails=False)
    took = []
    async with Orchestrator(address, sagas=[saga]) as orchestrator:
        for number in range(count):
            began = time.perf_counter()
            handle = await orchestrator.start(saga, {"order": number, "total": 100})
            await handle.result()
            took.append((time.perf_counter() - began) * 1_000)
    return took


async def commits(address: str, count: int) -> list[float]:
    """How long each five commits took."""
    store = open_address(address)
    await store.open()
    took = []
    try:
        now = time.time_ns() // 1_000_000
        lease = await store.acquire(this_process(), ttl_ms=600_000, now=now)
        assert lease is not None
        number = 0
        for each in range(count):
            began = time.perf_counter()
            for seq in range(1, 6):
                number += 1
                await store.commit(lease, Batch(number, frames=[FrameRow(f"{began}-{each}", seq, BODY)]))
            took.append((time.perf_counter() - began) * 1_000)
        await store.release(lease)
    finally:
        store.close()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", default="")
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--pairs", type=int, default=5)
    given = parser.parse_args()
    tune_process()
    ratios, ours, bare = [], [], []
    for _ in range(given.pairs):
        with tempfile.TemporaryDirectory() as folder, runner() as loop:
            took = loop.run(sagas(given.store or f"sqlite:///{folder}/sagas.db", given.count))
            five = loop.run(commits(given.store or f"sqlite:///{folder}/commits.db", given.count))
        ours.append(statistics.median(took))
        bare.append(statistics.median(five))
        ratios.append(ours[-1] / bare[-1])
    print(f"{'':<22}{'p50 saga':>10}{'p50 five commits':>18}{'ratio':>8}   (median of {given.pairs} pairs)")
    print(
        f"{'one saga at a time':<22}{statistics.median(ours):>8.2f}ms{statistics.median(bare):>16.2f}ms"
        f"{statistics.median(ratios):>8.2f}"
    )
    store = "PostgreSQL" if given.store else "SQLite"
    tell(f"one at a time, {store}: to five commits", statistics.median(ratios), at_most=1.5, ratio=True)


if __name__ == "__main__":
    main()
