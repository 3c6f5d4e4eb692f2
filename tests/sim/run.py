"""Run many seeds, and say what they hit.

    python -m tests.sim.run --seeds 2000                 as CI does; exit 1 when a promise was broken
    python -m tests.sim.run --seeds 1 --start 17 --trace one seed, with all that happened in it

Every 50th seed is run twice and must give the same trace. With 1,000 seeds or more, every
sometimes-assertion must have been hit: a run that never came by one has proven nothing about it.
"""

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from amends.testing.simulation import MARKS, Outcome, simulate

WORKERS = 2
TWICE = 50
MARKS_FROM = 1_000  # seeds; fewer cannot be expected to come by everything


@dataclass
class Total:
    """What all seeds gave together."""

    seeds: int = 0
    sagas: int = 0
    frames: int = 0
    virtual_s: float = 0.0
    twice: int = 0
    marks: Counter[str] = field(default_factory=Counter)
    fired: Counter[str] = field(default_factory=Counter)
    failures: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.sagas += outcome.sagas
        self.frames += outcome.frames
        self.virtual_s += outcome.virtual_s
        self.twice += outcome.seed % TWICE == 0
        self.marks += outcome.marks
        self.fired += outcome.fired
        if outcome.broken:
            self.failures.append(outcome)

    @property
    def missed(self) -> list[str]:
        """The sometimes-assertions that no seed hit."""
        return [name for name in MARKS if not self.marks[name]]


def one(seed: int) -> Outcome:
    """One seed; every 50th twice."""
    outcome = simulate(seed)
    if seed % TWICE == 0:
        again = simulate(seed)
        if again.digest != outcome.digest:
            outcome.broken.append("run twice, the seed gave two traces: something is decided by no seed")
    return outcome


def run(seeds: int, start: int = 1, *, failures_max: int = 5) -> Total:
    """Run seeds `start` to `start + seeds - 1` on two processes."""
    total = Total()
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
        for outcome in pool.imap_unordered(one, range(start, start + seeds), chunksize=10):
            total.add(outcome)
            if len(total.failures) >= failures_max:
                pool.terminate()
                break
    return total


def command(seed: int) -> str:
    """What repeats a seed, readably."""
    return f"python -m tests.sim.run --seeds 1 --start {seed} --trace"


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")


def show(seed: int) -> int:
    """One seed, with its trace."""
    outcome = simulate(seed, keep=True)
    tell("\n".join(outcome.lines))
    tell(f"seed {seed}: {outcome.sagas} sagas, {outcome.frames} frames, {outcome.virtual_s:.0f} s")
    tell(f"trace {outcome.digest}")
    for promise in outcome.broken:
        tell(f"BROKEN {promise}")
    return 1 if outcome.broken else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2_000)
    parser.add_argument("--start", type=int, default=1)
    parser.add_argument("--trace", action="store_true", help="print all that happened; for a single seed")
    parser.add_argument("--marks", action="store_true", help="print how often each sometimes-assertion was hit")
    given = parser.parse_args()
    if given.trace:
        return show(given.start)
    began = time.perf_counter()
    total = run(given.seeds, given.start)
    took = time.perf_counter() - began
    tell(
        f"{total.seeds} seeds in {took:.0f} s ({total.seeds / took:.0f}/s): {total.sagas} sagas, "
        f"{total.frames} frames, {sum(total.fired.values())} faults, {total.virtual_s / 3600:.1f} virtual hours, "
        f"{total.twice} seeds run twice"
    )
    if given.marks:
        for name in MARKS:
            tell(f"{total.marks[name]:8}  {name}")
    for outcome in total.failures:
        tell(f"seed {outcome.seed}: {outcome.broken[0]}\n    {command(outcome.seed)}")
    missed = total.missed if given.seeds >= MARKS_FROM else []
    for name in missed:
        tell(f"never hit: {name} ({MARKS[name]})")
    return 1 if total.failures or missed else 0


if __name__ == "__main__":
    sys.exit(main())
