"""Every way a small saga can go: each outcome of each call, each crash, each verb, the clock.

A search over *situations*: a folded saga, what its participants hold, and what an observer of the journal knows.
From each situation every move is made (an answer, a crash, a tick of the clock, a verb); what comes out is checked
against the invariants of the design (S1 to S18, L1) and counted once. The participants are a model of the barrier:
idempotent per key, a compensation without action is stored as a null and blocks the late action.

The observer (`Knowledge`) reads events only, never a `Slot`, so it can disagree with the kernel.

What is left out of a situation's identity are numbers that no longer matter: counters beyond their bound, and
times but for the order of magnitude of what they are away (see `graphs.py` for why that is enough).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any, NamedTuple

from msgspec import Raw

from amends.core import events as ev, transitions, verbs
from amends.core.decide import Evaluate, decide, has_nothing_to_decide, next_due
from amends.core.events import Event, decode_frame, encode_frame
from amends.core.fold import fold, fold_frame, load
from amends.core.graph import Graph, Kind, Policy
from amends.core.state import SagaState, Slot, stays
from amends.core.transitions import ACTIVE, ENDS, STEP_TRANSITIONS, STUCK, UNDECIDED, SagaStatus, StepStatus
from amends.errors import Conflict
from tests.core.graphs import DEADLINE, SLEEP

S = StepStatus
G = SagaStatus
START = 1_700_000_000_000
VALUE = Raw(b'{"v":1}')
SLOT_FIELDS = tuple(name for name in Slot.__annotations__)
ROUNDS_MAX = 60  # rounds of decide in one frame; more is a loop

NONE, DONE, UNDONE = 0, 1, 2  # what a participant holds of an action
NO_FLIGHT, REQUEST, STRAGGLER = 0, 1, 2  # a request that may still land; one whose answer is still waited for


class Held(NamedTuple):
    """What the participant of one step holds."""

    effect: int = NONE
    blocked: bool = False  # a refusal or a null compensation is stored: the action can never take effect
    flight: int = NO_FLIGHT


class Known(NamedTuple):
    """What the journal's events say of one step, by an observer of its own."""

    intent: bool = False
    success: bool = False
    maybe: bool = False  # some attempt may have taken effect, and nothing has proven otherwise
    undo_over: bool = False  # its undo was acknowledged, parked, resolved or skipped once
    acknowledged: bool = False
    running: bool = False
    late: bool = False  # a late success that waits for the running attempt's end


class Violation(AssertionError):
    """An invariant does not hold; the message tells the way there."""


@dataclass(eq=False)
class Situation:
    """One point of the search, and how it was reached."""

    state: SagaState
    world: tuple[Held, ...]
    known: tuple[Known, ...]
    now: int
    before: Situation | None = None
    move: str = ""
    frames: tuple[bytes, ...] = ()  # what this move journalled
    number: int = 0

    def journal(self) -> list[bytes]:
        """All frames up to here."""
        way: list[tuple[bytes, ...]] = []
        at: Situation | None = self
        while at is not None:
            way.append(at.frames)
            at = at.before
        return [frame for frames in reversed(way) for frame in frames]

    def story(self) -> str:
        """The way here, for a person."""
        lines: list[str] = []
        at: Situation | None = self
        while at is not None:
            events = [event for frame in at.frames for event in decode_frame(frame).events]
            lines.append(f"{at.move}\n" + "".join(f"      {event}\n" for event in events))
            at = at.before
        return "".join(reversed(lines))


@dataclass
class Moves:
    """Which moves an exploration makes besides the plain answers."""

    crash: bool = True
    cancel: bool = True
    verbs: bool = True
    pause: bool = False
    late: bool = False  # timeouts whose success arrives later, requests that land later
    poison: bool = False
    drain: bool = False  # a shutdown between an answer and its decision
    downtime: bool = False  # jumps to keys' ends and just before the deadline
    deaths_max: int = 100


@dataclass
class Count:
    """What an exploration saw."""

    sagas: int = 0
    situations: int = 0
    moves: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    transitions: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, other: Count) -> None:
        """Add another exploration's."""
        self.sagas += 1
        self.situations += other.situations
        self.moves += other.moves
        self.ends += other.ends
        self.transitions += other.transitions


TOTAL = Count()  # of this test run; printed at its end


# --- states: copying, comparing, telling apart -----------------------------------------------------


def clone(state: SagaState) -> SagaState:
    """A deep copy; values that are never changed are shared."""
    new = SagaState.__new__(SagaState)
    fields = new.__dict__
    for name, value in state.__dict__.items():
        kind = type(value)
        if kind is deque:
            fields[name] = deque(value, value.maxlen)
        elif name in ("waits", "signals"):
            fields[name] = {key: type(items)(items) for key, items in value.items()}
        elif name == "slots":
            fields[name] = [None if slot is None else _clone_slot(slot) for slot in value]
        elif kind is dict or kind is set:
            fields[name] = kind(value)
        else:
            fields[name] = value
    return new


