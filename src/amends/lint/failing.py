"""One failure of one saga, driven to its end: to a point, failed there, everything after it answered well.

What lies on the way is taken as done: steps beside the point too, whatever branch they stand in. An `each` has two
items and the point is in the second. Where a way leads through a later alternative of a `first_of`, the earlier ones
are refused at their first call. After the failure every compensation is acknowledged.

Rules of this file: what is undone, in which order and how it ends is read off what the kernel did. Nothing is known
here of its rules but which answers it takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ..core import events as ev
from ..core.definition import Saga
from ..core.events import Event
from ..core.graph import Kind, Node
from ..core.places import split
from ..core.transitions import SagaStatus, StepStatus
from ..errors import Conflict
from .driving import Answer, Driver
from .given import Given, given_to

ITEMS = 2
_S = StepStatus


class Way(Enum):
    """How a point fails; the value is what people are told."""

    REJECTED = "rejected"
    NOT_SENT = "never sent"
    UNKNOWN = "outcome unknown to the end"
    TIMEOUT = "no signal in time"
    DEADLINE = "deadline passed"
    CANCEL = "cancelled"


# What a way answers to the calls of its own point; anything else succeeds.
_TO_THE_POINT = {
    (Way.REJECTED, _S.RUNNING): Answer.REJECTED,
    (Way.NOT_SENT, _S.RUNNING): Answer.NOT_SENT,
    (Way.UNKNOWN, _S.RUNNING): Answer.UNKNOWN,
    (Way.UNKNOWN, _S.PROBING): Answer.NOT_YET,
    (Way.DEADLINE, _S.PROBING): Answer.NOT_YET,
}

_PARKED_FOR = {
    "unknown": "nobody knows whether it took effect",
    "rejected": "it was refused, and there is no way back",
    "deadline": "the deadline has passed, and there is no way back",
    "key_expired": "its key is too old to be used again, and nobody knows whether it took effect",
}


@dataclass(frozen=True)
class Undo:
    """One compensation, called, or owed to a person because it cannot be.

    Attributes:
        step: the path of the step that it undoes.
        function: its name; "" for a step without one.
        given: its arguments, in order.
        owed: why it is not called; "" when it is.
    """

    step: str
    function: str
    given: tuple[Given, ...] = ()
    owed: str = ""


@dataclass(frozen=True)
class Outcome:
    """What becomes of a saga that failed.

    Attributes:
        undone: groups, one after the other; those of one group run at the same time.
        ends: the saga's status, as far as it comes by itself.
        why: sentences, where the status does not say it all.
    """

    undone: tuple[tuple[Undo, ...], ...]
    ends: str
    why: tuple[str, ...] = ()


class Choices:
    """Which way a run takes where there are several: of a CHOOSE, a FIRST_OF, a WAIT that may time out.

    Parameters:
        forced: by node, what leads to the point.
        planned: what to take at the first ones that are free; the first possibility at all others.
    """

    def __init__(self, forced: Mapping[int, int], planned: tuple[int, ...] = ()) -> None:
        self.made: dict[int, int] = {}  # free ones, by node, in the order in which they were met
        self.counts: dict[int, int] = {}
        self.closed = False  # the point was reached: what comes after it is not tried in every way
        self._forced = forced
        self._planned = planned

    def take(self, node: int, count: int) -> int:
        """The possibility to take at a node, of so many."""
        if node in self._forced:
            return self._forced[node]
        if node not in self.made:
            if self.closed:
                return 0
            at = len(self.made)
            self.made[node] = self._planned[at] if at < len(self._planned) else 0
            self.counts[node] = count
        return self.made[node]

    def following(self) -> tuple[int, ...] | None:
        """What to plan for the next run; None when this was the last."""
        planned, counts = list(self.made.values()), list(self.counts.values())
        while planned:
            if planned[-1] + 1 < counts[len(planned) - 1]:
                return (*planned[:-1], planned[-1] + 1)
            planned.pop()
        return None


class Failure:
    """One run.

    Parameters:
        saga: the definition.
        point: the node that fails.
        way: how.
        choices: what leads there.
    """

    def __init__(self, saga: Saga[Any, Any], point: int, way: Way, choices: Choices) -> None:
        self.saga = saga
        self.point = point
        self.way = way
        self.choices = choices
        self.target = -1  # the slot that fails
        self.undone: list[tuple[Undo, ...]] = []
        self.said: dict[str, None] = {}  # why it goes on, if it does
        self.tried_on = False  # until the deadline
        self.driver = Driver(saga.graph, branch=self._branch, items=ITEMS)
        self.state = self.driver.state

    def outcome(self) -> Outcome | None:
        """What becomes of it; None when the point is never reached, or cannot fail so."""
        if not self._reach():
            return None
        self.choices.closed = True
        try:
            endless = self._fail()
        except Conflict:  # a cancel after the pivot
            return None
        return self._ending(endless)

    # --- to the point ------------------------------------------------------------------------------

    def _reach(self) -> bool:
        while True:
            at = self._at_the_point()
            if self._go_on(besides=at) is None:
                self.target = at
                return at >= 0

    def _at_the_point(self) -> int:
        for slot in (*self.driver.calls, *self.driver.waits):
            if self.state.nodes[slot].index == self.point:
                numbers = split(self.state.path_of(slot))[1]
                if all(number == ITEMS - 1 for number in numbers):
                    return slot
        return -1

    def _go_on(self, besides: int = -1) -> list[Event] | None:
        """Answer all that runs or waits, but one; None when there is nothing else."""
        driver = self.driver
        calls = [slot for slot in driver.calls if slot != besides]
        if calls:
            return driver.tell(*[driver.answer(slot, self._answer(slot)) for slot in calls])
        for slot in driver.waits:
            if slot != besides:
                return self._end_wait(slot)
        return None

    def _answer(self, slot: int) -> Answer:
        status = self.state.status_of(slot)
        if slot == self.target:
            return _TO_THE_POINT.get((self.way, status), Answer.SUCCEEDS)
        return Answer.REJECTED if status is _S.RUNNING and self._is_to_fail(slot) else Answer.SUCCEEDS

    def _end_wait(self, slot: int) -> list[Event]:
        node = self.state.nodes[slot]
        if node.kind is Kind.SLEEP:
            return self.driver.wake(slot)
        if node.children:
            return self.driver.time_out(slot) if self.choices.take(node.index, 2) else self.driver.signal(slot)
        late = self.state.policy_of(slot).wait_ms and self._is_to_fail(slot)
        return self.driver.time_out(slot) if late else self.driver.signal(slot)

    def _is_to_fail(self, slot: int) -> bool:
        """Whether it stands in an alternative before the one that is to succeed."""
        state = self.state
        for around in state.around(slot):
            node = state.nodes[around]
            if self.choices.take(node.index, len(node.children)) > state.slot(around).cursor:
                return True
        return False

    def _branch(self, node: Node) -> int:
        return self.choices.take(node.index, len(node.children))

    # --- from there to the end ---------------------------------------------------------------------

    def _fail(self) -> bool:
        """Fail the point, and go on to where nothing moves by itself; whether it never ends."""
        driver, state = self.driver, self.state
        if self.way is Way.CANCEL:
            self._note(driver.cancel())
        elif self.way is Way.DEADLINE:
            self._note(driver.pass_deadline())
        elif self.way is Way.TIMEOUT:
            self._note(driver.wait())
        while not state.ended and state.status is not SagaStatus.REQUIRES_MANUAL:
            frame = self._go_on()
            if frame is None and self._only_time_ends_it():
                if not state.deadline or state.deadline_passed:
                    return True
                self.tried_on = True
                frame = driver.pass_deadline()
            elif frame is None:
                frame = driver.wait()
            if frame is None:
                break
            self._note(frame)
        return False

    def _only_time_ends_it(self) -> bool:
        """Whether it has had more attempts than its policy gives: then only a deadline ends them."""
        return self.state.slot(self.target).attempts > self.state.policy_of(self.target).retry.attempts

    def _note(self, frame: list[Event] | None) -> None:
        """Keep what is undone and owed, and why it goes on where it does."""
        together = []
        for event in frame or ():
            match event:
                case ev.CompensationStarted(node=slot):
                    together.append(Undo(self.state.path_of(slot), self._function(slot), self._given(slot)))
                case ev.StepOwed(node=slot, reason=reason, message=message):
                    owed = Undo(self.state.path_of(slot), self._function(slot), (), message or reason)
                    self.undone.append((owed,))
                case ev.StepPassed(node=slot) if slot == self.target:
                    self.said["it is best effort, so the saga goes on without it"] = None
                case ev.AlternativeFailed(node=slot):
                    path = self.state.path_of(slot)  # a made one if it has no name
                    self.said[f"{'the first_of' if '#' in path else path} goes on with its next alternative"] = None
                case ev.CancelRefused():
                    self.said["the pivot succeeded, so the cancel is refused"] = None
        if together:
            self.undone.append(tuple(together))

    def _function(self, slot: int) -> str:
        binding = self.saga.bindings[self.state.nodes[slot].index]
        function = binding.compensation.function if binding.compensation else None
        return "" if function is None else str(getattr(function, "__name__", type(function).__name__))

    def _given(self, slot: int) -> tuple[Given, ...]:
        return given_to(self.saga, self.state, slot)

    def _ending(self, endless: bool) -> Outcome:
        state, why = self.state, list(self.said) if self.state.status is SagaStatus.COMPLETED else []
        path = state.path_of(self.target)
        if self.tried_on:
            why.append(f"{path} is tried again until the deadline")
        if endless:
            until = "its outcome is known" if state.slot(self.target).unknown else "it succeeds"
            why.append(f"{path} is tried again until {until}; there is no deadline that ends it")
        for index, slot in enumerate(state.slots):
            if slot is not None and slot.status is _S.PARKED:
                why.append(f"{state.path_of(index)} is parked: {_PARKED_FOR.get(slot.reason, slot.reason)}")
            elif slot is not None and slot.status is _S.OWED:
                why.append(f"what {state.path_of(index)} did is not undone: {slot.undo_error or slot.reason}")
        return Outcome(tuple(self.undone), str(state.status), tuple(why))
