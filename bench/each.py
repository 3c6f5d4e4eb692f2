"""What an item of `each` costs in a list of 10,000, beside an item in a list of 100.

    python bench/each.py                     # [--store sqlite] [--items 10000] [--runs 3]

One saga per run, two compensatable steps per item, fifty at a time; once it completes, once the last item is
rejected and every other is undone. The work grows in line with the list, so the ratio stays near 1; processor time
is what counts, because it suffers less from neighbours. The budget is 1.2.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from figures import tell

from amends import Context, Orchestrator, Rejected, Saga, SagaCompensated, each, step
from amends.stores.base import Store
from amends.stores.memory import MemoryStore

SMALL = 100
BUDGET = 1.2


@step
async def reserve(item: int) -> int:
    """Reserve for an item."""
    return item


@reserve.compensation
async def release(item: int, ctx: Context) -> None:
    """Give it back."""


@step
async def activate(item: int) -> int:
    """Do it; the item 0, when it is the last of its list, is rejected."""
    if item < 0:
        raise Rejected("no")
    return item


@activate.compensation
async def deactivate(item: int, ctx: Context) -> None:
    """Take it back."""


def people(order: list[int]) -> list[int]:
    """The list itself."""
    return order


saga = Saga("bench_each", each(people, reserve, activate, item=int, limit=50), input=list[int])


async def run(items: int, store: Store | str, *, fails: bool) -> float:
    """Microseconds of processor per item."""
    numbers = [*range(1, items), -1 if fails else items]
    async with Orchestrator(store, sagas=[saga]) as orchestrator:
        began = time.process_time()
        handle = await orchestrator.start(saga, numbers)
        with contextlib.suppress(SagaCompensated):
            await handle.result()
        return (time.process_time() - began) / items * 1e6


def measure(kind: str, items: int, *, fails: bool) -> float:
    """One run in a store of its own; the small one as often as it takes for as many items."""
    took = []
    for _ in range(max(1, 2_000 // items)):
        with tempfile.TemporaryDirectory() as folder:
            store: Any = MemoryStore() if kind == "memory" else f"sqlite:///{Path(folder, 'each.db')}"
            gc.collect()
            took.append(asyncio.run(run(items, store, fails=fails)))
    return statistics.median(took)


def main() -> None:
    """Measure in turn, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=["memory", "sqlite"], default="memory")
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    gc.set_threshold(50_000, 20, 50)  # as `amends worker` does
    print(
        f"{'case':<12}{SMALL:>8}{arguments.items:>10} items{'ratio':>8}   (us of processor per item, {arguments.store})"
    )
    sizes = (SMALL, arguments.items)
    for case, fails in (("completes", False), ("undone", True)):
        pairs = [tuple(measure(arguments.store, size, fails=fails) for size in sizes) for _ in range(arguments.runs)]
        small, large = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(many / few for few, many in pairs)
        tell(f"each, {arguments.items:,} items, {case}: to {SMALL} of them", ratio, at_most=BUDGET, ratio=True)
        verdict = "within" if ratio <= BUDGET else "OVER"
        print(f"{case:<12}{small:>8.0f}{large:>16.0f}{ratio:>8.2f}   {verdict} the budget of {BUDGET}")


if __name__ == "__main__":
    main()