def _clone_slot(slot: Slot) -> Slot:
    new = Slot.__new__(Slot)
    new.__dict__.update(slot.__dict__)
    return new


def same(one: SagaState, other: SagaState) -> bool:
    """Whether two states are equal in every field; a default counts as what it stands for."""
    left, right = one.__dict__, other.__dict__
    for name, value in left.items():
        if name == "slots":
            for a, b in zip(value, right[name], strict=True):
                equal = a is b if a is None or b is None else a.__dict__ == b.__dict__
                if not equal and contents(one)["slots"] != contents(other)["slots"]:
                    return False
        elif value != right[name]:
            return False
    return left.keys() == right.keys()


def contents(state: SagaState) -> dict[str, Any]:
    """Everything a state holds, to compare with another's."""
    fields = dict(state.__dict__)
    fields["slots"] = [None if s is None else [getattr(s, name) for name in SLOT_FIELDS] for s in state.slots]
    return fields


def _away(at: int, now: int) -> int:
    """The order of magnitude of what a time is away; -1 for never, 0 for over."""
    return -1 if not at else 0 if at <= now else len(str(at - now - 1))


def identity(graph: Graph, at: Situation, moves: Moves) -> tuple[Any, ...]:
    """What makes a situation different from another."""
    state, now = at.state, at.now
    slots = []
    for index, s in enumerate(state.slots):
        if s is None:
            slots.append(None)
            continue
        slots.append(_identity_of_slot(s, graph.policies[index], now, deaths=moves.deaths_max))
    return (
        tuple(slots), state.status, _away(state.deadline, now), state.deadline_passed, state.paused, state.back,
        state.committed, state.pivot, state.failing is None, state.cancelling, state.undoing, state.walk_done,
        state.followup_failed, state.anomalous, state.finished, state.skips,
        tuple(sorted((node, _away(due, now)) for node, due in state.due.items())),
        tuple(sorted((name, len(payloads)) for name, payloads in state.signals.items() if payloads)),
        tuple(h._replace(effect=NONE) if h.effect is UNDONE and h.blocked else h for h in at.world),
        tuple(True if k.acknowledged else k for k in at.known),
    )  # fmt: skip


def _identity_of_slot(s: Slot, p: Policy, now: int, *, deaths: int) -> tuple[Any, ...]:
    if s.status in PROVEN:
        return (s.status, s.undone)
    always = (
        s.status,
        s.unknown,
        s.undone,
        s.cursor,
        s.remaining,
        s.forced,
        min(s.deaths, deaths) if deaths < 100 else 0,
    )
    if s.status in SETTLED:
        return always
    ttl = p.key_ttl_ms
    if s.status in STUCK:  # a person's verb starts its counters afresh
        born = s.undo_first_at if s.status is S.OWED else s.first_at
        return (
            *always,
            min(s.calls, 1),
            min(s.undo_calls, 1),
            s.result is None,
            ttl and born and _away(born + ttl, now),
        )
    if s.status in UNDOING:
        return (
            *always, s.result is None, min(s.undo_attempts, p.compensation_retry.attempts), s.undo_refused, s.reason,
            min(s.undo_calls, 1), ttl and s.undo_first_at and _away(s.undo_first_at + ttl, now),
        )  # fmt: skip
    return (
        *always, min(s.attempts, p.retry.attempts), min(s.calls, 1), s.refused, s.rejected, s.cut, s.reason,
        min(s.probes, p.probe_retry.attempts), s.probed, s.probe_failed, s.late is None, _away(s.sleep_due, now),
        ttl and s.first_at and _away(s.first_at + ttl, now),
    )  # fmt: skip


# --- the search --------------------------------------------------------------------------------------


