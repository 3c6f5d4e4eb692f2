"""What must hold of every journal, checked at every frame that lands, and at the end.

The ids are those of the project's list of invariants:

    S1   one end; nothing but follow-ups and notes after it
    S2   only legal transitions: the fold accepts every frame
    S3   a journal's frames are contiguous from 1
    S5   no call without its durable intent
    S10  a compensation only for a step that succeeded or is unknown
    S11  ... and only after those of all its successors have ended or are parked
    S12  `compensated` only if every compensation was acknowledged
    S14  after the pivot no compensation and no turning back
    S17  nothing happens before it is due
    S18  after the deadline no new action starts; no key is used beyond its age
    L1   an open saga waits for something that will come: each frame was decided to its end, and every
         node that waits has its due time, its signal or its call
    L2   ... and whoever takes over finds it in time: its row among the open sagas says when
    --   a first_of tries the next alternative only when what the last one did was undone, and that acknowledged
    --   a function sees exactly the results, items and inputs that the journal holds

Rules of this file: it reads frames as any stranger could, with the pure kernel and nothing of the
runtime; the first broken promise ends the run.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from ...core import events as ev
from ...core.calls import Argument, Source
from ...core.context import Context
from ...core.decide import decide, next_due
from ...core.definition import Saga
from ...core.events import Event, Frame, decode_frame
from ...core.fold import fold
from ...core.graph import Kind, Node
from ...core.seen import Seen
from ...core.state import IllegalTransition, SagaState
from ...core.summary import Summary, fold_summary
from ...core.transitions import BACKING_OFF, CALLING, SagaStatus, StepStatus
from ...stores.base import FrameRow, OpenRow
from . import order
from .loop import Machine
from .telling import mark_before, mark_event, shown

if TYPE_CHECKING:
    from .world import World

_S = StepStatus
_INTENTS = {
    ev.ActionStarted: "action",
    ev.CompensationStarted: "compensation",
    ev.ProbeStarted: "probe",
    ev.PollStarted: "poll",
}
_OWING = frozenset(
    {
        _S.SUCCEEDED, _S.UNKNOWN, _S.UNDO_READY, _S.COMPENSATING, _S.UNDO_SETTLING, _S.UNDO_RETRYING,
        _S.UNDO_ACCEPTED, _S.UNDO_POLLING,
    }
)  # fmt: skip
_OPS = {_S.COMPENSATING: "compensation", _S.PROBING: "probe", _S.POLLING: "poll", _S.UNDO_POLLING: "compensation_poll"}
_VERBS: dict[type, str] = {
    ev.RetryRequested: "retry",
    ev.Resolved: "resolve",
    ev.Skipped: "skip",
    ev.Paused: "pause",
    ev.Resumed: "resume",
}
_NOTES = (ev.AnomalyNoted, ev.AttemptAbandoned, ev.Held, ev.Released)


@dataclass
class Watched:
    """One saga as the monitor sees it."""

    saga: Saga[Any, Any]
    state: SagaState
    summary: Summary | None = None
    rows: int = 0
    decided_to_its_end: bool = True
    intents: Counter[tuple[int, str]] = field(default_factory=Counter)
    calls: Counter[tuple[int, str]] = field(default_factory=Counter)
    proven: dict[int, str] = field(default_factory=dict)  # slot -> "succeeded", "unknown", "accepted" or "none"
    by_poll: bool = False  # whether the event at hand is a poll's answer
    given_up: set[tuple[int, int]] = field(default_factory=set)  # alternatives: the first_of's slot, the place
    parked: set[int] = field(default_factory=set)
    cut: set[int] = field(default_factory=set)
    signals: set[str] = field(default_factory=set)
    asked: Counter[str] = field(default_factory=Counter)  # verbs, by their name
    applied: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    under_way: list[tuple[Machine | None, int, float]] = field(default_factory=list)  # calls: where, slot, since


class Monitor:
    """Watches every journal of one world.

    Parameters:
        world: whom it reports to.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.sagas: dict[tuple[str, int], Saga[Any, Any]] = {}
        self.watched: dict[str, Watched] = {}
        self.deaths_max = 100

    # --- a frame has landed ------------------------------------------------------------------------------

    def row(self, row: FrameRow, by: str, *, handing_over: bool) -> None:
        """Check one frame, and fold it."""
        frame = decode_frame(row.body)
        watched = self.watched.get(row.saga_id)
        if watched is None:
            watched = self._begin(row.saga_id, frame)
        self._world.say("journal", f"{row.saga_id[-6:]}:{row.seq} {shown(watched.state.path_of, frame)}  [{by}]")
        watched.rows += 1
        if row.seq != watched.rows:
            self._broken(row.saga_id, f"S3: frame {row.seq} follows frame {watched.rows - 1}")
        state = watched.state
        state.at = frame.at
        state.seq += 1
        for event in frame.events:
            self._before(watched, event)
            mark_before(self._world.chance, state, event)
            try:
                fold(state, event)
            except IllegalTransition as error:
                self._broken(row.saga_id, f"S2: {error}")
                return
            self._after_event(watched, event)
        graph = state.graph
        watched.summary = fold_summary(watched.summary, row.saga_id, frame, row.seq, graph.paths, graph.sizes)
        if not handing_over:  # else what follows is for the next one to decide
            self._rest(watched)

    def _begin(self, saga_id: str, frame: Frame) -> Watched:
        started = frame.events[0]
        assert isinstance(started, ev.Started)
        saga = self.sagas[started.name, started.version]
        state = SagaState(saga.graph)
        state.deaths_max = self.deaths_max
        watched = self.watched[saga_id] = Watched(saga, state)
        return watched

    def _broken(self, saga_id: str, promise: str) -> None:
        self._world.violate(f"saga {saga_id[-6:]}: {promise}")

    def _before(self, watched: Watched, event: Event) -> None:
        """What must hold when this event happens."""
        state, saga_id = watched.state, watched.state.saga_id
        if state.finished and not isinstance(event, _NOTES):
            self._broken(saga_id, f"S1: {type(event).__name__} after the end")
        index = getattr(event, "node", -1)
        if index < 0:
            if isinstance(event, ev.TurnedBack) and state.committed:
                self._broken(saga_id, "S14: it turned back after its pivot")
            if isinstance(event, ev.Compensated):
                self._all_made_good(watched)
            return
        kind = type(event)
        watched.by_poll = state.status_of(index) is _S.POLLING
        due = state.due.get(index, 0)
        waited = (*_INTENTS, ev.WaitTimedOut, ev.SleepEnded)
        if kind in waited and due > state.at:
            self._broken(saga_id, f"S17: {kind.__name__} of {state.path_of(index)} is {due - state.at} ms early")
        if isinstance(event, ev.ActionStarted):
            self._action(watched, index)
        elif isinstance(event, ev.CompensationStarted):
            self._compensation(watched, index)
        elif isinstance(event, ev.AlternativeStarted) and event.position:
            self._next_alternative(watched, index)
        if kind in _INTENTS:
            undo = getattr(event, "undo", False)
            watched.intents[index, "compensation_poll" if undo else _INTENTS[kind]] += 1
            if state.paused:
                self._broken(saga_id, f"rule 8: {kind.__name__} of {state.path_of(index)} while paused")

    def _action(self, watched: Watched, index: int) -> None:
        state = watched.state
        node, slot, policy, path = state.nodes[index], state.slot(index), state.policy_of(index), state.path_of(index)
        if node.follow_up:
            return
        if state.deadline and (state.at >= state.deadline or state.deadline_passed):
            self._broken(state.saga_id, f"S18: {path} starts after the deadline")
        if policy.key_ttl_ms and slot.first_at and state.at >= slot.first_at + policy.key_ttl_ms:
            self._broken(state.saga_id, f"rule 3: {path} is called under an expired key")
        if state.back or self._turning_back(watched, index) is not None:
            self._broken(state.saga_id, f"rule 5: {path} starts while turning back")

    def _turning_back(self, watched: Watched, index: int) -> Iterable[int] | None:
        """The slots that turn back with this one: those of its alternative, or all; None when it goes forward."""
        state = watched.state
        if state.undoing:
            return range(len(state.slots))
        for first_of, place in reversed(order.around(state, index)):
            if (first_of, place) in watched.given_up:
                return state.subtree(order.alternative(state, first_of, place))
        return None

    def _compensation(self, watched: Watched, index: int) -> None:
        state, saga_id = watched.state, watched.state.saga_id
        path = state.path_of(index)
        if state.committed:
            self._broken(saga_id, f"S14: {path} is compensated after the pivot")
        if watched.proven.get(index, "none") == "none" or state.nodes[index].read_only:
            self._broken(saga_id, f"S10: {path} is compensated, and is proven to have no effect")
        turning_back = self._turning_back(watched, index)
        if turning_back is None:
            self._broken(saga_id, f"rule 5: {path} is compensated, and nothing turned back")
            return
        for other in turning_back:
            status = state.status_of(other)
            if status in (_S.RUNNING, _S.PROBING, _S.POLLING) and not state.nodes[other].follow_up:
                self._broken(saga_id, f"rule 5: {path} is compensated while {state.path_of(other)} is {status}")
        for later, slot in enumerate(state.slots):
            if slot is None or slot.status not in _OWING or later in watched.parked:
                continue
            if _owed(state.nodes[later]) and order.precedes(state, index, later):
                self._broken(
                    saga_id, f"S11: {path} is compensated before {state.path_of(later)}, which is {slot.status}"
                )

    def _next_alternative(self, watched: Watched, index: int) -> None:
        """What the alternative before did is made good, down to the last step."""
        state = watched.state
        for below in state.subtree(order.alternative(state, index, state.slot(index).cursor)):
            status = state.status_of(below)
            open_still = status in _OWING or status in CALLING or status in (_S.OWED, _S.PARKED, _S.ACCEPTED)
            if open_still and _owed(state.nodes[below]):
                self._broken(
                    state.saga_id,
                    f"first_of: the next of {state.path_of(index)}, and {state.path_of(below)} is {status}",
                )

    def _all_made_good(self, watched: Watched) -> None:
        state = watched.state
        for index, slot in enumerate(state.slots):
            node = state.nodes[index]
            if slot is None or node.kind is not Kind.STEP or node.follow_up:
                continue
            if slot.status in (_S.OWED, _S.PARKED, _S.SKIPPED) or (slot.status in _OWING and _owed(node)):
                self._broken(state.saga_id, f"S12: compensated, and {state.path_of(index)} is {slot.status}")

    def _after_event(self, watched: Watched, event: Event) -> None:
        """What the event proves, and the marks that only a journal can tell."""
        state = watched.state
        index: int = getattr(event, "node", -1)
        if isinstance(event, (ev.ActionSucceeded, ev.LateSucceeded, ev.ProbeFound)):
            watched.proven[index] = "succeeded"
        elif isinstance(event, ev.ActionAccepted):
            watched.proven.setdefault(index, "accepted")
        elif isinstance(event, (ev.ActionUnknown, ev.ActionCut)):
            if watched.proven.get(index, "accepted") == "accepted":
                watched.proven[index] = "unknown"
        elif isinstance(event, (ev.ActionRejected, ev.ProbeRejected)):
            proven = watched.proven.get(index)
            conclusive = isinstance(event, ev.ProbeRejected) or event.conclusive
            if (conclusive and proven != "succeeded") or (watched.by_poll and proven == "accepted"):
                watched.proven.pop(index, None)
        elif isinstance(event, ev.AlternativeFailed):
            watched.given_up.add((index, state.slot(index).cursor))
        elif isinstance(event, ev.Resolved) and not event.undo:
            watched.proven[index] = "succeeded" if event.outcome == "done" else "none"
        if isinstance(event, (ev.StepOwed, ev.StepParked)):
            watched.parked.add(index)
        if isinstance(event, ev.SignalReceived) and event.id:
            watched.signals.add(event.id)
        verb = _VERBS.get(type(event))
        if verb is not None:
            watched.applied[verb] += 1
            if watched.applied[verb] > watched.asked[verb]:
                self._broken(state.saga_id, f"{verb} was asked {watched.asked[verb]} times and applied once more")
        mark_event(self._world.chance, watched, event)

    # --- between two frames --------------------------------------------------------------------------------

    def _rest(self, watched: Watched) -> None:
        """L1: whoever is not at an end waits for something that will come."""
        state = watched.state
        if state.finished or state.held or state.status is SagaStatus.SCHEDULED:
            return
        undecided = decide(state.graph, state, state.at)
        if undecided:
            self._broken(state.saga_id, f"L1: the frame was not decided to its end, there follows {undecided}")
        if state.paused:
            return
        open_nodes = 0
        for index, slot in enumerate(state.slots):
            if slot is None:
                continue
            if slot.status in BACKING_OFF or (slot.status is _S.WAITING and state.nodes[index].kind is Kind.SLEEP):
                if index not in state.due:
                    self._broken(state.saga_id, f"L1: {state.path_of(index)} is {slot.status} without a due time")
                open_nodes += 1
            elif slot.status in CALLING or slot.status in (_S.WAITING, _S.PARKED, _S.OWED):
                open_nodes += 1
        if not open_nodes:
            self._broken(state.saga_id, f"L1: it is {state.status} and nothing of it will ever move")

    def findable(self, saga_id: str, row: OpenRow | None) -> None:
        """L1, L2: were its orchestrator to die now, the next one would take the saga up in time."""
        state = self.watched[saga_id].state
        if state.finished:
            return
        if row is None:
            self._broken(saga_id, f"L2: it is {state.status} and not among the open sagas")
            return
        calls = any(slot is not None and slot.status in CALLING for slot in state.slots)
        due = 0 if calls else next_due(state)
        if row.due > due and (calls or due):
            self._broken(saga_id, f"L2: it is due at {due}, and nobody would look before {row.due}")

    # --- a call is made ------------------------------------------------------------------------------------

    def called(self, ctx: Context, machine: Machine | None, inputs: dict[str, Any]) -> None:
        """S5: its intent is durable; and it sees what the journal holds."""
        watched = self.watched.get(ctx.saga_id)
        if watched is None:
            self._broken(ctx.saga_id, f"S5: {ctx.step} is called, and the saga is not in the store")
            return
        state = watched.state
        index = state.find(ctx.step)
        watched.calls[index, ctx.op] += 1
        if watched.calls[index, ctx.op] > watched.intents[index, ctx.op]:
            self._broken(ctx.saga_id, f"S5: {ctx.op} of {ctx.step} is called without a durable intent")
        world = self._world
        link = world.links.get(machine) if machine is not None else None
        if link is not None and world.loop.time() > link.begin_until:
            self._broken(ctx.saga_id, f"{ctx.op} of {ctx.step} begins without lease margin by the machine's own clock")
        if machine is not world.leader:
            return  # it does not know yet that another leads; its view may be old
        slot = state.slot(index)
        if slot.poll_until and ctx.accepted != msgspec.json.decode(slot.token):
            self._broken(
                ctx.saga_id, f"{ctx.op} of {ctx.step} asks by {ctx.accepted}, the journal holds {slot.token!r}"
            )
        binding = getattr(watched.saga.bindings[state.nodes[index].index], ctx.op, None)
        for argument in binding.wired if binding is not None else ():
            if argument.name in inputs:
                given = inputs[argument.name]
                raw = _held(state, index, argument)
                held = None if raw is None else msgspec.json.decode(raw)
                seen = None if given is None else msgspec.to_builtins(given)
                if held != seen:
                    what = f"{ctx.op} of {ctx.step} sees {argument.name} = {seen}"
                    self._broken(ctx.saga_id, f"{what}, the journal holds {held}")

    @contextlib.contextmanager
    def running(self, ctx: Context, machine: Machine | None) -> Iterator[None]:
        """Rule 4: calls of one step never overlap in a process, but for one that did not end within a timeout more."""
        watched, now = self.watched[ctx.saga_id], self._world.loop.time()
        policy = watched.state.policy_of(index := watched.state.find(ctx.step))
        # An abandoned call was waited for by *some* call of the step for as long as that one's timeout.
        timeout_ms = min(policy.timeout_ms, policy.compensation_timeout_ms, policy.probe_timeout_ms)
        for call in list(watched.under_way):
            where, node, since = call
            if where is machine and node == index:
                if now - since < timeout_ms / 1_000:
                    began = f"{now - since:.3f} s ago"
                    self._broken(ctx.saga_id, f"rule 4: {ctx.op} of {ctx.step} overlaps a call that began {began}")
                watched.under_way.remove(call)  # abandoned: nobody waits for it any more
        mine = (machine, index, now)
        watched.under_way.append(mine)
        try:
            yield
        finally:
            if mine in watched.under_way:
                watched.under_way.remove(mine)

    def killed(self, machine: Machine) -> None:
        """A machine dies: what was under way there?"""
        if machine is not self._world.leader:
            return
        for watched in self.watched.values():
            for index, slot in enumerate(watched.state.slots):
                if slot is None or slot.status not in CALLING:
                    continue
                op = _OPS.get(slot.status, "action")
                made = watched.calls[index, op] >= watched.intents[index, op]
                self._world.chance.mark("crash after call, before result" if made else "crash between intent and call")
                if op == "compensation":
                    self._world.chance.mark("crash during a compensation")

    # --- the end -------------------------------------------------------------------------------------------

    def ledger(self) -> None:
        """When all is at rest: the participants' effects are what the ends promise."""
        for saga_id, watched in self.watched.items():
            state = watched.state
            for index, node in enumerate(state.nodes):
                if node.kind is Kind.STEP and not node.read_only:
                    self._effect(saga_id, watched, index)

    def _effect(self, saga_id: str, watched: Watched, index: int) -> None:
        state = watched.state
        node, status, path = state.nodes[index], state.status_of(index), state.path_of(index)
        entry = self._world.participants.entry(f"{saga_id}/{path}/action")
        if entry.applied > 1:
            self._broken(saga_id, f"S9: {path} took effect {entry.applied} times")
        if status is _S.SUCCEEDED and not entry.stands and (not state.back or node.follow_up):
            self._broken(saga_id, f"{state.status}: {path} succeeded and its effect does not stand")
        if status is _S.PENDING and entry.applied:
            self._broken(saga_id, f"{path} took effect and was never begun")
        disposable = node.best_effort and not node.compensation
        stays = status is _S.SKIPPED or (not state.back and status in (_S.SUCCEEDED, _S.PASSED))
        if entry.stands and not (disposable or stays or node.follow_up):
            self._broken(saga_id, f"{state.status}: the effect of {path} stands, which is {status}")


def _owed(node: Node) -> bool:
    """Whether a step that succeeded, or is unknown, must be undone or parked."""
    return (
        node.kind is Kind.STEP
        and not (node.read_only or node.follow_up)
        and (node.compensation or not node.best_effort)
    )


def _held(state: SagaState, index: int, argument: Argument) -> msgspec.Raw | None:
    """What the journal holds for an argument of a function at this slot."""
    seen = Seen(state, index)
    if argument.source is Source.INPUT:
        return seen.input(argument.node)
    if argument.source is Source.ITEM:
        return seen.item(argument.node)
    return state.slot(index).result if argument.source is Source.OWN_RESULT else seen.result(argument.node)
