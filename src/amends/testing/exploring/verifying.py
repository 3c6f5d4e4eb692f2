"""`verify_saga` and `replay`: a saga's own functions, run through everything that can go wrong.

    def test_place_order():
        verify_saga(place_order, case)

    def test_a_lost_answer():
        replay(place_order, case, "action charge_card unanswered")

Rules of this file: it plans nothing and judges nothing. What is found is raised as an AssertionError that tells the
story.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from ...core.definition import Saga
from ...errors import UsageError
from ...policies.durations import Duration, milliseconds
from .case import Case
from .exploration import Exploration, failure_of, shortest
from .findings import Failure, Verified, failure_lines
from .lab import Lab, Trial
from .scenario import parse

AT_A_TIME = 16
Tell = Callable[[Exploration], None]


def verify_saga(saga: Saga[Any, Any], case: Case, *, depth: int = 2, max_time: Duration | None = None) -> Verified:
    """Run a saga through every failure, and raise what is found.

    Parameters:
        saga: what `Saga(...)` made.
        case: what it is run with, and what must hold.
        depth: how many faults one run has at most, 1 to 4.
        max_time: how long it may take, of real time; None for as long as it takes. What is left then is in the
            result's `left`.

    Returns:
        what was explored.

    Raises:
        AssertionError: something is wrong; its text has a story for each thing, and the scenario that brings it back.
        UsageError: the case cannot be.
    """
    __tracebackhide__ = True
    exploration = Exploration(saga, case, depth=depth)
    until = None if max_time is None else time.monotonic() + milliseconds(max_time, what="max_time") / 1_000
    verified = explore(exploration, Lab(saga, case), until=until)
    if verified.failures:
        raise AssertionError("\n".join(verified.lines()))
    return verified


def replay(saga: Saga[Any, Any], case: Case, scenario: str, *, whole: bool = True) -> None:
    """Run one scenario, and raise what is wrong with it.

    Parameters:
        saga: what `Saga(...)` made.
        case: what it is run with, and what must hold.
        scenario: its text, as a failure shows it.
        whole: with False, faults that do not come about are passed over.

    Raises:
        AssertionError: something is wrong, or the scenario does not come about any more.
        UsageError: it is no scenario.
    """
    __tracebackhide__ = True
    try:
        failures, _ = replayed(Lab(saga, case), scenario, whole=whole)
    except UsageError as error:
        if error.code != "AM2578":
            raise
        raise AssertionError(f"{error.message}; if that is as it should be, take the test away") from None
    if failures:
        raise AssertionError("\n".join(line for failure in failures for line in failure_lines(failure)))


def replayed(lab: Lab, scenario: str, *, whole: bool = True) -> tuple[list[Failure], tuple[str, ...]]:
    """What is wrong with a scenario's run, and the saga's timeline.

    Raises:
        UsageError: it is no scenario; AM2578, it does not come about.
    """
    wanted = parse(scenario)
    trial = lab.trial(wanted, told=True)
    gone = [str(fault) for fault in wanted.faults if not trial.met(fault)]
    if gone and whole and not any(wrong.check == "case" for wrong in trial.wrong):
        raise UsageError(f"{lab.saga.name}: {gone[0]} does not come about", code="AM2578")
    return [failure_of(wrong, trial) for wrong in trial.wrong], trial.timeline


def explore(exploration: Exploration, lab: Lab, *, until: float | None = None, tell: Tell = lambda _: None) -> Verified:
    """Run what an exploration knows of, in this process, until nothing is left or time is over.

    Parameters:
        until: by `time.monotonic()`; None for no end.
        tell: called now and then.

    Raises:
        UsageError: the case cannot be.
    """
    lab.look()
    while until is None or time.monotonic() < until:
        scenarios = exploration.take(AT_A_TIME)
        if not scenarios:
            break
        note(exploration, lab, map(lab.trial, scenarios))
        tell(exploration)
    return exploration.verified(lab)


def note(exploration: Exploration, lab: Lab, trials: Iterable[Trial]) -> None:
    """Note trials; of what is wrong and was not known, the shortest scenario is looked for."""
    for trial in trials:
        for wrong in exploration.note(trial):
            short, same = shortest(lab, trial, wrong)
            exploration.add(same, short)