class Exploration:
    """All situations of one saga."""

    def __init__(self, graph: Graph, moves: Moves) -> None:
        self.graph = graph
        self.moves = moves
        self.count = Count()
        self.seen: dict[tuple[Any, ...], Situation] = {}
        self.queue: deque[Situation] = deque()
        self.edges: list[tuple[int, int]] = []
        self.steps = [n.index for n in graph.nodes if n.kind is Kind.STEP]
        self.place = {index: place for place, index in enumerate(self.steps)}
        self.later = {x: [y for y in self.steps if before(graph, x, y)] for x in self.steps}
        self.signals = sorted({n.signal for n in graph.nodes if n.kind is Kind.WAIT})

    def run(self) -> Count:
        """Search; raises `Violation` with the story of the first broken invariant."""
        with watched(self.count.transitions):
            blank = Situation(
                SagaState(self.graph), (Held(),) * len(self.steps), (Known(),) * len(self.steps), START, move="start"
            )
            blank.state.deaths_max = self.moves.deaths_max
            deadline = START + self.graph.deadline_ms if self.graph.deadline_ms else 0
            first = ev.Started("s", "saga", 1, "", ev.NOTHING, deadline, self.graph.deadline_ms)
            self.make(blank, "start", [first], blank.world, decided=False)
            while self.queue:
                at = self.queue.popleft()
                for _ in self.all_moves(at):
                    pass
        if self.moves.verbs:
            self.check_that_an_end_is_always_possible()
        self.count.situations = len(self.seen)
        return self.count

    def make(
        self, at: Situation, move: str, happened: list[Event], world: tuple[Held, ...], *,
        ms: int = 0, crashed: bool = False, decided: bool = True, restart: list[Event] | None = None,
    ) -> None:  # fmt: skip
        """Make one move: fold what happened and what the kernel decides, in every way `Evaluate` may be answered.

        With `restart`, what happened is journalled alone, and these events lead the next frame.
        """
        answers: list[int] = []
        while True:
            taken: list[tuple[int, int]] = []
            new = self._attempt(at, move, happened, world, at.now + ms, answers, taken, decided, restart, crashed)
            self.count.moves += 1
            self._arrive(at, new)
            while taken and taken[-1][0] + 1 == taken[-1][1]:
                taken.pop()
            if not taken:
                return
            answers = [choice for choice, _ in taken[:-1]] + [taken[-1][0] + 1]

    def _attempt(
        self, at: Situation, move: str, happened: list[Event], world: tuple[Held, ...], now: int, answers: list[int],
        taken: list[tuple[int, int]], decided: bool, restart: list[Event] | None, crashed: bool,
    ) -> Situation:  # fmt: skip
        new = Situation(clone(at.state), world, at.known, now, at, move)
        try:
            if restart is None:
                self._frame(new, happened, answers, taken, decided)
            else:
                self._frame(new, happened, answers, taken, decided=False)
                self._frame(new, restart, answers, taken, decided=True)
            self._check_at_rest(new, decided)
        except Violation as error:
            raise Violation(f"{error}\n{new.story()}") from error
        except Exception as error:
            raise Violation(f"{type(error).__name__}: {error}\n{new.story()}") from error
        return new

    def _arrive(self, at: Situation, new: Situation) -> None:
        known = self.seen.get(key := identity(self.graph, new, self.moves))
        if known is None:
            new.number = len(self.seen)
            known = self.seen[key] = new
            self.queue.append(new)
            if new.state.finished:
                self.count.ends[new.state.status] += 1
            self._check_journal(new)
        if known is new or self.count.moves % 4 == 0:
            self._check_frames(at, new)
        self.edges.append((at.number, known.number))

    def _frame(
        self, new: Situation, happened: list[Event], answers: list[int], taken: list[tuple[int, int]], decided: bool
    ) -> None:
        state, now = new.state, new.now
        was_at, state.at = state.at, now
        frame: list[Event] = []
        new.frames = (*new.frames, b"")
        commands: list[Any] = list(happened) or (decide(self.graph, state, now) if decided else [])
        try:
            self._rounds(new, commands, frame, answers, taken, decided)
        finally:
            new.frames = (*new.frames[:-1], encode_frame(now, frame))  # a violation is told with the events up to it
        if not frame:
            new.frames, state.at = new.frames[:-1], was_at
            return
        state.seq += 1

    def _rounds(
        self, new: Situation, commands: list[Any], frame: list[Event], answers: list[int], taken: list[tuple[int, int]],
        decided: bool,
    ) -> None:  # fmt: skip
        rounds = 0
        while commands:
            rounds += 1
            for command in commands:
                event = self._answer(command, new.now, answers, taken) if type(command) is Evaluate else command
                frame.append(event)
                self._fold(new, event)
            if rounds > ROUNDS_MAX:
                raise Violation("decide never comes to rest")
            commands = decide(self.graph, new.state, new.now) if decided else []
            expect(not (commands and has_nothing_to_decide(new.state)), "has_nothing_to_decide() is wrong")

    def _answer(self, command: Evaluate, now: int, answers: list[int], taken: list[tuple[int, int]]) -> Event:
        node = self.graph.nodes[command.node]
        ways = len(node.children) if node.kind is Kind.CHOOSE else 1
        ways += self.moves.poison
        choice = answers[len(taken)] if len(taken) < len(answers) else 0
        taken.append((choice, ways))
        if self.moves.poison and choice == ways - 1:
            return ev.StepParked(node.index, "poison", "the predicate raised")
        return (
            ev.BranchChosen(node.index, choice)
            if node.kind is Kind.CHOOSE
            else ev.SleepStarted(node.index, now + SLEEP)
        )

    # --- the moves -------------------------------------------------------------------------------------

    def all_moves(self, at: Situation) -> Iterator[None]:
        """Make every move from a situation; yields after each group."""
        state = at.state
        if state.seq == 1:
            self.make(at, "take up", [], at.world)
        calling = []
        for index in self.steps:
            status = state.status_of(index)
            if status is S.RUNNING:
                calling.append((index, "action"))
                self._answers_of_action(at, index)
            elif status is S.PROBING:
                calling.append((index, "probe"))
                self._answers_of_probe(at, index)
            elif status is S.COMPENSATING:
                calling.append((index, "compensation"))
                self._answers_of_compensation(at, index)
            yield
        if self.moves.crash and calling:
            self._crashes(at, calling)
            yield
        if state.finished:
            self._late(at)
            return
        self._clock(at)
        yield
        self._verbs(at)
        yield
        self._late(at)

    def _told(self, at: Situation, move: str, event: Event, world: tuple[Held, ...]) -> None:
        self.make(at, move, [event], world)
        if self.moves.drain:
            self.make(at, f"{move}, then a shutdown", [event], world, restart=verbs_cut_off(at, [event], "shutdown"))

    def _answers_of_action(self, at: Situation, index: int) -> None:
        node, held = self.graph.nodes[index], self._held(at, index)
        path = node.path
        done = self._with(at, index, landed(held, node.read_only))
        if held.effect is not UNDONE and (not held.blocked or held.effect is DONE):
            self._told(at, f"{path} succeeds", ev.ActionSucceeded(index, VALUE), done)
            self._told(at, f"the answer of {path} is lost", ev.ActionUnknown(index, "x"), done)
        self._told(at, f"{path} raises, without effect", ev.ActionUnknown(index, "x"), at.world)
        self._told(at, f"{path} is refused", ev.ActionRejected(index, "no"), at.world)
        self._told(at, f"{path} is not sent", ev.ActionNotSent(index, "x"), at.world)
        if held.effect is not DONE:
            blocked = self._with(at, index, held._replace(blocked=True))
            self._told(at, f"{path} is refused for good", ev.ActionRejected(index, "no", True), blocked)
        if self.moves.late and held.flight is not STRAGGLER:
            flying = self._with(at, index, held._replace(flight=STRAGGLER))
            self._told(at, f"{path} times out", ev.ActionUnknown(index, "x", "timeout"), flying)
        if self.moves.poison:
            self._told(at, f"the input of {path} does not decode", ev.StepParked(index, "poison", "x"), at.world)

    def _answers_of_probe(self, at: Situation, index: int) -> None:
        path, held = self.graph.nodes[index].path, self._held(at, index)
        if held.effect is DONE:
            self._told(at, f"the probe finds {path}", ev.ProbeFound(index, VALUE), at.world)
        else:
            blocked = self._with(at, index, held._replace(blocked=True))
            self._told(at, f"the probe rejects {path}", ev.ProbeRejected(index, "no"), blocked)
        self._told(at, f"the probe does not see {path}", ev.ProbeNotSeen(index), at.world)
        self._told(at, f"the probe of {path} fails", ev.ProbeFailed(index, "x"), at.world)

    def _answers_of_compensation(self, at: Situation, index: int) -> None:
        path, held = self.graph.nodes[index].path, self._held(at, index)
        undone = self._with(at, index, unmade(held))
        self._told(at, f"{path} is undone", ev.CompensationSucceeded(index), undone)
        self._told(at, f"the undo of {path} fails", ev.CompensationFailed(index, "x"), at.world)
        self._told(at, f"the answer of the undo of {path} is lost", ev.CompensationFailed(index, "x"), undone)
        self._told(at, f"the undo of {path} is refused", ev.CompensationRefused(index, "x"), at.world)
        if self.moves.poison:
            self._told(at, f"the result of {path} does not decode", ev.StepOwed(index, "poison", "x"), at.world)

    def _crashes(self, at: Situation, calling: list[tuple[int, str]]) -> None:
        """Of each call: it was never made, it took effect and its record was lost, it is still on its way."""
        ways = []
        for index, op in calling:
            held = self._held(at, index)
            if op == "action":
                fates = {held, landed(held, self.graph.nodes[index].read_only)}
                if self.moves.late:
                    fates.add(held._replace(flight=REQUEST))
            else:
                fates = {held, unmade(held)} if op == "compensation" else {held}
            ways.append(sorted(fates))
        for fates in product(*ways):
            world = at.world
            for (index, _), held in zip(calling, fates, strict=True):
                place = self.place[index]
                world = (*world[:place], held, *world[place + 1 :])
            # Those who waited for a late answer are dead; their requests may still be on the way.
            world = tuple(h._replace(flight=REQUEST) if h.flight is STRAGGLER else h for h in world)
            self.make(at, f"crash; {fates}", verbs.cut_off(at.state, "crash"), world, crashed=True)

    def _clock(self, at: Situation) -> None:
        state, now = at.state, at.now
        due = next_due(state)
        if due:
            self.make(at, "the clock reaches what is due next", [], at.world, ms=max(0, due - now))
        deadline = state.deadline
        if deadline and now < deadline and not state.ended:
            if deadline != due or state.paused:
                self.make(at, "the clock reaches the deadline", [], at.world, ms=deadline - now)
            if self.moves.downtime and deadline - now > 500:
                self.make(at, "the clock almost reaches the deadline", [], at.world, ms=deadline - now - 500)
        if self.moves.downtime:
            last = max(state.due.values(), default=0)
            if last > max(due, now):
                self.make(at, "the clock passes all that is due", [], at.world, ms=last - now)
            for index in self.steps:
                slot, ttl = state.slots[index], self.graph.policies[index].key_ttl_ms
                for born in () if slot is None or not ttl else (slot.first_at, slot.undo_first_at):
                    if born and now < born + ttl:
                        self.make(at, "the clock reaches the end of a key", [], at.world, ms=born + ttl - now)

    def _verbs(self, at: Situation) -> None:
        state = at.state
        for name in self.signals:
            if not state.signals.get(name):
                self._ask(at, f"signal {name}", lambda n=name: verbs.signal(state, n, VALUE, ""))
        if self.moves.cancel:
            self._ask(at, "cancel", lambda: verbs.cancel(state, "r", "a"))
        if self.moves.pause:
            self._ask(at, "pause", lambda: verbs.pause(state, "r", "a"))
            self._ask(at, "resume", lambda: verbs.resume(state, "r", "a"))
        if not self.moves.verbs:
            return
        self._ask(at, "retry", lambda: verbs.retry(state, "r", "a", at.now))
        for index in self.steps:
            if state.slots[index] is None:
                continue
            held = self._held(at, index)
            for outcome in ("done", "not_done"):
                world = self._with(at, index, by_hand(held, outcome, back=state.back, forward_again=state.committed))
                if outcome == "not_done" and held.effect is DONE:
                    continue  # a person does not lie
                name = f"resolve {self.graph.nodes[index].path} {outcome}"
                self._ask(at, name, lambda i=index, o=outcome: verbs.resolve(state, i, o, VALUE, "r", "a"), world)
            self._ask(at, f"skip {self.graph.nodes[index].path}", lambda i=index: verbs.skip(state, i, "r", "a"))

    def _ask(
        self, at: Situation, move: str, verb: Callable[[], list[Event]], world: tuple[Held, ...] | None = None
    ) -> None:
        try:
            events = verb()
        except Conflict:
            return
        if events:
            self.make(at, move, events, at.world if world is None else world)

    def _late(self, at: Situation) -> None:
        for index in self.steps:
            held = self._held(at, index)
            if held.flight is NO_FLIGHT:
                continue
            node = self.graph.nodes[index]
            arrived = landed(held._replace(flight=NO_FLIGHT), node.read_only)
            world = self._with(at, index, arrived)
            if held.flight is REQUEST:
                self.make(at, f"a late request of {node.path} arrives", [], world)
            elif arrived.effect is DONE or node.read_only:
                events = verbs.late_success(at.state, index, VALUE)
                self.make(at, f"a late success of {node.path} arrives", events, world, decided=not at.state.finished)
            else:
                self.make(at, f"a late call of {node.path} ends without success", [], world)

    def _held(self, at: Situation, index: int) -> Held:
        return at.world[self.place[index]]

    def _with(self, at: Situation, index: int, held: Held) -> tuple[Held, ...]:
        place = self.place[index]
        return (*at.world[:place], held, *at.world[place + 1 :])

    # --- the invariants ----------------------------------------------------------------------------------

    def _fold(self, new: Situation, event: Event) -> None:
        """Fold one event, and check it against what was before it."""
        state = new.state
        self._check_event(new, event)
        was, ended, back = state.status, state.ended, state.back
        fold(state, event)
        self._observe(new, event, back)
        if state.status is not was:
            expect(state.status in transitions.SAGA_TRANSITIONS[was].values(), f"S2: {was} -> {state.status}")
        expect(not ended or state.status is was, "S1: an end is for ever")
        expect(state.back or not back, "a saga that turned back went forward again")

    def _check_event(self, new: Situation, event: Event) -> None:
        state, kind = new.state, type(event)
        node = getattr(event, "node", -1)
        follow_up = node >= 0 and self.graph.nodes[node].follow_up
        if state.ended:
            expect(follow_up or kind in AFTER_THE_END, f"S1: {kind.__name__} after the end")
        if kind in INTENTS:
            expect(not state.paused, "rule 8: an attempt starts while the saga is paused")
            expect(state.slot(node).deaths < state.deaths_max, "rule 4: poison is called again")
            held = new.world[self.place[node]]
            if kind is ev.ActionStarted:
                expect(follow_up or not state.back, "rule 5: an action starts while turning back")
                expect(follow_up or not (0 < state.deadline <= new.now), "S18: an action starts after the deadline")
                expect(follow_up or state.failing is None, "rule 5: an action starts when the saga is to turn back")
                expect(held.effect is not UNDONE, "an action starts after its undo")
                self._check_key(new, node, "first_at")
        if kind is ev.CompensationStarted:
            self._check_compensation(new, node)
        if kind in (ev.TurnedBack, ev.CompensationStarted, ev.StepOwed):
            committed = any(
                new.known[self.place[index]].success for index in self.steps if self.graph.nodes[index].pivot
            )
            expect(not committed, "S14: after the pivot's success nothing goes back")
        if kind is ev.RetryScheduled:
            expect(follow_up or not state.back, "rule 5: a retry while turning back")
            expect(
                follow_up or not state.deadline or event.due < state.deadline, "rule 10: a backoff past the deadline"
            )

    def _check_key(self, new: Situation, node: int, born: str) -> None:
        ttl, first = self.graph.policies[node].key_ttl_ms, getattr(new.state.slot(node), born)
        expect(not ttl or not first or new.now < first + ttl, "rule 3: an attempt uses a key that expired")

    def _check_compensation(self, new: Situation, index: int) -> None:
        state, known = new.state, new.known[self.place[index]]
        self._check_key(new, index, "undo_first_at")
        expect(known.intent, "S10: a compensation without an intent of the action")
        expect(known.success or known.maybe, "S10: a compensation of a step proven without effect")
        expect(state.back, "a compensation while going forward")
        calling = [
            s for s in state.slots if s is not None and s.status in (S.RUNNING, S.PROBING, S.SETTLING, S.RETRYING)
        ]
        expect(not calling, "rule 5: a compensation starts before every attempt has its outcome")
        for later in self.later[index]:
            other, node = new.known[self.place[later]], self.graph.nodes[later]
            if (other.success or other.maybe) and not node.read_only and not disposable(node) and not node.follow_up:
                expect(other.undo_over, f"S11: undone before its successor {node.path}")

    def _observe(self, new: Situation, event: Event, back: bool) -> None:
        node = getattr(event, "node", -1)
        place = self.place.get(node)
        if place is None:
            return
        known = observed(new.known[place], event, back=back, read_only=self.graph.nodes[node].read_only)
        new.known = (*new.known[:place], known, *new.known[place + 1 :])

    def _check_at_rest(self, new: Situation, decided: bool) -> None:
        """What holds after every frame."""
        state = new.state
        self._check_branches(state)
        for index in self.steps:
            slot = state.slots[index]
            held, known, node = new.world[self.place[index]], new.known[self.place[index]], self.graph.nodes[index]
            if slot is None:
                expect(held == Held(), f"S5: {node.path} took effect before it was reached")
                continue
            if not known.success:
                expect(
                    slot.unknown == known.maybe,
                    f"rule 1: {node.path} unknown={slot.unknown}, the journal says {known.maybe}",
                )
            if slot.status in (S.REJECTED, S.FAILED, S.DROPPED, S.READY, S.TIMED_OUT) and not node.read_only:
                possible = held.effect is DONE or (held.flight and not held.blocked)
                unsure = node.follow_up or (slot.unknown and slot.status is S.READY)
                expect(not possible or unsure, f"{node.path} is {slot.status}, and took effect or still may")
        if decided and not state.finished:
            self._check_that_it_moves(state)
        if state.ended and not new.before.state.ended:
            self._check_end(new)

    def _check_branches(self, state: SagaState) -> None:
        """L1, and that every counter is what the slots say."""
        statuses = {index: slot.status for index, slot in enumerate(state.slots) if slot is not None}
        expect(state.active == sum(s in ACTIVE for s in statuses.values()), "L1: state.active")
        expect(state.stuck == sum(s in STUCK for s in statuses.values()), "L1: state.stuck")
        expect(set(state.agenda) == {i for i, s in statuses.items() if s in UNDECIDED}, "L1: state.agenda")
        timed = (S.RETRYING, S.PROBE_RETRYING, S.UNDO_RETRYING)
        for index, status in statuses.items():
            node = self.graph.nodes[index]
            if status in timed or (
                status is S.WAITING and (node.kind is Kind.SLEEP or self.graph.policies[index].wait_ms)
            ):
                expect(index in state.due, f"L1: {node.path} is {status} without a due time")
            else:
                expect(index not in state.due, f"L1: {node.path} is {status} and has a due time")
        for index in state.due:
            expect(index in statuses, "L1: a due time without a node")

    def _check_that_it_moves(self, state: SagaState) -> None:
        expect(not state.agenda or state.paused, f"L1: something is ready and nothing is done: {list(state.agenda)}")
        expect(state.failing is None, "the saga is to turn back and does not")
        waited_for = state.pivot >= 0 and state.status_of(state.pivot) in ACTIVE
        expect(not state.cancelling or waited_for, "rule 10: a cancel waits for a pivot that will not answer it")
        if state.status is G.REQUIRES_MANUAL:
            expect(
                state.stuck > 0 and not state.active,
                "rule 7: requires_manual with something else to do, or nothing parked",
            )
            return
        statuses = [slot.status for slot in state.slots if slot is not None]
        expect(
            state.active or S.WAITING in statuses,
            "liveness: nothing to wait for, and neither at an end nor requires_manual",
        )
        expect(state.active or not state.stuck, "rule 7: parked, nothing else moves, and not requires_manual")

    def _check_end(self, new: Situation) -> None:
        state = new.state
        staying = set(stays(state))
        for index in self.steps:
            node, held, known = self.graph.nodes[index], new.world[self.place[index]], new.known[self.place[index]]
            if node.read_only or node.follow_up:
                continue
            there = held.effect is DONE or (held.flight and not held.blocked)
            if state.status is G.COMPENSATED and not disposable(node):
                expect(not there, f"S12: compensated, and the effect of {node.path} is there or may still come")
                owed = known.success or known.maybe
                expect(not owed or known.acknowledged, f"S12: compensated without an acknowledged undo of {node.path}")
            elif state.status is G.CLOSED and not disposable(node):
                expect(not there or index in staying, f"rule 7: closed, and {node.path} stays without being listed")
            elif state.status is G.COMPLETED:
                if state.status_of(index) is S.SUCCEEDED:
                    expect(held.effect is DONE, f"S9: completed, and {node.path} did not take effect")
                elif not node.best_effort:
                    expect(not there, f"completed, and {node.path} took effect unnoticed")
        if state.status is G.COMPLETED:
            statuses = {state.status_of(index) for index in self.steps if not self.graph.nodes[index].follow_up}
            expect(statuses <= {S.SUCCEEDED, S.PASSED, S.PENDING}, f"completed with {statuses}")

    def _check_frames(self, at: Situation, new: Situation) -> None:
        """Of every way to a new situation, and of every fourth other: what the move journalled, read and folded."""
        again = clone(at.state)
        for frame in new.frames:
            fold_frame(again, decode_frame(frame))
        if not same(again, new.state):
            raise Violation(f"S4: the journal folds to another state: {difference(again, new.state)}\n{new.story()}")

    def _check_journal(self, new: Situation) -> None:
        """Of every 64th situation and every finished one: the whole journal, folded anew."""
        if new.number % 64 and not new.state.finished:
            return
        frames = [decode_frame(frame) for frame in new.journal()]
        again = load(self.graph, frames)
        again.deaths_max = new.state.deaths_max
        expect(same(again, new.state), f"S4: load() gives another state: {difference(again, new.state)}\n{new.story()}")
        ends = [event for frame in frames for event in frame.events if type(event) in END_EVENTS]
        expect(len(ends) == (new.state.status in ENDS), f"S1: ends: {ends}")

    def check_that_an_end_is_always_possible(self) -> None:
        """No situation is a trap: from each there is a way to the end (verbs included)."""
        back: dict[int, list[int]] = {}
        for source, target in self.edges:
            back.setdefault(target, []).append(source)
        situations = {situation.number: situation for situation in self.seen.values()}
        good = [number for number, situation in situations.items() if situation.state.finished]
        reached = set(good)
        while good:
            for source in back.get(good.pop(), ()):
                if source not in reached:
                    reached.add(source)
                    good.append(source)
        for number, situation in situations.items():
            if number not in reached:
                raise Violation(f"liveness: no way leads from here to an end\n{situation.story()}")


