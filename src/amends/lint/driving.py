"""`Driver`: one saga on its way through the kernel, without a store, a loop or the author's functions.

    driver = Driver(graph)
    for slot in driver.calls:
        driver.tell(driver.answer(slot, Answer.SUCCEEDS))

It folds what it is told, asks `decide` until nothing follows, and answers what the kernel asks on the way: the
branch of a choose, the items of an each, the input of a call. So whatever it shows is the kernel's own doing.

What a function would have returned is a label: a step's result is its path as a JSON text, an item its number, the
input of a call the call's path. Who reads the state sees where each value comes from.

Rules of this file: pure; it decides nothing. Time is a number that moves only when it is told to.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum

import msgspec
from msgspec import Raw

from ..core import events as ev, verbs
from ..core.decide import Command, Evaluate, decide, next_due
from ..core.events import Event
from ..core.fold import fold
from ..core.graph import Graph, Kind, Node
from ..core.state import SagaState, Slot
from ..core.transitions import CALLING, StepStatus

_S = StepStatus
START = 1_700_000_000_000
SLEEP_MS = 60_000  # of a sleep whose length a function computes
EVERY_MS = 60_000  # between two polls of what was accepted
UNTIL_MS = 600_000  # how long it is polled


class Answer(Enum):
    """What comes of a call, whichever call it is."""

    SUCCEEDS = "succeeds"  # a probe's: it took effect; a poll's: it has finished
    REJECTED = "rejected"  # a compensation's: refused for good; a probe's: it never took effect
    UNKNOWN = "unknown"  # an exception or a timeout
    NOT_SENT = "not sent"
    NOT_YET = "not yet"  # a probe has not seen it; a poll: it is not finished
    ACCEPTED = "accepted"
    CUT = "cut"  # by our own end


class Driver:
    """One saga, started; nothing happens but what is told.

    Parameters:
        graph: its compiled definition.
        branch: which child a CHOOSE takes; the first when left out.
        items: how many items each EACH has.
        polled: what was accepted is asked after so often, and so long, in ms.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        branch: Callable[[Node], int] | None = None,
        items: int = 2,
        polled: tuple[int, int] = (EVERY_MS, UNTIL_MS),
    ) -> None:
        self.graph = graph
        self.state = SagaState(graph)
        self.now = START
        self._branch = branch
        self._items = items
        self._polled = polled
        self._open: dict[int, None] = {}  # slots that an event spoke of, and that were not seen at rest since
        deadline = START + graph.deadline_ms if graph.deadline_ms else 0
        self.tell(ev.Started("saga", graph.name, graph.version, graph.fingerprint, ev.NOTHING, deadline))

    # --- how it stands -----------------------------------------------------------------------------

    @property
    def calls(self) -> list[int]:
        """The slots of which a call runs, oldest first."""
        return list(self._standing(CALLING))

    @property
    def waits(self) -> list[int]:
        """The slots of waits and sleeps that wait for a signal, or for time to pass."""
        return list(self._standing(frozenset({_S.WAITING})))

    def _standing(self, statuses: frozenset[StepStatus]) -> Iterator[int]:
        return (slot for slot in self._open if self.state.status_of(slot) in statuses)

    # --- what happens ------------------------------------------------------------------------------

    def tell(self, *happened: Event) -> list[Event]:
        """Fold what happened and what the kernel makes of it: all events of that frame."""
        state = self.state
        state.at, state.seq = self.now, state.seq + 1
        frame: list[Event] = []
        commands: list[Command] = list(happened) or decide(self.graph, state, self.now)
        while commands:
            for command in commands:
                event = self._answered(command.node) if isinstance(command, Evaluate) else command
                fold(state, event)
                frame.append(event)
            commands = decide(self.graph, state, self.now)
        self._look_at(frame)
        return frame

    def answer(self, slot: int, answer: Answer) -> Event:
        """The event that a call's answer is; to be told, alone or with others of the same moment.

        Raises:
            KeyError: no such call can be answered so.
        """
        status = self.state.status_of(slot)
        every, until = self._polled
        at, undo = self.now + every, status is _S.UNDO_POLLING
        match status, answer:
            case (_S.RUNNING, Answer.ACCEPTED):
                return ev.ActionAccepted(slot, at, self.now + until, every, "poll")
            case (_S.COMPENSATING, Answer.ACCEPTED):
                return ev.CompensationAccepted(slot, at, self.now + until, every, "poll")
            case (_S.POLLING | _S.UNDO_POLLING, Answer.NOT_YET):
                return ev.PollPending(slot, at, every, undo)
            case (_S.POLLING | _S.UNDO_POLLING, Answer.CUT):
                return ev.PollCut(slot, at, undo)
        if (status, answer) in _WITH_A_RESULT:
            return _WITH_A_RESULT[status, answer](slot, self.label(slot))
        return _PLAIN[status, answer](slot)

    def signal(self, slot: int) -> list[Event]:
        """Send what the wait at a slot waits for."""
        return self.tell(*verbs.signal(self.state, self.state.path_of(slot), self.label(slot), ""))

    def time_out(self, slot: int) -> list[Event]:
        """Let the time of a wait be over, at once."""
        return self.tell(ev.WaitTimedOut(slot))

    def wake(self, slot: int) -> list[Event]:
        """Let a sleep be over, at once."""
        return self.tell(ev.SleepEnded(slot))

    def wait(self) -> list[Event] | None:
        """Let time pass until something is due; None when nothing ever is."""
        due = next_due(self.state)
        if not due:
            return None
        self.now = max(self.now, due)
        return self.tell()

    def cancel(self) -> list[Event]:
        """Cancel it. Raises Conflict when that cannot be."""
        return self.tell(*verbs.cancel(self.state, "cancelled", ""))

    def pass_deadline(self) -> list[Event]:
        """Let the deadline pass. When that turns the saga back, running actions are cut, as the runtime does it."""
        self.now = max(self.now, self.state.deadline)
        frame = self.tell()
        turned_back = self.state.turned_back
        if turned_back is not None and turned_back.cause == "deadline":
            cut = [ev.ActionUnknown(slot, "", "deadline") for slot in self._standing(frozenset({_S.RUNNING}))]
            frame += self.tell(*cut) if cut else []
        return frame

    def label(self, slot: int) -> Raw:
        """What the node at a slot gives: its path."""
        return Raw(msgspec.json.encode(self.state.path_of(slot)))

    def fork(self) -> Driver:
        """Another one that stands where this one stands, and goes its own way."""
        other = copy.copy(self)
        other._open = dict(self._open)  # noqa: SLF001 -- of its own class
        other.state = _copy_of(self.state)
        return other

    # --- what the kernel asks ------------------------------------------------------------------------

    def _answered(self, slot: int) -> Event:
        state, node = self.state, self.state.nodes[slot]
        if node.kind is Kind.CALL:
            return ev.CallEntered(slot, self.label(slot))
        if node.kind is Kind.SLEEP:
            return ev.SleepStarted(slot, self.now + SLEEP_MS)
        if node.kind is Kind.EACH:
            items = [Raw(b"%d" % number) for number in range(self._items)]
            body = node.children[0]
            limit = state.policy_of(slot).limit
            return ev.ItemsListed(slot, items, limit, len(state.slots), body, self.graph.sizes[body])
        return ev.BranchChosen(slot, self._branch(node) if self._branch else 0)

    def _look_at(self, frame: list[Event]) -> None:
        for event in frame:
            slot = getattr(event, "node", -1)
            if slot >= 0:
                self._open[slot] = None
        at_rest = [slot for slot in self._open if self.state.status_of(slot) not in _MOVES]
        for slot in at_rest:
            del self._open[slot]


