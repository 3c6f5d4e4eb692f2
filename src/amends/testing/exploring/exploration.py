"""An exploration: what is still to be tried, what was, and what was found.

    while (scenarios := exploration.take(20)):
        for trial in map(lab.trial, scenarios):
            exploration.note(trial)

Breadth first: all scenarios with one fault come before those with two, so the first that shows a failure has as few
faults as can be.

Rules of this file: it runs nothing. It can be written down at any moment, and taken up again by another process.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

from ...core.definition import Saga
from ...core.graph import Kind
from ...errors import UsageError
from .case import Case
from .findings import Failure, Verified
from .judging import Wrong
from .lab import Lab, Trial
from .planning import Cell, Plan, cell_of
from .scenario import Scenario, parse

_FORMAT = 1
_AT_THE_EDGE = frozenset({"SG009", "SG011", "SG012"})  # what is so of the whole call is so of each call within it
_ONE_IS_ENOUGH = frozenset({"case", "promise", "nothing twice"})  # however it comes about, it is one mistake


class Exploration:
    """One saga with one case.

    Parameters:
        saga: the definition.
        case: what it is verified with.
        depth: how many faults a run has at most.

    Raises:
        UsageError: AM2573, a depth that cannot be.
    """

    def __init__(self, saga: Saga[Any, Any], case: Case, *, depth: int = 2) -> None:
        if not isinstance(depth, int) or not 1 <= depth <= 4:
            raise UsageError(f"depth={depth!r}: how many faults may one run have? Give 1 to 4", code="AM2573")
        self.saga = saga
        self.case = case
        self.depth = depth
        self.runs = 0
        self.failures: dict[tuple[str, str, str], Failure] = {}
        self.stopped = ""  # why it was given up, when that was not for time
        self._waiting = deque(Scenario(number) for number in range(1, len(case.inputs) + 1))
        self._taken: deque[Scenario] = deque()  # and not noted yet
        self._plan = Plan(saga.graph, beside=not case.network)
        self._planned: set[Cell] = set()
        self._tried: set[Cell] = set()
        self._seen: set[Cell] = set()

    @property
    def left(self) -> int:
        """How many scenarios are known and not run."""
        return len(self._waiting) + len(self._taken)

    def take(self, most: int) -> list[Scenario]:
        """The next scenarios to try, of one depth; none when none is known, which may be until trials are noted."""
        taken: list[Scenario] = []
        while self._waiting and len(taken) < most:
            taken.append(self._waiting.popleft())
        self._taken.extend(taken)
        return taken

    def note(self, trial: Trial) -> list[Wrong]:
        """Note what became of a scenario; what is wrong with it and was not known."""
        self.runs += 1
        assert self._taken.popleft() == trial.scenario, "trials are noted in the order in which they were taken"
        scenario = trial.scenario
        self._seen |= self._plan.seen(trial)
        self._tried |= {cell_of(fault) for fault in scenario.faults if trial.met(fault)}
        if trial.wrong:  # what comes behind it would only show the same again
            return [wrong for wrong in trial.wrong if self._is_new(wrong, scenario)]
        self._plan_behind(trial)
        return []

    def _plan_behind(self, trial: Trial) -> None:
        """The scenarios with one fault more; where that would be one too many, those of points not tried before."""
        scenario = trial.scenario
        if len(scenario.faults) < self.depth:
            self._waiting.extend(self._plan.following(trial))
        for fault, point in self._plan.turnings(trial):
            if point not in self._planned:
                self._planned.add(point)
                if len(scenario.faults) >= self.depth or (scenario.faults and not fault.row.last):
                    self._waiting.append(scenario.then(fault))

    def add(self, wrong: Wrong, trial: Trial) -> None:
        """Keep a failure, by the scenario of this trial."""
        self.failures.setdefault(self._key(wrong, trial.scenario), failure_of(wrong, trial))

    @staticmethod
    def _key(wrong: Wrong, scenario: Scenario) -> tuple[str, str, str]:
        """What is one mistake: the same check, of the same step, by ways that the same rule is about."""
        if wrong.rule or wrong.check in _ONE_IS_ENOUGH:
            return wrong.check, wrong.step, wrong.rule
        last = scenario.faults[-1].path if scenario.faults else ""
        return wrong.check, wrong.step or last, rule_of(scenario)

    def _is_new(self, wrong: Wrong, scenario: Scenario) -> bool:
        check, step, _ = key = self._key(wrong, scenario)
        if key in self.failures:
            return False
        alike = {known[2] for known in self.failures if known[:2] == (check, step)}
        if "" in alike:  # it is so however the saga turns back: whatever else leads there shows nothing new
            return False
        told = scenario.faults and scenario.faults[-1].row.rule
        if any(fault.row.within and fault.way != "other" for fault in scenario.faults):
            return not alike & _AT_THE_EDGE
        return bool(told) or not alike

    def verified(self, lab: Lab) -> Verified:
        """What it came to, so far."""
        points = self._plan.possible | self._seen
        return Verified(
            self.saga.name, self.saga.version, self.depth, self.runs, self.left,
            len(self._tried & points), len(points), tuple(self._unreached()), tuple(self.failures.values()),
            tuple(self._notes(lab)),
        )  # fmt: skip

    def _unreached(self) -> list[str]:
        """Actions, compensations, ... that no run came by."""
        came_by = {(op, path) for op, path, _ in self._seen}
        missing = dict.fromkeys((op, path) for op, path, _ in sorted(self._plan.possible))
        return [
            f"{path}" if op == "action" else f"the {op} of {path}" for op, path in missing if (op, path) not in came_by
        ]

    def _notes(self, lab: Lab) -> list[str]:
        notes = [self.stopped] if self.stopped else []
        if not (lab.recorders or self.case.invariants or self.case.has_state):
            notes.append(
                "nothing tells whether an effect stands: the case has no invariant, no state, and no Recorder; only "
                "ends were judged"
            )
        given = {name for each in self.case.inputs for name in self.case.signals_for(each)}
        waits = [node.path for node in self.saga.graph.nodes if node.kind is Kind.WAIT]
        notes += [
            f"the case has no signal {path.rpartition('/')[2]}: its wait can only time out"
            for path in waits
            if not {path, path.rpartition("/")[2]} & given
        ]
        if self.case.network:
            notes.append("no other saga ran beside one, for the services are shared by all")
        notes += [
            f"{name} lets nothing look at its calls; nothing went wrong inside the functions that call it"
            for name in sorted(lab.untapped)
        ]
        return notes

    # --- written down ----------------------------------------------------------------------------------------

    def saved(self) -> dict[str, Any]:
        """It as plain JSON."""
        return {
            "format": _FORMAT, "saga": self.saga.name, "version": self.saga.version,
            "fingerprint": self.saga.fingerprint, "inputs": len(self.case.inputs), "depth": self.depth,
            "runs": self.runs, "waiting": [str(each) for each in (*self._taken, *self._waiting)],
            "tried": sorted(self._tried), "seen": sorted(self._seen), "planned": sorted(self._planned),
            "failures": [failure.record() for failure in self.failures.values()],
        }  # fmt: skip

    def take_up(self, saved: dict[str, Any]) -> None:
        """Go on where it was written down.

        Raises:
            UsageError: AM2574, that was another saga, case or depth.
        """
        mine = self.saved()
        for name in ("format", "saga", "version", "fingerprint", "inputs", "depth"):
            if saved.get(name) != mine[name]:
                raise UsageError(
                    f"it was saved for {name} {saved.get(name)!r}, and this is {mine[name]!r}; begin anew with another "
                    f"file",
                    code="AM2574",
                )
        self.runs = saved["runs"]
        self._waiting = deque(parse(text) for text in saved["waiting"])
        self._tried = {tuple(each) for each in saved["tried"]}
        self._seen = {tuple(each) for each in saved["seen"]}
        self._planned = {tuple(each) for each in saved["planned"]}
        for record in saved["failures"]:
            failure = Failure.of(record)
            scenario = parse(failure.scenario)
            wrong = Wrong(failure.check, failure.step, failure.what, failure.rule)
            self.failures[self._key(wrong, scenario)] = failure


def rule_of(scenario: Scenario) -> str:
    """What a failure by a scenario is about: a fault within a function says most, then the last one with a rule."""
    within = [each.row.rule for each in scenario.faults if each.row.within]
    rules = [rule for rule in within or [each.row.rule for each in scenario.faults] if rule]
    return rules[-1] if rules else ""


def failure_of(wrong: Wrong, trial: Trial) -> Failure:
    """One thing that is wrong with a trial, with its story."""
    faults = trial.scenario.faults
    rule = wrong.rule or rule_of(trial.scenario)
    story = tuple(fault.said for fault in faults)
    return Failure(wrong.check, wrong.step, wrong.what, rule, str(trial.scenario), story, trial.timeline)


def shortest(lab: Lab, trial: Trial, wrong: Wrong) -> tuple[Trial, Wrong]:
    """The same failure with as few faults as can be, each of them as early as can be."""
    smaller = wrong.check != "case"  # what ends its process would end this one
    while smaller:
        smaller = False
        for scenario in _smaller(trial.scenario):
            tried = lab.trial(scenario)
            same = next((each for each in tried.wrong if (each.check, each.step) == (wrong.check, wrong.step)), None)
            if same is not None:
                trial, wrong, smaller = tried, same, True
                break
    return trial, wrong


def _smaller(scenario: Scenario) -> list[Scenario]:
    """It without one of its faults: what was a second call for that fault's sake is a first one then."""
    smaller = []
    for number, gone in enumerate(scenario.faults):
        rest = scenario.faults[:number] + scenario.faults[number + 1 :]
        earlier = tuple(
            replace(each, call=each.call - 1)
            if each.call > 1 and (each.op, each.path) == (gone.op, gone.path)
            else each
            for each in rest
        )
        smaller += [Scenario(scenario.input, faults) for faults in dict.fromkeys([rest, earlier]) if faults]
    return smaller
