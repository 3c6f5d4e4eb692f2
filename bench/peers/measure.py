"""How every system is measured: the same saga, the same clients, the same clock.

The saga: four steps whose actions return a small dict at once, each recorded by the system before the next one starts.
Failing: the fourth action rejects, and three compensations run, each recorded as well.

Three runs, each after a warm-up:
    alone       one saga at a time, succeeding
    succeeding  `--in-flight` clients, each starting its next saga when its last one has ended
    failing     the same with the rejection; the time from the rejection (in the action) until the client knows that all
                is compensated is measured too. The rejection carries the reading of CLOCK_MONOTONIC, which is the same
                for all processes of a machine.

A module of a peer offers `system()`, an async context manager that yields a `System`. It is imported only in the peers'
environment (or in ours, for Amends), so this file needs nothing but the standard library and, where it is installed,
uvloop. One JSON line is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STEPS = 4
RESULT = {"id": 1, "ok": True}
"""What each action returns."""


def order(number: int, *, fails: bool) -> dict[str, Any]:
    """The input of a saga."""
    return {"order": number, "total": 100, "fails": fails}


@dataclass
class System:
    """A running system under measurement.

    `run` runs a saga to its end and returns None, or, for one that fails and is compensated, the reading of
    `time.monotonic()` in the action that rejected; it raises when anything else comes out.
    """

    versions: str
    configuration: list[str]
    run: Callable[[int, bool], Awaitable[float | None]]


Opener = Callable[[str, Path], AbstractAsyncContextManager[System]]


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of them are, in ms."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1_000, 2)


async def measure(system: System, *, fails: bool, in_flight: int, seconds: float) -> dict[str, float]:
    """Sagas per second and latencies, of sagas that ended within the time."""
    latencies: list[float] = []
    compensations: list[float] = []
    numbers = iter(range(10_000_000))
    warm = time.monotonic() + seconds / 4
    end = warm + seconds

    async def client() -> None:
        while (started := time.monotonic()) < end:
            rejected = await system.run(next(numbers), fails)
            now = time.monotonic()
            if (rejected is not None) != fails:
                raise AssertionError(f"a saga with fails={fails} ended otherwise")
            if warm <= now < end:
                latencies.append(now - started)
                if rejected is not None:
                    compensations.append(now - rejected)

    await asyncio.gather(*(client() for _ in range(in_flight)))
    if not latencies:
        raise AssertionError(f"no saga ended within {seconds} s")
    found = {
        "per_second": len(latencies) / seconds,
        "p50_ms": percentile(latencies, 0.5),
        "p99_ms": percentile(latencies, 0.99),
    }
    if compensations:
        found |= {
            "compensated_p50_ms": percentile(compensations, 0.5),
            "compensated_p99_ms": percentile(compensations, 0.99),
        }
    return found


async def measure_all(opener: Opener, address: str, folder: Path, in_flight: int, seconds: float) -> dict[str, Any]:
    async with opener(address, folder) as system:
        return {
            "versions": system.versions,
            "configuration": system.configuration,
            "alone": await measure(system, fails=False, in_flight=1, seconds=seconds / 3),
            "succeeding": await measure(system, fails=False, in_flight=in_flight, seconds=seconds),
            "failing": await measure(system, fails=True, in_flight=in_flight, seconds=seconds),
        }


def runner() -> asyncio.Runner:
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module")
    parser.add_argument("--address", default="")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--in-flight", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=15)
    given = parser.parse_args()
    opener: Opener = importlib.import_module(given.module).system
    with runner() as loop:
        found = loop.run(measure_all(opener, given.address, given.folder, given.in_flight, given.seconds))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
