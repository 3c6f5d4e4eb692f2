"""One saga, told what happened, as the rules' tests speak: `run.a.succeeds()`, `run.calls == ["b"]`."""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from amends.core import events as ev, verbs
from amends.core.decide import Evaluate, decide, next_due
from amends.core.events import Event
from amends.core.fold import fold, fold_frame
from amends.core.graph import Graph, Kind
from amends.core.state import SagaState
from tests.core.graphs import SLEEP

EVERY = 60_000  # how often what was accepted is polled
UNTIL = 10_000_000  # how long

START = 1_700_000_000_000
VALUE = Raw(b'"value"')
INTENTS = {
    ev.ActionStarted: "",
    ev.ProbeStarted: "probe ",
    ev.CompensationStarted: "undo ",
    ev.PollStarted: "poll ",
}


class Run:
    """Drives the kernel as the runtime does: each call of `tell` is one frame.

    `branch` is the one that every CHOOSE takes, `items` is how many items each EACH has.
    """

    def __init__(self, graph: Graph, *, deaths_max: int = 100, branch: int = 0, items: int = 3) -> None:
        self.graph = graph
        self.state = SagaState(graph)
        self.state.deaths_max = deaths_max
        self.now = START
        self.branch = branch
        self.items = items
        self.events: list[Event] = []
        self.calls: list[str] = []  # announced by the last frame
        self.frames: list[ev.Frame] = []
        deadline = START + graph.deadline_ms if graph.deadline_ms else 0
        self.tell(ev.Started("s", "saga", 1, "", ev.NOTHING, deadline, graph.deadline_ms))

    def __getattr__(self, path: str) -> Node:
        return Node(self, path)

    def node(self, path: str) -> Node:
        """A node whose path is no Python name."""
        return Node(self, path)

    def tell(self, *happened: Event) -> Run:
        """One frame: what happened, and what the kernel makes of it."""
        state, frame = self.state, []
        state.at, state.seq = self.now, state.seq + 1
        commands: list[Any] = list(happened) or decide(self.graph, state, self.now)
        while commands:
            for command in commands:
                event = self._answer(command.node) if isinstance(command, Evaluate) else command
                fold(state, event)
                frame.append(event)
            commands = decide(self.graph, state, self.now)
        self.frames.append(ev.Frame(ev.WIRE_VERSION, self.now, frame))
        self.events += frame
        self.calls = [self._told(event) for event in frame if type(event) in INTENTS]
        return self

    def _told(self, intent: Any) -> str:
        undo = "undo " if getattr(intent, "undo", False) else ""
        return INTENTS[type(intent)] + undo + self.state.path_of(intent.node)

    def _answer(self, slot: int) -> Event:
        state, node = self.state, self.state.nodes[slot]
        match node.kind:
            case Kind.SLEEP:
                return ev.SleepStarted(slot, self.now + SLEEP)
            case Kind.CALL:
                return ev.CallEntered(slot, VALUE)
            case Kind.EACH:
                items = [Raw(b"%d" % number) for number in range(self.items)]
                body, limit = node.children[0], state.policy_of(slot).limit
                return ev.ItemsListed(slot, items, limit, len(state.slots), body, self.graph.sizes[body])
        return ev.BranchChosen(slot, self.branch)

    def wait(self, ms: int = 0) -> Run:
        """Let so much time pass; without a number, until what is due next."""
        self.now = self.now + ms if ms else next_due(self.state)
        return self.tell()

    def until_deadline(self) -> Run:
        """Let the deadline pass."""
        self.now = self.state.deadline
        return self.tell()

    def crash(self, cause: str = "crash") -> Run:
        """Drop the state, fold the journal anew, cut off what ran, go on."""
        deaths_max, self.state = self.state.deaths_max, SagaState(self.graph)
        self.state.deaths_max = deaths_max
        for frame in self.frames:
            fold_frame(self.state, frame)
        return self.tell(*verbs.cut_off(self.state, cause))

    def cancel(self) -> Run:
        return self.tell(*verbs.cancel(self.state, "why", "me"))

    def retry(self) -> Run:
        return self.tell(*verbs.retry(self.state, "why", "me", self.now))

    def pause(self) -> Run:
        return self.tell(*verbs.pause(self.state, "why", "me"))

    def resume(self) -> Run:
        return self.tell(*verbs.resume(self.state, "why", "me"))

    def signal(self, name: str, payload: bytes = b'"signal"', id: str = "") -> Run:
        events = verbs.signal(self.state, name, Raw(payload), id)
        return self.tell(*events) if events else self

    @property
    def status(self) -> str:
        return str(self.state.status)

    def count(self, kind: type[Event]) -> int:
        """How many events of a kind the journal holds."""
        return sum(type(event) is kind for event in self.events)


