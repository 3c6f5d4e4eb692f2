"""Sagas per second, beside the ceiling: `make bench`.

The saga has four steps whose actions return a small dict at once; every step boundary is durable
before the next step starts (`synchronous=FULL`). Two cases: all succeed (5 frames); the fourth step is
rejected and three compensations run (8 frames). Each run of ours is paired with a run of the bare loop
in `bare_loop.py` over the very frames that ours wrote; what counts is the ratio within a pair.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import bare_loop
from figures import tell

from amends import Context, Orchestrator, Rejected, Saga, SagaCompensated, Step, step
from amends.core.events import decode_frame
from amends.core.filters import Filter
from amends.runtime.tuning import tune_process
from amends.stores.sqlite import SQLiteStore


def build(*, fails: bool) -> Saga[Any, Any]:
    """The four-step saga of the benchmark."""

    def make(name: str, *, rejected: bool) -> Step[Any, Any, Any]:
        @step(name=name)
        async def action(order: dict[str, Any], ctx: Context) -> dict[str, Any]:
            if rejected:
                raise Rejected("no")
            return {"id": 1, "ok": True}

        @action.compensation
        async def undo(order: dict[str, Any], ctx: Context) -> None:
            return None

        return action

    steps = [make(f"step_{n}", rejected=fails and n == 4) for n in range(1, 5)]
    return Saga("bench_failing" if fails else "bench", *steps, input=dict[str, Any])


async def ours(path: Path, saga: Saga[Any, Any], sagas: int, in_flight: int) -> float:
    """Completed sagas per second."""
    numbers = iter(range(sagas))
    async with Orchestrator(f"sqlite:///{path}", sagas=[saga]) as orchestrator:

        async def client() -> None:
            for number in numbers:
                handle = await orchestrator.start(saga, {"order": number, "total": 100})
                with contextlib.suppress(SagaCompensated):
                    await handle.result()

        started = asyncio.get_running_loop().time()
        await asyncio.gather(*(client() for _ in range(in_flight)))
        elapsed = asyncio.get_running_loop().time() - started
    return sagas / elapsed


async def frames_of_one(path: Path) -> list[Any]:
    """The frames of one saga that ours wrote, decoded."""
    store = SQLiteStore(str(path))
    await store.open()
    row = (await store.summaries(Filter(), before="", limit=1))[0]
    frames = [decode_frame(frame.body) for frame in (await store.frames([row.saga_id]))[row.saga_id]]
    store.close()
    return frames


def runner() -> asyncio.Runner:
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def pair(case: str, sagas: int, in_flight: int) -> tuple[float, float]:
    """One run of ours and one of the bare loop over the same frames."""
    saga = build(fails=case == "failing")
    with tempfile.TemporaryDirectory() as folder:
        with runner() as loop:
            gc.collect()
            speed = loop.run(ours(Path(folder, "ours.db"), saga, sagas, in_flight))
            frames = loop.run(frames_of_one(Path(folder, "ours.db")))
        with runner() as loop:
            gc.collect()
            ceiling = loop.run(bare_loop.run(Path(folder, "bare.db"), frames, sagas, in_flight))
    return speed, ceiling


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sagas", type=int, default=20_000)
    parser.add_argument("--in-flight", type=int, default=1_000)
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    tune_process()  # as `amends worker` does, for both
    print(f"{'case':<12}{'frames':>7}{'ours/s':>10}{'bare/s':>10}{'ratio':>8}   (median of {arguments.pairs} pairs)")
    for case, frames, least in (("succeeding", 5, 0.6), ("failing", 8, 0.5)):
        pairs = [pair(case, arguments.sagas, arguments.in_flight) for _ in range(arguments.pairs)]
        speed, ceiling = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(mine / bare for mine, bare in pairs)
        print(f"{case:<12}{frames:>7}{speed:>10.0f}{ceiling:>10.0f}{ratio:>8.2f}")
        tell(f"SQLite, {case}", speed, "sagas/s")
        tell(f"SQLite, {case}: to the bare loop", ratio, at_least=least, ratio=True)


if __name__ == "__main__":
    main()
