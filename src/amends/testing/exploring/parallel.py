"""An exploration in several processes, each with a laboratory of its own.

Rules of this file:
  * Trials are noted in the order in which their scenarios were taken, so what is found does not depend on who was
    faster.
  * Processes are spawned, and load saga and case anew: nothing is inherited that one could see another by.
  * A process that ends in the middle of a run takes that run's scenario with it, and no other one.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context
from typing import Any

from ...core.definition import Saga
from .case import Case
from .exploration import Exploration
from .findings import Verified
from .judging import Wrong
from .lab import Lab, Trial
from .scenario import Scenario
from .verifying import AT_A_TIME, Tell, note

Load = Callable[[], tuple[Saga[Any, Any], Case]]  # must be picklable
_DEATHS_MAX = 3  # of processes: each takes a second to replace, and one is told of like the other
_AHEAD = 3  # batches that each process has before it

_lab: Lab | None = None  # of this process, when it is one of those that try


def explore_in_processes(
    exploration: Exploration,
    lab: Lab,
    load: Load,
    jobs: int,
    *,
    until: float | None = None,
    tell: Tell = lambda _: None,
) -> Verified:
    """Run what an exploration knows of, in several processes, until nothing is left or time is over.

    Parameters:
        lab: this process's own, for what is looked at again.
        load: gives saga and case, in each process.
        jobs: how many processes.
        until: by `time.monotonic()`; None for no end.
        tell: called now and then.
    """
    with _Processes(load, jobs, lab.real_s) as processes:
        while True:
            while len(processes.waiting) < jobs * _AHEAD and (until is None or time.monotonic() < until):
                scenarios = exploration.take(AT_A_TIME)
                if not scenarios:
                    break
                processes.submit(scenarios)
            if not processes.waiting:
                return exploration.verified(lab)
            note(exploration, lab, processes.next_trials())
            tell(exploration)
            if processes.deaths >= _DEATHS_MAX:
                exploration.stopped = f"given up: {processes.deaths} runs ended their process"
                return exploration.verified(lab)


class _Processes:
    """The processes, and what they were given, in its order."""

    def __init__(self, load: Load, jobs: int, real_s: float) -> None:
        self.waiting: deque[tuple[list[Scenario], Future[list[Trial]]]] = deque()
        self.deaths = 0
        self._load = load
        self._jobs = jobs
        self._real_s = real_s
        self._pool = self._begin()

    def __enter__(self) -> _Processes:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None or self.deaths:
            _kill_all()
        self._pool.shutdown(cancel_futures=True)

    def _begin_again(self) -> ProcessPoolExecutor:
        _kill_all()
        self._pool.shutdown(cancel_futures=True)
        return self._begin()

    def _begin(self) -> ProcessPoolExecutor:
        spawned = get_context("spawn")
        return ProcessPoolExecutor(self._jobs, spawned, initializer=_enter, initargs=(self._load, self._real_s))

    def submit(self, scenarios: list[Scenario]) -> None:
        """Give them to a process."""
        try:
            future = self._pool.submit(_try, scenarios)
        except BrokenProcessPool as broken:  # since the last look: told when their turn comes, as if it had begun
            future = Future()
            future.set_exception(broken)
        self.waiting.append((scenarios, future))

    def next_trials(self) -> list[Trial]:
        """What became of the scenarios that were submitted first."""
        scenarios, future = self.waiting.popleft()
        try:
            return future.result()
        except BrokenProcessPool:
            later = [each for each, _ in self.waiting]
            self.waiting.clear()
            trials = list(self._one_by_one(scenarios))
            for each in later:
                self.submit(each)
            return trials

    def _one_by_one(self, scenarios: list[Scenario]) -> Iterator[Trial]:
        """Each alone, so that the one that ends its process is known."""
        self._pool = self._begin_again()
        for scenario in scenarios:
            try:
                yield from self._pool.submit(_try, [scenario]).result()
            except BrokenProcessPool:
                self.deaths += 1
                self._pool = self._begin_again()
                what = "it ends the process in the middle of a run (os._exit, a signal, or no memory left)"
                yield Trial(scenario, (), (), "", (Wrong("case", "", what),), ())


def _kill_all() -> None:
    """End the processes that try: a pool that broke may leave one behind, which would keep this one from ending."""
    for child in active_children():
        child.kill()


def _enter(load: Load, real_s: float) -> None:
    global _lab  # noqa: PLW0603 -- a process that tries has one, and its initializer can leave it nowhere else
    sys.stdout = sys.stderr  # standard output is the first process's, for what is found
    saga, case = load()
    _lab = Lab(saga, case, real_s=real_s)
    _lab.look()


def _try(scenarios: list[Scenario]) -> list[Trial]:
    assert _lab is not None, "the initializer has made it"
    return [_lab.trial(scenario) for scenario in scenarios]
