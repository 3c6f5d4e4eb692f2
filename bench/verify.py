"""What `amends verify` costs: runs of a saga of six steps with doubles, by one fault and by two, in 1 and 2 processes.

    python bench/verify.py

The yardstick is the same saga run once, without faults, on the same store and virtual time, in the same process: what
a scenario costs beyond that is recovery, retries, judging and planning.
"""

from __future__ import annotations

import functools
import os
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from amends import Context, Saga, step
from amends.testing import Case, Recorder
from amends.testing.exploring.exploration import Exploration
from amends.testing.exploring.lab import Lab
from amends.testing.exploring.parallel import explore_in_processes
from amends.testing.exploring.scenario import Scenario
from amends.testing.exploring.verifying import explore

STEPS, PLAIN_RUNS = 6, 200


@dataclass
class Order:
    id: str


class Bank:
    def __init__(self) -> None:
        self.recorder = Recorder()

    async def charge(self, key: str) -> str:
        return await self.recorder.apply(key, "receipt")

    async def refund(self, key: str) -> None:
        await self.recorder.undo(key)


def one(number: int) -> Any:
    """A step, with what undoes it."""

    @step(name=f"step_{number}")
    async def act(order: Order, bank: Bank, ctx: Context) -> str:
        return await bank.charge(ctx.idempotency_key)

    @act.compensation
    async def undo(bank: Bank, ctx: Context) -> None:
        await bank.refund(ctx.action_key)

    return act


saga = Saga("six", *map(one, range(STEPS)), input=Order, resources=[Bank], deadline="1h")
case = Case(Order("o-1"), resources=[Bank])


def load() -> tuple[Saga[Any, Any], Case]:
    """Saga and case, in each process."""
    return saga, case


def main() -> None:
    """Measure and print."""
    lab = Lab(saga, case)
    lab.trial(Scenario())
    plain = []
    for _ in range(PLAIN_RUNS):
        began = time.perf_counter()
        lab.trial(Scenario())
        plain.append(time.perf_counter() - began)
    run_s = statistics.median(plain)
    print(f"one run without faults   {run_s * 1e3:6.2f} ms")
    for depth in (1, 2):
        for jobs in (1, 2):
            exploration, lab = Exploration(saga, case, depth=depth), Lab(saga, case)
            lab.look()
            how = explore if jobs == 1 else functools.partial(explore_in_processes, load=load, jobs=jobs)
            began = time.perf_counter()
            verified = how(exploration, lab)
            took = time.perf_counter() - began
            assert verified.whole
            assert not verified.failures
            print(
                f"depth {depth}, {jobs} process{'es' if jobs > 1 else '  '}   {verified.runs:6,} runs  {took:6.2f} s  "
                f"{verified.runs / took:6,.0f}/s   a run costs {took / verified.runs / run_s:.2f} plain ones"
            )
    print(f"on {os.cpu_count()} CPUs; {verified.tried} of {verified.points} points")


if __name__ == "__main__":
    main()
