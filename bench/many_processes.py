"""Many processes on one file: starters and lookers beside one runner.

    python bench/many_processes.py [--starters 4] [--lookers 2] [--starts 1500] [--in-flight 8]

One process runs the sagas. Each starter starts its share, so many at a time, with keys, and waits for
no result; each looker lists, counts and gets in a loop; one more signals sagas that wait for it, and
measures the way there and back, before the load and under it: `signal` until it was applied, and until
`result()` knew the end. In the end the journal is audited: every acknowledged start is there once and
has completed. Only what is public is used, so that an older commit can be measured with the same file:

    PYTHONPATH=OLD/src python bench/many_processes.py

Times are in milliseconds. `errors` counts whatever a user would have met.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from amends import Context, Orchestrator, Saga, step, wait_for
from amends.stores.base import ASLEEP
from amends.stores.sqlite import SQLiteStore


def build() -> list[Saga[Any, Any]]:
    """Four steps that return at once, and a saga that waits for a signal."""

    def make(name: str) -> Any:
        @step(name=name)
        async def action(order: dict[str, Any], ctx: Context) -> dict[str, Any]:
            return {"id": 1, "ok": True}

        @action.compensation
        async def undo(order: dict[str, Any], ctx: Context) -> None:
            return None

        return action

    steps = [make(f"step_{n}") for n in range(1, 5)]
    return [
        Saga("order", *steps, input=dict[str, Any]),
        Saga("asked", wait_for("go", dict[str, Any]), make("after"), input=dict[str, Any]),
    ]


SAGAS = build()
QUIET = 50  # signals there and back before the load begins


async def run_sagas(address: str) -> dict[str, Any]:
    async with Orchestrator(address, sagas=SAGAS):
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
    return {}


async def start_sagas(address: str, name: str, starts: int, in_flight: int) -> dict[str, Any]:
    took: list[float] = []
    started: dict[str, str] = {}
    errors: Counter[str] = Counter()
    numbers = iter(range(starts))
    async with Orchestrator(address, sagas=SAGAS, worker=False) as orchestrator:

        async def client() -> None:
            for number in numbers:
                began = time.perf_counter()
                try:
                    handle = await orchestrator.start("order", {"n": number}, key=f"{name}-{number}")
                except Exception as error:
                    errors[f"{type(error).__name__}: {error}"] += 1
                else:
                    took.append(time.perf_counter() - began)
                    started[f"{name}-{number}"] = handle.id

        await go()
        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(in_flight)))
        elapsed = time.perf_counter() - began
    return {"took": took, "started": started, "errors": errors, "elapsed": elapsed}


async def look_at_sagas(address: str) -> dict[str, Any]:
    took: list[float] = []
    errors: Counter[str] = Counter()
    async with Orchestrator(address, sagas=SAGAS, worker=False) as orchestrator:
        over = await go()
        while not over.done():
            began = time.perf_counter()
            try:
                views = [view async for view in orchestrator.list(limit=20)]
                if hasattr(orchestrator, "count"):  # older commits have none
                    await orchestrator.count(status="completed")
                if views:
                    await orchestrator.get(views[-1].id)
            except Exception as error:
                errors[f"{type(error).__name__}: {error}"] += 1
            else:
                took.append(time.perf_counter() - began)
            await asyncio.sleep(0.02)
    return {"took": took, "errors": errors}


async def signal_sagas(address: str) -> dict[str, Any]:
    took: list[float] = []
    ended: list[float] = []
    errors: Counter[str] = Counter()
    async with Orchestrator(address, sagas=SAGAS, worker=False) as orchestrator:

        async def there_and_back() -> None:
            try:
                handle = await orchestrator.start("asked", {})
                began = time.perf_counter()
                if not await orchestrator.signal(handle.id, "go", {}):
                    errors["a signal stayed queued"] += 1
                took.append(time.perf_counter() - began)
                await handle.result()
                ended.append(time.perf_counter() - began)
            except Exception as error:
                errors[f"{type(error).__name__}: {error}"] += 1

        for _ in range(QUIET):
            await there_and_back()
        quiet, took, ended = (took, ended), [], []
        over = await go()
        while not over.done():
            await there_and_back()
    return {"took": took, "ended": ended, "errors": errors, "quiet": quiet}


async def go() -> asyncio.Future[str]:
    """Say that we are ready, wait for the start; what is returned is done when it is over."""
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    return asyncio.ensure_future(asyncio.to_thread(sys.stdin.readline))


def child(role: str, address: str, name: str, starts: int, in_flight: int) -> None:
    work = {
        "run": lambda: run_sagas(address),
        "start": lambda: start_sagas(address, name, starts, in_flight),
        "look": lambda: look_at_sagas(address),
        "signal": lambda: signal_sagas(address),
    }[role]
    answer = asyncio.run(work())
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({**answer, "cpu": used.ru_utime + used.ru_stime}), flush=True)


class Child:
    """One process of ours."""

    def __init__(self, role: str, address: str, name: str, arguments: argparse.Namespace) -> None:
        self.role = role
        command = [sys.executable, __file__, "--child", role, "--store", address, "--name", name]
        command += ["--starts", str(arguments.starts), "--in-flight", str(arguments.in_flight)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def tell(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        out, _ = self.process.communicate()
        found: dict[str, Any] = json.loads(out.splitlines()[-1])
        return found


async def until_ended(store: SQLiteStore) -> None:
    while await store.open_sagas(after=0, due_from=0, due_before=ASLEEP, limit=1):  # noqa: ASYNC110 -- others write
        await asyncio.sleep(0.05)


async def audit(address: str, acknowledged: dict[str, str]) -> int:
    """Every acknowledged start is there once, under its key, and has completed; how many sagas there are."""
    async with Orchestrator(address, worker=False) as orchestrator:
        views = [view async for view in orchestrator.list(name="order")]
        found = {view.key: view for view in views}
        assert len(found) == len(views), "two sagas have one key"
        for key, saga_id in acknowledged.items():
            assert found[key].id == saga_id, f"the start of {key} was lost or doubled"
            assert found[key].status == "completed", f"{key} is {found[key].status}"
    return len(found)


def percentiles(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    if not ordered:
        return "-"
    p50, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1_000 for part in (0.5, 0.99))
    return f"p50 {p50:8.1f}   p99 {p99:8.1f}   max {ordered[-1] * 1_000:8.1f}   ({len(ordered)})"


def measure(arguments: argparse.Namespace, folder: str) -> None:
    address = f"sqlite:///{Path(folder, 'many.db')}"
    runner = Child("run", address, "r", arguments)
    signaller = Child("signal", address, "v", arguments)
    starters = [Child("start", address, f"s{at}", arguments) for at in range(arguments.starters)]
    others = [Child("look", address, "l", arguments) for _ in range(arguments.lookers)]
    others.append(signaller)
    began = time.perf_counter()
    for each in (*starters, *others):
        each.tell()
    answers = [each.answer() for each in starters]
    started = time.perf_counter() - began
    for each in others:
        each.tell()
    looked = [each.answer() for each in others]
    store = SQLiteStore(address.removeprefix("sqlite:///"))

    async def wait() -> None:
        await store.open()
        await until_ended(store)
        store.close()

    asyncio.run(wait())
    ended = time.perf_counter() - began
    runner.tell()
    ran = runner.answer()
    acknowledged = {key: each for answer in answers for key, each in answer["started"].items()}
    total = asyncio.run(audit(address, acknowledged))
    *lookers, signals = looked
    errors = sum((Counter(answer["errors"]) for answer in (*answers, *looked)), Counter())
    print(f"{arguments.starters} starters x {arguments.starts}, {arguments.in_flight} in flight each, "
          f"{arguments.lookers} lookers, one runner, {os.cpu_count()} processors")  # fmt: skip
    print(f"started     {len(acknowledged) / started:8.0f} /s")
    print(f"completed   {total / ended:8.0f} /s")
    print(f"start       {percentiles([each for answer in answers for each in answer['took']])}")
    print(f"look        {percentiles([each for answer in lookers for each in answer['took']])}")
    print(f"signal      {percentiles(signals['quiet'][0])}   before the load")
    print(f"  to result {percentiles(signals['quiet'][1])}")
    print(f"signal      {percentiles(signals['took'])}   under load")
    print(f"  to result {percentiles(signals['ended'])}")
    print(f"processor   runner {ran['cpu']:.1f} s, starters {sum(a['cpu'] for a in answers):.1f} s, "
          f"lookers {sum(a['cpu'] for a in lookers):.1f} s")  # fmt: skip
    print(f"errors      {sum(errors.values())}")
    for said, times in errors.most_common(5):
        print(f"  {times} x {said}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starters", type=int, default=4)
    parser.add_argument("--lookers", type=int, default=2)
    parser.add_argument("--starts", type=int, default=1_500)
    parser.add_argument("--in-flight", type=int, default=8)
    parser.add_argument("--child", default="")
    parser.add_argument("--store", default="")
    parser.add_argument("--name", default="")
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.store, arguments.name, arguments.starts, arguments.in_flight)
        return
    with tempfile.TemporaryDirectory() as folder:
        measure(arguments, folder)


if __name__ == "__main__":
    main()
