"""The laboratory: tries scenarios on a saga, one after the other, and says what became of each.

Rules of this file: a `Trial` is plain data, so that it may come from another process; whoever plans needs nothing else.
What is compared with a run where all goes well is compared with one of this process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ...core.definition import Saga
from ...core.state import SagaState
from ...errors import UsageError
from .case import Case
from .judging import Reference, Wrong, judge, recorders_in, reference_of
from .running import Point
from .sandbox import Props, Ran, Sandbox
from .scenario import Fault, Scenario
from .watchdog import REAL_S, TakesRealTime, watched
from .ways import ACTION


@dataclass(frozen=True, slots=True)
class Place:
    """A call, wait or sleep that a run came by, and at which the next one may turn off.

    Attributes:
        op, path, call: which one.
        node: its index in the graph.
        doubles: how many calls of doubles it made.
        free: whether something may go wrong there that did not yet.
    """

    op: str
    path: str
    call: int
    node: int
    doubles: int
    free: bool


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one scenario.

    Attributes:
        scenario: which.
        places: where it came by.
        came: the texts of its faults that came about.
        status: how the saga ended, "" when it did not.
        wrong: all that is wrong with it.
        timeline: the saga's, when something is wrong.
    """

    scenario: Scenario
    places: tuple[Place, ...]
    came: tuple[str, ...]
    status: str
    wrong: tuple[Wrong, ...]
    timeline: tuple[str, ...]

    def met(self, fault: Fault) -> bool:
        """Whether a fault of its scenario came about."""
        if not fault.at:
            return str(fault) in self.came
        call = (fault.op, fault.path, fault.call)
        return any((each.op, each.path, each.call) == call and each.doubles >= fault.at for each in self.places)


class Lab:
    """Tries scenarios.

    Parameters:
        saga: the definition.
        case: what it is verified with.
        real_s: how long one run may take, in seconds of real time.
    """

    def __init__(self, saga: Saga[Any, Any], case: Case, *, real_s: float = REAL_S) -> None:
        self.saga = saga
        self.case = case
        self.untapped: set[str] = set()
        self.recorders = False
        self._props = Props(saga, case)
        self.real_s = real_s
        self._references: dict[int, Reference | None] = {}

    def look(self) -> None:
        """Look at the case's doubles once: which tell of their calls, and whether one records.

        Raises:
            UsageError: AM2570.
        """
        doubles = self.case.doubles()
        self.recorders = bool(recorders_in(doubles))
        self.untapped = {type(each).__name__ for each in doubles if not self._props.taps.on(each)}

    def trial(self, scenario: Scenario, *, told: bool = False) -> Trial:
        """Run a scenario, and judge it.

        Parameters:
            told: whether the timeline is wanted, also where nothing is wrong.

        Raises:
            UsageError: AM2570, AM2571, the case or the scenario cannot be.
        """
        if not 1 <= scenario.input <= len(self.case.inputs):
            raise UsageError(f"scenario {str(scenario)!r}: the case has {len(self.case.inputs)} inputs", code="AM2571")
        try:
            with watched(self.real_s):
                return self._tried(scenario, told=told)
        except TakesRealTime as late:
            where = f", at {late.where}" if late.where else ""
            what = f"one run takes more than {self.real_s:g} s of real time{where}: does something really wait there?"
        except SystemExit as error:
            what = f"it ends the process: SystemExit({error.code!r})"
        return Trial(scenario, (), (), "", (Wrong("case", "", what),), ())

    def _tried(self, scenario: Scenario, *, told: bool) -> Trial:
        reference = self._reference(scenario.input) if scenario.faults else None
        ran = self._run(scenario)
        if not scenario.faults:
            self._references[scenario.input] = reference_of(ran)
        wrong = judge(self.case, ran, reference)
        if ran.others and self.case.has_state:
            wrong += self._unlike_any_order(ran)
        status = str(ran.state.status) if ran.state is not None and not ran.unending else ""
        return Trial(
            scenario, tuple(_places(ran)), tuple(ran.came), status, tuple(wrong),
            tuple(_timeline(self._run(scenario, told=True))) if wrong or told else (),
        )  # fmt: skip

    def _run(self, scenario: Scenario, beside: Literal["", "first", "last"] = "", *, told: bool = False) -> Ran:
        deadline_ms = self._deadline_in(scenario)
        with self._props.staged() as staged:
            return Sandbox(self._props, staged, scenario, beside=beside, told=told, deadline_ms=deadline_ms).run()

    def _deadline_in(self, scenario: Scenario) -> int:
        """A deadline that passes in the call, wait or sleep that the scenario wants it to; 0 when it wants none.

        When that begins is known from a run with the faults before it. For the definition's own deadline may be a
        day, and no call takes as long.
        """
        for number, fault in enumerate(scenario.faults):
            if fault.way not in ("deadline", "deadline-before"):
                continue
            before = self._run(Scenario(scenario.input, scenario.faults[:number]))
            for point in before.points:
                if (point.op, point.path, point.call) == (
                    fault.op,
                    fault.path,
                    fault.call,
                ) and before.state is not None:
                    return point.at_ms + _margin_ms(before.state, point)
        return 0

    def _reference(self, number: int) -> Reference | None:
        if number not in self._references:
            self._references[number] = reference_of(self._run(Scenario(number)))
        return self._references[number]

    def _unlike_any_order(self, ran: Ran) -> list[Wrong]:
        """Two sagas at a time must leave what they leave one after the other, in one of the two orders."""
        faults = tuple(fault for fault in ran.scenario.faults if fault.way != "other")
        apart = [self._run(Scenario(ran.scenario.input, faults), order) for order in ("first", "last")]
        alike = [each for each in apart if _statuses(each) == _statuses(ran)]
        if not alike or any(each.after == ran.after for each in alike):
            return []
        after = " or ".join(dict.fromkeys(repr(each.after) for each in alike))
        return [Wrong("state", "", f"two sagas at a time leave {ran.after!r}; one after the other they leave {after}")]


def _margin_ms(state: SagaState, point: Point) -> int:
    """How long after its beginning the deadline passes: well before a call's own timeout, or a wait's end."""
    index = state.find(point.path)
    if point.op != ACTION or index < 0:
        return 1
    return max(1, min(1_000, state.policy_of(index).timeout_ms // 2))


def _statuses(ran: Ran) -> list[object]:
    return [each.state.status if each.state is not None else None for each in (ran, *ran.others)]


def _places(ran: Ran) -> list[Place]:
    state = ran.state
    if state is None:
        return []
    faults = {(fault.op, fault.path, fault.call) for fault in ran.scenario.faults}
    return [_place(state, point, faults) for point in ran.points]


def _place(state: SagaState, point: Point, faults: set[tuple[str, str, int]]) -> Place:
    index = state.find(point.path)
    node = state.nodes[index].index if index >= 0 else -1
    free = not (point.held or point.again or index < 0 or (point.op, point.path, point.call) in faults)
    return Place(point.op, point.path, point.call, node, len(point.doubles), free)


def _timeline(ran: Ran) -> list[str]:
    """As `amends show` draws it; without rich, the history."""
    if ran.view is None:
        return []
    from ..asserting import drawn

    return drawn(ran.view, ran.history, ran.view.updated_at)