PROVEN = frozenset({S.REJECTED, S.FAILED, S.DROPPED, S.COMPENSATED})
SETTLED = frozenset({S.SUCCEEDED, S.UNKNOWN, S.PASSED, S.TIMED_OUT, S.SKIPPED, S.PENDING})
UNDOING = frozenset({S.UNDO_READY, S.COMPENSATING, S.UNDO_SETTLING, S.UNDO_RETRYING, S.OWED})
INTENTS = frozenset({ev.ActionStarted, ev.CompensationStarted, ev.ProbeStarted})
END_EVENTS = frozenset({ev.Completed, ev.Compensated, ev.Closed})
AFTER_THE_END = frozenset(
    {ev.FollowUpsEnded, ev.AnomalyNoted, ev.AttemptAbandoned, ev.RetryRequested, ev.Resumed, ev.Held, ev.Released}
)
ENDS_OF_ATTEMPTS = frozenset({
    ev.ActionRejected, ev.ActionNotSent, ev.ActionUnknown, ev.ActionCut, ev.ProbeNotSeen, ev.ProbeRejected,
    ev.ProbeFailed,
    ev.ProbeCut, ev.StepParked, ev.ActionSucceeded, ev.ProbeFound,
})  # fmt: skip


def expect(holds: object, message: str) -> None:
    """An invariant."""
    if not holds:
        raise Violation(message)


