"""What may happen next to a saga: each answer of each call, each crash, each verb, the clock.

A move only tells what happens; `Trial` makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

from msgspec import Raw

from amends.core import events as ev, verbs
from amends.core.decide import next_due
from amends.core.events import Event
from amends.core.fold import fold
from amends.core.graph import Kind
from amends.core.state import SagaState, Slot
from amends.core.transitions import StepStatus
from amends.errors import Conflict
from tests.core import world
from tests.core.graphs import EVERY, UNTIL
from tests.core.layout import Layout
from tests.core.situation import Move, Moves, Situation
from tests.core.states import clone
from tests.core.world import DONE, NO_FLIGHT, REQUEST, STRAGGLER, UNDONE, Held, World, put

S = StepStatus
VALUE = Raw(b'{"v":1}')
Answer = tuple[str, Event, World]  # what is told, the event, the world after it


def moves_from(at: Situation, layout: Layout, moves: Moves) -> Iterator[Move]:
    """Every move that may be made from a situation."""
    return _From(at, layout, moves).all()


class _From:
    def __init__(self, at: Situation, layout: Layout, moves: Moves) -> None:
        self.at = at
        self.state: SagaState = at.state
        self.layout = layout
        self.moves = moves
        self.atomic = frozenset(at.state.graph.atomic)

    def all(self) -> Iterator[Move]:
        state = self.state
        if state.seq == 1:
            yield Move("take up", [], self.at.world)
        calling = [slot for slot in self.layout.steps if state.status_of(slot) in _ANSWERS]
        answers = {slot: list(_ANSWERS[state.status_of(slot)](self, slot, self._path(slot))) for slot in calling}
        for slot, told in answers.items():
            for answer in told:
                yield from self._told(slot, *answer)
        if self.moves.crash and calling:
            yield from self._crashes(calling, [], "crash")
        if self.moves.together:
            yield from self._together(answers)
        if not state.finished:
            yield from self._clock()
            yield from self._verbs()
        yield from self._late()

    def _path(self, slot: int) -> str:
        return self.state.path_of(slot)

    def _with(self, slot: int, held: Held) -> World:
        return put(self.at.world, slot, held)

    # --- the answers of calls ------------------------------------------------------------------------

    def _told(self, slot: int, move: str, event: Event, after: World) -> Iterator[Move]:
        if self._is_atomic(slot) and type(event) in (ev.ActionSucceeded, ev.CompensationSucceeded):
            # Its frame was written by itself, with the effect; what follows is decided afterwards, or after a restart.
            yield Move(move, [event], after, restart=[])
            calling = [each for each in self.layout.steps if each != slot and self.state.status_of(each) in _ANSWERS]
            if self.moves.crash:
                yield from self._crashes(calling, [event], f"{move}, then a crash", after)
        else:
            yield Move(move, [event], after)
        if self.moves.drain:
            yield Move(f"{move}, then a shutdown", [event], after, restart=self._cut_off([event], "shutdown"))

    def _is_atomic(self, slot: int) -> bool:
        return self.state.nodes[slot].index in self.atomic

    def _cut_off(self, answered: list[Event], cause: str) -> list[Event]:
        """The cuts of a restart; what was just answered is not cut."""
        nodes = {getattr(event, "node", -1) for event in answered}
        return [event for event in verbs.cut_off(self.state, cause) if getattr(event, "node", -1) not in nodes]

    def _may_accept(self, slot: int) -> bool:
        names = self.moves.accepting
        return not self._is_atomic(slot) and (not names or self.state.nodes[slot].path in names)

    def _answers_of_action(self, slot: int, path: str) -> Iterator[Answer]:
        at, node, held = self.at.world, self.state.nodes[slot], self.at.world[slot]
        atomic = self._is_atomic(slot)
        if held.effect is not UNDONE and (not held.blocked or held.effect is DONE):
            done = self._with(slot, world.landed(held, node.read_only))
            yield f"{path} succeeds", ev.ActionSucceeded(slot, VALUE), done
            if not atomic:
                yield f"the answer of {path} is lost", ev.ActionUnknown(slot, "x"), done
            for poll in self.moves.accept if self._may_accept(slot) else ():
                now = self.at.now
                event = ev.ActionAccepted(slot, now + EVERY, now + UNTIL, EVERY, poll)
                yield (
                    f"{path} is accepted, poll={poll!r}",
                    event,
                    self._with(slot, world.accepted(held, node.read_only)),
                )
        if not atomic:
            yield f"{path} raises, without effect", ev.ActionUnknown(slot, "x"), at
        yield f"{path} is refused", ev.ActionRejected(slot, "no"), at
        yield f"{path} is not sent", ev.ActionNotSent(slot, "x"), at
        if held.effect is not DONE:
            yield (
                f"{path} is refused for good",
                ev.ActionRejected(slot, "no", True),
                self._with(slot, world.refused(held)),
            )
        if self.moves.late and held.flight is not STRAGGLER and not atomic:
            flying = self._with(slot, held._replace(flight=STRAGGLER))
            yield f"{path} times out", ev.ActionUnknown(slot, "x", "timeout"), flying
        if self.moves.poison:
            yield f"the input of {path} does not decode", ev.StepParked(slot, "poison", "x"), at

    def _answers_of_probe(self, slot: int, path: str) -> Iterator[Answer]:
        at, held = self.at.world, self.at.world[slot]
        if held.effect is DONE:
            yield f"the probe finds {path}", ev.ProbeFound(slot, VALUE), at
        else:
            yield f"the probe rejects {path}", ev.ProbeRejected(slot, "no"), self._with(slot, world.refused(held))
        yield f"the probe does not see {path}", ev.ProbeNotSeen(slot), at
        yield f"the probe of {path} fails", ev.ProbeFailed(slot, "x"), at

    def _answers_of_poll(self, slot: int, path: str) -> Iterator[Answer]:
        at, node, held = self.at.world, self.state.nodes[slot], self.at.world[slot]
        if not held.blocked or held.effect is DONE:
            done = self._with(slot, world.landed(held, node.read_only))
            yield f"the poll of {path} finds it done", ev.ActionSucceeded(slot, VALUE), done
        yield f"the poll of {path} finds it not done", ev.PollPending(slot, self.at.now + EVERY, EVERY), at
        # Of what was accepted it is proof; another attempt may have taken effect all the same.
        refused = self._with(slot, held._replace(taken=False))
        yield f"the poll of {path} finds it refused", ev.ActionRejected(slot, "no"), refused
        if held.effect is not DONE:
            never = self._with(slot, world.refused(held))
            yield f"the poll of {path} finds it refused for good", ev.ActionRejected(slot, "no", True), never

    def _answers_of_compensation(self, slot: int, path: str) -> Iterator[Answer]:
        at = self.at.world
        undone = self._with(slot, world.unmade(at[slot]))
        yield f"{path} is undone", ev.CompensationSucceeded(slot), undone
        yield f"the undo of {path} fails", ev.CompensationFailed(slot, "x"), at
        if not self._is_atomic(slot):
            yield f"the answer of the undo of {path} is lost", ev.CompensationFailed(slot, "x"), undone
        yield f"the undo of {path} is refused", ev.CompensationRefused(slot, "x"), at
        for poll in self.moves.undo_accept if self._may_accept(slot) else ():
            now = self.at.now
            event = ev.CompensationAccepted(slot, now + EVERY, now + UNTIL, EVERY, poll)
            yield f"the undo of {path} is accepted, poll={poll!r}", event, at
        if self.moves.poison:
            yield f"the result of {path} does not decode", ev.StepOwed(slot, "poison", "x"), at

    def _answers_of_undo_poll(self, slot: int, path: str) -> Iterator[Answer]:
        at = self.at.world
        undone = self._with(slot, world.unmade(at[slot]))
        yield f"the poll of {path} finds it undone", ev.CompensationSucceeded(slot), undone
        pending = ev.PollPending(slot, self.at.now + EVERY, EVERY, undo=True)
        yield f"the poll of {path} finds it not undone", pending, at
        yield f"the poll of {path} finds its undo refused", ev.CompensationRefused(slot, "x"), at

    # --- crashes -------------------------------------------------------------------------------------------

    def _crashes(self, calling: list[int], first: list[Event], name: str, after: World | None = None) -> Iterator[Move]:
        """Of each call: it was never made, it took effect and its record was lost, it is still on its way."""
        start = self.at.world if after is None else after
        for fates in product(*(sorted(self._fates(slot)) for slot in calling)):
            left = start
            for slot, held in zip(calling, fates, strict=True):
                left = put(left, slot, held)
            # Those who waited for a late answer are dead; their requests may still be on the way.
            left = tuple(h._replace(flight=REQUEST) if h.flight is STRAGGLER else h for h in left)
            cut = self._cut_off(first, "crash")
            if first:
                yield Move(f"{name}; {fates}", first, left, restart=cut)
            else:
                yield Move(f"{name}; {fates}", cut, left)

    def _fates(self, slot: int) -> set[Held]:
        held, status = self.at.world[slot], self.state.status_of(slot)
        if self._is_atomic(slot):
            return {held}  # else it is journalled, too
        if status is S.RUNNING:
            fates = {held, world.landed(held, self.state.nodes[slot].read_only)}
            return fates | {held._replace(flight=REQUEST)} if self.moves.late else fates
        return {held, world.unmade(held)} if status is S.COMPENSATING else {held}

    # --- two in one turn -------------------------------------------------------------------------------------

    def _together(self, answers: dict[int, list[Answer]]) -> Iterator[Move]:
        """Answers that are folded in one frame: with each other, with a cancel, with the deadline."""
        state, now = self.state, self.at.now
        told = [answer for given in answers.values() for answer in given]
        for number, (name, event, after) in enumerate(told):
            if now < state.deadline:
                yield Move(f"{name}, and the deadline", [event], after, ms=state.deadline - now)
            yield from self._and_cancel(name, event, after)
            for other_name, other, other_after in told[number + 1 :]:
                if other.node != event.node:  # type: ignore[attr-defined]
                    both = put(after, other.node, other_after[other.node])  # type: ignore[attr-defined]
                    yield Move(f"{name}, and {other_name}", [event, other], both)

    def _and_cancel(self, name: str, event: Event, after: World) -> Iterator[Move]:
        state = clone(self.state)
        state.at = self.at.now
        fold(state, event)
        yield from self._ask(f"{name}, and a cancel", lambda: [event, *verbs.cancel(state, "r", "a")], after)

    # --- the clock -----------------------------------------------------------------------------------------

    def _clock(self) -> Iterator[Move]:
        state, now, same = self.state, self.at.now, self.at.world
        due = next_due(state)
        if due:
            yield Move("the clock reaches what is due next", [], same, ms=max(0, due - now))
        deadline = state.deadline
        if deadline and now < deadline and not state.ended:
            if deadline != due or state.paused:
                yield Move("the clock reaches the deadline", [], same, ms=deadline - now)
            if self.moves.downtime and deadline - now > 500:
                yield Move("the clock almost reaches the deadline", [], same, ms=deadline - now - 500)
        if self.moves.downtime:
            last = max(state.due.values(), default=0)
            if last > max(due, now):
                yield Move("the clock passes all that is due", [], same, ms=last - now)
            for index in self.layout.steps:
                slot, ttl = state.slots[index], state.policy_of(index).key_ttl_ms
                for born in () if slot is None or not ttl else (slot.first_at, slot.undo_first_at):
                    if born and now < born + ttl:
                        yield Move("the clock reaches the end of a key", [], same, ms=born + ttl - now)

    # --- verbs ---------------------------------------------------------------------------------------------

    def _verbs(self) -> Iterator[Move]:
        state, same = self.state, self.at.world
        waits = [slot for slot in self.layout.ways if state.nodes[slot].kind is Kind.WAIT]
        in_items = {self._path(slot) for slot in waits if slot >= len(state.graph.nodes)}
        for name in sorted({node.signal for node in state.graph.nodes if node.kind is Kind.WAIT} | in_items):
            if not state.signals.get(name):
                yield from self._ask(f"signal {name}", lambda n=name: verbs.signal(state, n, VALUE, ""), same)
        if self.moves.cancel:
            yield from self._ask("cancel", lambda: verbs.cancel(state, "r", "a"), same)
        if self.moves.pause:
            yield from self._ask("pause", lambda: verbs.pause(state, "r", "a"), same)
            yield from self._ask("resume", lambda: verbs.resume(state, "r", "a"), same)
        if self.moves.verbs:
            yield from self._ask("retry", lambda: verbs.retry(state, "r", "a", self.at.now), same)
            for index in self.layout.steps:
                slot = state.slots[index]
                if slot is not None:
                    yield from self._verbs_of(index, slot)

    def _verbs_of(self, index: int, slot: Slot) -> Iterator[Move]:
        state, held, path = self.state, self.at.world[index], self._path(index)
        for outcome in ("done", "not_done"):
            if outcome == "not_done" and held.effect is DONE:
                continue  # a person does not lie
            after = world.by_hand(held, outcome, back=state.turned(index), forward_again=state.committed)
            yield from self._ask(
                f"resolve {path} {outcome}",
                lambda o=outcome: verbs.resolve(state, index, o, VALUE, "r", "a"),
                self._with(index, after),
            )
        yield from self._ask(f"skip {path}", lambda: verbs.skip(state, index, "r", "a"), self.at.world)

    def _ask(self, move: str, verb: Callable[[], list[Event]], after: World) -> Iterator[Move]:
        try:
            events = verb()
        except Conflict:
            return
        if events:
            yield Move(move, events, after)

    # --- what arrives late -----------------------------------------------------------------------------------

    def _late(self) -> Iterator[Move]:
        state = self.state
        for slot in self.layout.steps:
            held = self.at.world[slot]
            if held.flight is NO_FLIGHT:
                continue
            node, path = state.nodes[slot], self._path(slot)
            arrived = world.landed(held._replace(flight=NO_FLIGHT), node.read_only)
            after = self._with(slot, arrived)
            if held.flight is REQUEST:
                yield Move(f"a late request of {path} arrives", [], after)
            elif arrived.effect is DONE or node.read_only:
                events = verbs.late_success(state, slot, VALUE)
                yield Move(f"a late success of {path} arrives", events, after, decided=not state.finished)
            else:
                yield Move(f"a late call of {path} ends without success", [], after)


_ANSWERS: dict[StepStatus, Callable[[Any, int, str], Iterator[Answer]]] = {
    S.RUNNING: _From._answers_of_action,
    S.PROBING: _From._answers_of_probe,
    S.POLLING: _From._answers_of_poll,
    S.COMPENSATING: _From._answers_of_compensation,
    S.UNDO_POLLING: _From._answers_of_undo_poll,
}
