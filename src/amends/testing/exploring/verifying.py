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
from ...policies.durations import Duration, milliseconds
from .case import Case
from .exploration import Exploration, shortest
from .findings import Failure, Verified, failure_lines
from .lab import Lab, Trial
from .scenario import parse

_AT_A_TIME = 16
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


def replay(saga: Saga[Any, Any], case: Case, scenario: str) -> None:
    """Run one scenario, and raise what is wrong with it.

    Parameters:
        saga: what `Saga(...)` made.
        case: what it is run with, and what must hold.
        scenario: its text, as a failure shows it.

    Raises:
        AssertionError: something is wrong, or the scenario does not come about any more.
        UsageError: it is no scenario.
    """
    __tracebackhide__ = True
    wanted = parse(scenario)
    trial = Lab(saga, case).trial(wanted)
    gone = [str(fault) for fault in wanted.faults if not _came(trial, fault)]
    if gone:
        raise AssertionError(
            f"{saga.name}: {gone[0]} does not come about any more; if that is as it should be, take the test away"
        )
    if trial.wrong:
        raise AssertionError("\n".join(_told(trial)))


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
        scenarios = exploration.take(_AT_A_TIME)
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


def _came(trial: Trial, fault: Any) -> bool:
    if not fault.at:
        return str(fault) in trial.came
    return any(
        (place.op, place.path, place.call) == (fault.op, fault.path, fault.call) and place.doubles >= fault.at
        for place in trial.places
    )


def _told(trial: Trial) -> list[str]:
    lines: list[str] = []
    for wrong in trial.wrong:
        failure = Failure(
            wrong.check, wrong.step, wrong.what, wrong.rule, str(trial.scenario),
            tuple(fault.said for fault in trial.scenario.faults), trial.timeline,
        )  # fmt: skip
        lines += failure_lines(failure)
    return lines
