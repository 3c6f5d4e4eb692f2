"""What must hold at every event and at every frame: the invariants of the design (S1 to S18, L1, the rules).

What is owed and what may be there is asked of the observer and of the participants, not of the kernel.
"""

from __future__ import annotations

from typing import Any

from amends.core import events as ev, transitions
from amends.core.events import Event
from amends.core.graph import Graph, Kind
from amends.core.places import Block
from amends.core.state import SagaState, stays
from amends.core.transitions import ACTIVE, BACKING_OFF, STUCK, UNDECIDED, SagaStatus, StepStatus
from tests.core.layout import Layout
from tests.core.observer import Known, disposable, owes
from tests.core.situation import Situation, Violation, expect
from tests.core.world import DONE, UNDONE, Held, there

S = StepStatus
G = SagaStatus
INTENTS = frozenset({ev.ActionStarted, ev.CompensationStarted, ev.ProbeStarted, ev.PollStarted})
AFTER_THE_END = frozenset(
    {ev.FollowUpsEnded, ev.AnomalyNoted, ev.AttemptAbandoned, ev.RetryRequested, ev.Resumed, ev.Held, ev.Released}
)
HAS_AN_OUTCOME_YET_TO_COME = frozenset(
    {S.RUNNING, S.PROBING, S.POLLING, S.SETTLING, S.RETRYING, S.PROBE_RETRYING, S.ACCEPTED}
)
ASKED = frozenset({S.ACCEPTED, S.POLLING})
WITHOUT_EFFECT = frozenset({S.REJECTED, S.FAILED, S.DROPPED, S.READY, S.TIMED_OUT})
NOTHING_HELD = Held()
KEEPS_ITS_PLACE = ACTIVE | {S.PARKED, S.WAITING, S.UNDOING}
STEP_CAUSES = frozenset({"rejected", "failed", "unknown", "timeout"})