class Node:
    """What one step of a run does; by its path, `a[1]` for an item's."""

    def __init__(self, run: Run, path: str) -> None:
        self.run, self.index = run, run.state.find(path)
        assert self.index >= 0, path

    @property
    def status(self) -> str:
        return str(self.run.state.status_of(self.index))

    @property
    def reason(self) -> str:
        return self.run.state.slot(self.index).reason

    @property
    def result(self) -> Raw | None:
        return self.run.state.result_of(self.index)

    def succeeds(self) -> Run:
        return self.run.tell(ev.ActionSucceeded(self.index, VALUE))

    def rejected(self, *, conclusive: bool = False) -> Run:
        return self.run.tell(ev.ActionRejected(self.index, "no", conclusive))

    def not_sent(self) -> Run:
        return self.run.tell(ev.ActionNotSent(self.index, "refused"))

    def raises(self) -> Run:
        return self.run.tell(ev.ActionUnknown(self.index, "boom"))

    def raises_again(self) -> Run:
        """Fail all of its two attempts."""
        return self.raises().wait().node(self.run.state.path_of(self.index)).raises()

    def poison(self) -> Run:
        return self.run.tell(ev.StepParked(self.index, "poison", "does not decode"))

    def found(self) -> Run:
        return self.run.tell(ev.ProbeFound(self.index, VALUE))

    def not_seen(self) -> Run:
        return self.run.tell(ev.ProbeNotSeen(self.index))

    def probe_rejected(self) -> Run:
        return self.run.tell(ev.ProbeRejected(self.index, "never"))

    def probe_fails(self) -> Run:
        return self.run.tell(ev.ProbeFailed(self.index, "500"))

    def accepted(self, poll: str = "ask", *, until: int = UNTIL) -> Run:
        """It was taken, and is not done; without a poll it is asked by calling it again."""
        now = self.run.now
        return self.run.tell(ev.ActionAccepted(self.index, now + EVERY, now + until, EVERY, poll))

    def pending(self, *, error: str = "") -> Run:
        """A poll of its action, or of its compensation, said that it is not done, or failed."""
        undo = self.status == "undo_polling"
        return self.run.tell(ev.PollPending(self.index, self.run.now + EVERY, EVERY, undo, error))

    def undo_accepted(self, poll: str = "ask", *, until: int = UNTIL) -> Run:
        now = self.run.now
        return self.run.tell(ev.CompensationAccepted(self.index, now + EVERY, now + until, EVERY, poll))

    def undone(self) -> Run:
        return self.run.tell(ev.CompensationSucceeded(self.index))

    def undo_fails(self) -> Run:
        return self.run.tell(ev.CompensationFailed(self.index, "boom"))

    def undo_refused(self) -> Run:
        return self.run.tell(ev.CompensationRefused(self.index, "dispatched"))

    def late(self) -> Run:
        return self.run.tell(*verbs.late_success(self.run.state, self.index, Raw(b'"late"')))

    def resolve(self, outcome: Any, result: Raw | None = None) -> Run:
        return self.run.tell(*verbs.resolve(self.run.state, self.index, outcome, result, "why", "me"))

    def skip(self) -> Run:
        return self.run.tell(*verbs.skip(self.run.state, self.index, "why", "me"))