_MOVES = CALLING | {_S.WAITING}


def _copy_of(state: SagaState) -> SagaState:
    """A state of its own: `fold` changes the containers, one level down, and replaces everything else."""
    other = SagaState.__new__(SagaState)
    for name, value in vars(state).items():
        setattr(other, name, value.copy() if type(value) in _CONTAINERS else value)
    other.slots = [None if slot is None else _slot_of(slot) for slot in state.slots]
    other.waits = state.waits and {name: list(slots) for name, slots in state.waits.items()}
    other.signals = state.signals and {name: deque(payloads) for name, payloads in state.signals.items()}
    return other


def _slot_of(slot: Slot) -> Slot:
    other = Slot.__new__(Slot)
    vars(other).update(vars(slot))
    return other


_CONTAINERS = frozenset({dict, set, deque, list})
# What an answer is to a call of each kind: with what the call gives, and without anything.
_WITH_A_RESULT: dict[tuple[StepStatus, Answer], Callable[[int, Raw], Event]] = {
    (_S.RUNNING, Answer.SUCCEEDS): ev.ActionSucceeded,
    (_S.PROBING, Answer.SUCCEEDS): ev.ProbeFound,
    (_S.POLLING, Answer.SUCCEEDS): ev.ActionSucceeded,
}
_PLAIN: dict[tuple[StepStatus, Answer], Callable[[int], Event]] = {
    (_S.RUNNING, Answer.REJECTED): ev.ActionRejected,
    (_S.RUNNING, Answer.UNKNOWN): ev.ActionUnknown,
    (_S.RUNNING, Answer.NOT_SENT): ev.ActionNotSent,
    (_S.RUNNING, Answer.CUT): ev.ActionCut,
    (_S.PROBING, Answer.REJECTED): ev.ProbeRejected,
    (_S.PROBING, Answer.UNKNOWN): ev.ProbeFailed,
    (_S.PROBING, Answer.NOT_YET): ev.ProbeNotSeen,
    (_S.PROBING, Answer.CUT): ev.ProbeCut,
    (_S.POLLING, Answer.REJECTED): ev.ActionRejected,
    (_S.COMPENSATING, Answer.SUCCEEDS): ev.CompensationSucceeded,
    (_S.COMPENSATING, Answer.REJECTED): ev.CompensationRefused,
    (_S.COMPENSATING, Answer.UNKNOWN): ev.CompensationFailed,
    (_S.COMPENSATING, Answer.CUT): ev.CompensationCut,
    (_S.UNDO_POLLING, Answer.SUCCEEDS): ev.CompensationSucceeded,
    (_S.UNDO_POLLING, Answer.REJECTED): ev.CompensationRefused,
}