def observed(known: Known, event: Any, *, back: bool, read_only: bool) -> Known:
    """What an observer knows of a step after one more event of it."""
    kind = type(event)
    if kind is ev.ActionStarted or kind is ev.ProbeStarted:
        return known._replace(intent=True, running=True)
    resolved = event.outcome if kind is ev.Resolved else ""
    if kind in (ev.ActionSucceeded, ev.ProbeFound) or (resolved == "done" and not event.undo):
        known = known._replace(success=True)
    elif kind is ev.LateSucceeded:
        known = known._replace(success=known.success or not known.running, late=known.running)
    elif kind in (ev.ActionUnknown, ev.ActionCut) and not read_only:
        known = known._replace(maybe=True)
    elif kind is ev.ProbeRejected or resolved == "not_done" or (kind is ev.ActionRejected and event.conclusive):
        known = known._replace(maybe=False, undo_over=known.undo_over or (resolved != "" and event.undo))
    elif kind is ev.CompensationSucceeded or resolved:
        known = known._replace(undo_over=True, acknowledged=True)
    elif kind is ev.StepOwed or (kind is ev.Skipped and back):
        known = known._replace(undo_over=True)
    if kind in ENDS_OF_ATTEMPTS:
        known = known._replace(running=False, late=False, success=known.success or known.late)
    return known._replace(maybe=False) if known.success else known