class Invariants:
    """Of one saga."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.certain = frozenset(n.index for n in graph.nodes if n.read_only) | frozenset(graph.atomic)
        self._layouts: dict[tuple[Block, ...], Layout] = {}

    def layout(self, state: SagaState) -> Layout:
        """Where the saga's slots stand."""
        blocks = tuple(state.blocks)
        found = self._layouts.get(blocks)
        if found is None:
            found = self._layouts[blocks] = Layout(self.graph, blocks)
        return found

    # --- of an event, against what was before it ---------------------------------------------------

    def check_event(self, new: Situation, event: Event) -> None:
        """Check an event that is about to be folded."""
        state, kind = new.state, type(event)
        node = getattr(event, "node", -1)
        if state.ended:
            follow_up = node >= 0 and state.nodes[node].follow_up
            expect(follow_up or kind in AFTER_THE_END, f"S1: {kind.__name__} after the end")
        if kind in INTENTS:
            self._check_intent(new, event, node)
        elif kind is ev.RetryScheduled:
            self._check_retry(new, event)
        elif kind in (ev.AlternativeStarted, ev.AlternativeFailed, ev.FirstOfFailed):
            self._check_first_of(new, event)
        elif kind is ev.TurnedBack and event.cause in STEP_CAUSES and event.node >= 0:
            for first_of, position in self.layout(state).around[event.node]:
                last = position + 1 == len(state.nodes[first_of].children)
                expect(last, "first_of: the saga turns back, and an alternative is left")
        if kind in (ev.TurnedBack, ev.CompensationStarted, ev.StepOwed, ev.AlternativeFailed):
            steps = self.layout(state).steps
            committed = any(new.known[slot].success for slot in steps if state.nodes[slot].pivot)
            expect(not committed, "S14: after the pivot's success nothing goes back")

    def _check_intent(self, new: Situation, event: Any, node: int) -> None:
        state, kind = new.state, type(event)
        expect(not state.paused, "rule 8: an attempt starts while the saga is paused")
        expect(state.slot(node).deaths < state.deaths_max, "rule 4: poison is called again")
        if kind is ev.CompensationStarted:
            self._check_compensation(new, node)
        elif kind is ev.PollStarted and event.undo:
            expect(self._turned(new, node), "a poll of a compensation while going forward")
            expect(new.now < state.slot(node).poll_until, "a poll after the time of asking")
        elif kind is not ev.ProbeStarted:
            follow_up = state.nodes[node].follow_up
            expect(follow_up or not self._turned(new, node), "rule 5: an action starts, or a poll, while turning back")
            expect(follow_up or not (0 < state.deadline <= new.now), "S18: an action starts after the deadline")
            expect(follow_up or state.failing is None, "rule 5: an action starts when the saga is to turn back")
            if kind is ev.PollStarted:
                accepted = new.known[node].taken or state.nodes[node].index in self.certain
                expect(accepted, "a poll of what was not accepted")
                expect(new.now < state.slot(node).poll_until, "a poll after the time of asking")
                return
            for first_of, position in self.layout(state).around[node]:
                expect(new.known[first_of] == (position, False), "first_of: an action of another alternative starts")
            expect(new.world[node].effect is not UNDONE, "an action starts after its undo")
            expect(not new.known[node].refused, "an action starts after it was refused, and nobody asked for it")
            self._check_key(new, node, "first_at")

    def _turned(self, new: Situation, node: int) -> bool:
        around = self.layout(new.state).around[node]
        return new.state.back or any(new.known[first_of] == (position, True) for first_of, position in around)

    def _check_key(self, new: Situation, node: int, born: str) -> None:
        ttl, first = new.state.policy_of(node).key_ttl_ms, getattr(new.state.slot(node), born)
        expect(not ttl or not first or new.now < first + ttl, "rule 3: an attempt uses a key that expired")

    def _check_retry(self, new: Situation, event: Any) -> None:
        state = new.state
        if not state.nodes[event.node].follow_up:
            expect(not self._turned(new, event.node), "rule 5: a retry while turning back")
            expect(not state.deadline or event.due < state.deadline, "rule 10: a backoff past the deadline")

    def _check_compensation(self, new: Situation, index: int) -> None:
        state, known = new.state, new.known[index]
        self._check_key(new, index, "undo_first_at")
        expect(known.intent, "S10: a compensation without an intent of the action")
        expect(not known.undo_refused, "rule 6: a compensation that was refused starts again, and nobody asked for it")
        expect(owes(known), "S10: a compensation of a step proven without effect")
        expect(self._turned(new, index), "a compensation while going forward")
        for slot in self._turns_with(new, index):
            calling = state.status_of(slot) in HAS_AN_OUTCOME_YET_TO_COME
            expect(not calling, "rule 5: a compensation starts before every attempt has its outcome")
        layout = self.layout(state)
        for later in layout.later[index]:
            other, node = new.known[later], state.nodes[later]
            if owes(other) and not other.undo_over:
                excepted = node.read_only or disposable(node) or node.follow_up
                expect(excepted, f"S11: undone before its successor {node.path}")
        if not (known.undo_begun or known.undo_over):
            self._check_items_going_back(new, index)

    def _turns_with(self, new: Situation, index: int) -> list[int]:
        """The steps that turned back together with this one: of its innermost alternative that was given up."""
        layout = self.layout(new.state)
        for first_of, position in layout.around[index]:
            if new.known[first_of] == (position, True):
                return layout.below[first_of][position]
        return layout.steps

    def _check_items_going_back(self, new: Situation, index: int) -> None:
        layout = self.layout(new.state)
        for block, items in layout.items.items():
            if any(index in item for item in items):
                undoing = sum(
                    any(_is_being_undone(new.known[slot]) for slot in item) for item in items if index not in item
                )
                limit = new.state.policy_of(block.each).limit
                expect(undoing < limit, f"each: {undoing + 1} items are undone at a time, and {limit} may be")

    def _check_first_of(self, new: Situation, event: Any) -> None:
        layout, choice = self.layout(new.state), new.known[event.node]
        if type(event) is ev.AlternativeFailed:
            expect(not self._turned(new, event.node) and not choice.given_up, "first_of: given up while turning back")
            left = choice.position + 1 < len(new.state.nodes[event.node].children)
            expect(left, "first_of: given up, and no alternative is left")
            return
        tried = layout.below[event.node][: choice.position + 1]
        owed = [slot for steps in tried for slot in steps if self._is_owed(new, slot)]
        if type(event) is ev.FirstOfFailed:
            expect(choice.given_up and owed, "first_of: it failed, and everything was undone")
            return
        expect(event.position == choice.position + 1, "first_of: not the next alternative")
        expect(choice.given_up or not event.position, "first_of: the next alternative, and this one was not given up")
        expect(not self._turned(new, event.node), "first_of: an alternative starts while turning back")
        running = [slot for steps in tried for slot in steps if new.known[slot].running]
        expect(not running, "first_of: the next alternative starts beside the one before")
        expect(not owed, "first_of: the next alternative starts before what this one did is undone and acknowledged")

    def _is_owed(self, new: Situation, slot: int) -> bool:
        node, known = new.state.nodes[slot], new.known[slot]
        return owes(known) and not known.acknowledged and not node.read_only and not disposable(node)

    def check_saga(self, state: SagaState, was: SagaStatus, *, ended: bool, back: bool) -> None:
        """Check what an event made of the saga as a whole."""
        if state.status is not was:
            expect(state.status in transitions.SAGA_TRANSITIONS[was].values(), f"S2: {was} -> {state.status}")
        expect(not ended or state.status is was, "S1: an end is for ever")
        expect(state.back or not back, "a saga that turned back went forward again")

    # --- at rest, after every frame ------------------------------------------------------------------

    def check_at_rest(self, new: Situation) -> None:
        """Check what holds after every frame."""
        state, layout = new.state, self.layout(new.state)
        self._check_branches(state, layout)
        for index in layout.steps:
            slot, held, known = state.slots[index], new.world[index], new.known[index]
            if slot is None:
                expect(held == NOTHING_HELD, "S5: a step took effect before it was reached")
                continue
            if not known.success:
                asked = slot.status in ASKED or (slot.status is S.RUNNING and slot.poll_until)
                unknown = known.maybe or (known.taken and not asked)
                if slot.unknown != unknown:
                    path = state.path_of(index)
                    raise Violation(f"rule 1: {path} unknown={slot.unknown}, the journal says {unknown}")
            if slot.status in WITHOUT_EFFECT and there(held):
                node = state.nodes[index]
                unsure = node.read_only or node.follow_up or (slot.unknown and slot.status is S.READY)
                expect(unsure, f"{state.path_of(index)} is {slot.status}, and took effect or still may")
        if layout.items:
            self._check_items(new, layout)
        if new.decided and not state.finished:
            self._check_that_it_moves(state)

    def _check_branches(self, state: SagaState, layout: Layout) -> None:
        """L1, and that every counter is what the slots say."""
        active = stuck = 0
        agenda = set()
        within = dict.fromkeys(layout.below, (0, 0))  # what is active and stuck in each first_of
        for index, slot in enumerate(state.slots):
            if slot is None:
                continue
            status = slot.status
            is_active, is_stuck = status in ACTIVE, status in STUCK
            active += is_active
            stuck += is_stuck
            if status in UNDECIDED:
                agenda.add(index)
            timed = status in BACKING_OFF or (status is S.WAITING and index in layout.timed)
            if timed != (index in state.due):
                raise Violation(f"L1: {state.path_of(index)} is {status}, and a due time is {state.due.get(index)}")
            for first_of, _ in layout.around[index]:
                within[first_of] = (within[first_of][0] + is_active, within[first_of][1] + is_stuck)
        expect(state.active == active, "L1: state.active")
        expect(state.stuck == stuck, "L1: state.stuck")
        expect(state.agenda.keys() == agenda, "L1: state.agenda")
        for index in state.due:
            expect(state.slots[index] is not None, "L1: a due time without a node")
        for index, counted in within.items():
            scope = state.slots[index]
            if scope is not None:
                expect((scope.active, scope.stuck) == counted, "L1: what is active and stuck in a first_of")
                expect(scope.status is not S.UNDOING or scope.active, "L1: a first_of undoes nothing")

    def _check_items(self, new: Situation, layout: Layout) -> None:
        """No more items than may be are under way, and they began in their order."""
        state = new.state
        for block, items in layout.items.items():
            reached = [state.slots[block.first + number * block.size] is not None for number in range(block.count)]
            expect(reached == sorted(reached, reverse=True), "each: an item began before one that comes before it")
            if not self._turned(new, block.each):
                under_way = sum(any(state.status_of(slot) in KEEPS_ITS_PLACE for slot in item) for item in items)
                limit = state.policy_of(block.each).limit
                expect(under_way <= limit, f"each: {under_way} items are under way, and {limit} may be")

    def _check_that_it_moves(self, state: SagaState) -> None:
        expect(not state.agenda or state.paused, "L1: something is ready and nothing is done")
        expect(state.failing is None, "the saga is to turn back and does not")
        expect(not state.alternatives, "an alternative is to be given up and is not")
        waited_for = state.pivot >= 0 and state.status_of(state.pivot) in ACTIVE
        expect(not state.cancelling or waited_for, "rule 10: a cancel waits for a pivot that will not answer it")
        if state.status is G.REQUIRES_MANUAL:
            expect(
                state.stuck > 0 and not state.active,
                "rule 7: requires_manual with something else to do, or nothing parked",
            )
            return
        for index, slot in enumerate(state.slots) if state.signals else ():
            waits = slot is not None and slot.status is S.WAITING and state.nodes[index].kind is Kind.WAIT
            expect(not (waits and state.pending(index)), "rule 11: a wait waits, and its signal is there")
        statuses = [slot.status for slot in state.slots if slot is not None]
        expect(
            state.active or S.WAITING in statuses,
            "liveness: nothing to wait for, and neither at an end nor requires_manual",
        )
        expect(state.active or not state.stuck, "rule 7: parked, nothing else moves, and not requires_manual")

    # --- at the end --------------------------------------------------------------------------------------

    def check_end(self, new: Situation) -> None:
        """Check what an end promises."""
        state = new.state
        staying = set(stays(state))
        for index in self.layout(state).steps:
            node, held, known = state.nodes[index], new.world[index], new.known[index]
            if node.follow_up:
                continue
            if state.status is G.COMPLETED:
                self._check_completed(new, index)
            elif node.read_only or disposable(node):
                continue
            elif state.status is G.COMPENSATED:
                expect(not there(held), f"S12: compensated, and the effect of {node.path} is there or may still come")
                done = not owes(known) or known.acknowledged
                expect(done, f"S12: compensated without an acknowledged undo of {node.path}")
            elif state.status is G.CLOSED:
                listed = not there(held) or index in staying
                expect(listed, f"rule 7: closed, and {node.path} stays without being listed")

    def _check_completed(self, new: Situation, index: int) -> None:
        node, held, known = new.state.nodes[index], new.world[index], new.known[index]
        status = new.state.status_of(index)
        around = self.layout(new.state).around[index]
        another = any(new.known[first_of].position != position for first_of, position in around)
        allowed = another or status in (S.SUCCEEDED, S.PASSED, S.PENDING)
        expect(allowed, f"completed with {node.path} {status}")
        if node.read_only:
            return
        if another and not disposable(node):
            expect(not there(held), f"first_of: {node.path} of another alternative took effect, or may still")
            expect(not owes(known) or known.acknowledged, f"first_of: {node.path} is owed an undo at the end")
        elif status is S.SUCCEEDED:
            expect(held.effect is DONE, f"S9: completed, and {node.path} did not take effect")
        elif not node.best_effort:
            expect(not there(held), f"completed, and {node.path} took effect unnoticed")


def _is_being_undone(known: Any) -> bool:
    return type(known) is Known and known.undo_begun