def disposable(node: Any) -> bool:
    """Best effort without compensation: its effect may stay."""
    return bool(node.best_effort and not node.compensation)


def before(graph: Graph, first: int, second: int) -> bool:
    """Whether one leaf comes before another in the partial order."""

    def way(index: int) -> list[int]:
        up = []
        while index >= 0:
            up.append(index)
            index = graph.nodes[index].parent
        return up[::-1]

    one, other = way(first), way(second)
    for depth, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            parent = graph.nodes[one[depth - 1]] if depth else None
            return (
                parent is not None
                and parent.kind is Kind.SEQUENCE
                and graph.nodes[a].position < graph.nodes[b].position
            )
    return False


def landed(held: Held, read_only: bool) -> Held:
    """The action's request arrives at a barrier."""
    return held if read_only or held.blocked or held.effect is not NONE else held._replace(effect=DONE)


def unmade(held: Held) -> Held:
    """The compensation's request arrives at a barrier; without an action it is a null, and blocks it."""
    return held._replace(effect=UNDONE if held.effect is DONE else held.effect, blocked=True)


def by_hand(held: Held, outcome: str, *, back: bool, forward_again: bool) -> Held:
    """What a person did before saying so."""
    if back:
        return Held(UNDONE if held.effect is DONE else held.effect, True)
    if outcome == "done":
        return Held(DONE, False)
    return Held(held.effect, not forward_again)


def verbs_cut_off(at: Situation, answered: list[Event], cause: str) -> list[Event]:
    """The cuts of a restart; what was just answered is not cut."""
    nodes = {getattr(event, "node", -1) for event in answered}
    return [event for event in verbs.cut_off(at.state, cause) if getattr(event, "node", -1) not in nodes]


def difference(one: SagaState, other: SagaState) -> str:
    """The fields in which two states differ."""
    left, right = contents(one), contents(other)
    return ", ".join(f"{name}: {left[name]} / {right.get(name)}" for name in left if left[name] != right.get(name))


class watched:  # noqa: N801 -- reads as a clause
    """Count every transition of the step's table that is taken within the block."""

    def __init__(self, seen: Counter[tuple[str, str]]) -> None:
        self.seen = seen

    def __enter__(self) -> None:
        seen, self.move = self.seen, SagaState.move
        original = self.move

        def move(state: SagaState, index: int, slot: Slot, event: str) -> None:
            old = slot.status
            original(state, index, slot, event)
            seen[old, event] += 1
            assert slot.status is STEP_TRANSITIONS[old][event]

        SagaState.move = move

    def __exit__(self, *error: object) -> None:
        SagaState.move = self.move


assert DEADLINE  # the scale of the times is told in graphs.py
