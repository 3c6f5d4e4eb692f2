"""The enumerator can fail: a kernel with a defect, or a participant that breaks its word, is caught."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from amends.core import decide, events as ev, fold, walk
from amends.core.events import Event
from amends.core.graph import Graph, Kind
from amends.core.places import Block
from amends.core.state import SagaState, Slot
from amends.core.transitions import StepStatus
from tests.core import moves as moves_of_a_saga, trial
from tests.core.enumerator import Exploration
from tests.core.graphs import call, each, first_of, graph, once, parallel, step, wait
from tests.core.situation import Moves, Violation

Patch = pytest.MonkeyPatch


def caught(saga: Graph, moves: Moves, match: str) -> None:
    with pytest.raises(Violation, match=match):
        Exploration(saga, moves).run()


class TestFirstOf:
    def test_the_next_alternative_after_an_undo_that_is_owed(self, monkeypatch: Patch):
        def following(state: SagaState, index: int, slot: Slot) -> Event:
            return ev.AlternativeStarted(index, slot.cursor + 1)

        monkeypatch.setattr(decide, "_next_alternative", following)
        caught(graph(first_of(once("a"), once("b"))), Moves(), "before what this one did is undone and acknowledged")

    def test_the_next_alternative_beside_an_undo_that_was_called_again(self, monkeypatch: Patch):
        """As the kernel once did: the end of the walk was taken for the end of all that moves."""
        saga = graph(first_of([once("a"), once("b"), once("x")], once("y")))
        choice, first = saga.find("first_of#1"), saga.find("a")
        undone = walk.undone

        def ends_with_the_walk(state: SagaState, index: int) -> None:
            undone(state, index)
            if index == first and state.status_of(choice) is StepStatus.UNDOING:
                state.move(choice, state.slot(choice), "alternative_undone")

        monkeypatch.setattr("amends.core.fold_steps.undone", ends_with_the_walk)
        caught(saga, Moves(), "before what this one did is undone and acknowledged")

    def test_turning_back_while_an_alternative_is_left(self, monkeypatch: Patch):
        def whole(state: SagaState, index: int, slot: Slot, cause: str) -> None:
            state.failing = ev.TurnedBack(cause, index, slot.error)

        monkeypatch.setattr("amends.core.fold_steps.fail", whole)
        caught(graph(first_of(step("a"), step("b"))), Moves(), "the saga turns back, and an alternative is left")

    def test_an_alternative_that_does_not_wait_for_a_branch_that_runs(self, monkeypatch: Patch):
        leave = walk.leave

        def at_once(state: SagaState, index: int) -> None:
            leave(state, index)
            state.slot(index).active = 0

        monkeypatch.setattr(fold, "leave", at_once)
        saga = graph(first_of([once("z"), parallel(once("a"), once("b"))], once("y")))
        caught(saga, Moves(), "L1|before every attempt has its outcome")


class TestAccepted:
    def test_what_was_accepted_is_forgotten_when_the_saga_turns_back(self, monkeypatch: Patch):
        give_up = fold.give_up

        def forgetful(state: SagaState, index: int, slot: Slot) -> None:
            accepted = slot.status is StepStatus.ACCEPTED
            give_up(state, index, slot)
            slot.unknown = slot.unknown and not accepted

        monkeypatch.setattr(fold, "give_up", forgetful)
        caught(graph(step("a")), Moves(accept=("ask",)), "rule 1: a unknown=False, the journal says True")

    def test_a_refusal_of_a_call_again_is_taken_for_proof(self, monkeypatch: Patch):
        """As the kernel once did: "there is one already" ended as compensated, and the effect stood."""
        rejected = fold._HANDLERS[ev.ActionRejected]

        def proof(state: SagaState, event: ev.ActionRejected) -> None:
            rejected(state, replace(event, conclusive=event.conclusive or state.slot(event.node).poll_until > 0))

        monkeypatch.setitem(fold._HANDLERS, ev.ActionRejected, proof)
        caught(graph(step("a")), Moves(accept=("",)), "rule 1: a unknown=False, the journal says True")

    def test_it_is_asked_after_for_ever(self, monkeypatch: Patch):
        monkeypatch.setattr(decide, "_poll_is_due", lambda state, index, now: ev.PollStarted(index))
        caught(graph(step("a")), Moves(accept=("ask",)), "a poll after the time of asking")

    def test_a_poll_that_ends_while_the_saga_turns_back_is_followed_by_another(self, monkeypatch: Patch):
        def goes_on(state: SagaState, index: int, slot: Slot, event: str, due: int) -> None:
            state.move(index, slot, event)
            state.due[index] = due

        monkeypatch.setattr("amends.core.fold_steps._not_done", goes_on)
        caught(graph(step("a")), Moves(accept=("ask",)), "an action starts, or a poll, while turning back")


class TestEach:
    def test_more_items_at_a_time_than_may_be(self, monkeypatch: Patch):
        list_items = fold.list_items

        def unlimited(state: SagaState, index: int, block: Block) -> None:
            state.slot(index).limit = block.count
            list_items(state, index, block)

        monkeypatch.setattr(fold, "list_items", unlimited)
        caught(graph(each(once("a"), limit=1)), Moves(), "2 items are under way, and 1 may be")

    def test_more_items_are_undone_at_a_time_than_may_be(self, monkeypatch: Patch):
        undo_items = walk._undo_items

        def unlimited(state: SagaState, slot: Slot) -> bool:
            slot.limit = 9
            return undo_items(state, slot)

        monkeypatch.setattr(walk, "_undo_items", unlimited)
        caught(graph(each(once("a"), limit=1), once("b")), Moves(), "2 items are undone at a time, and 1 may be")

    def test_the_last_item_is_not_undone(self, monkeypatch: Patch):
        undo_items = walk._undo_items

        def forgetful(state: SagaState, slot: Slot) -> bool:
            slot.cursor -= not slot.remaining and slot.cursor == 2
            return undo_items(state, slot)

        monkeypatch.setattr(walk, "_undo_items", forgetful)
        caught(graph(each(once("a"), limit=1), once("b")), Moves(), "S12")


class TestSignals:
    def test_a_signal_to_an_item_of_an_each_that_wakes_nobody(self, monkeypatch: Patch):
        received = fold._HANDLERS[ev.SignalReceived]

        def by_name_only(state: SagaState, event: ev.SignalReceived) -> None:
            hidden = {name: waits for name, waits in state.waits.items() if name == event.name and "[" in name}
            state.waits = {name: waits for name, waits in state.waits.items() if name not in hidden}
            received(state, event)
            state.waits |= hidden

        monkeypatch.setitem(fold._HANDLERS, ev.SignalReceived, by_name_only)
        caught(graph(each(wait("w"))), Moves(), "a wait waits, and its signal is there")


class TestCallAndAtomic:
    def test_a_called_saga_is_not_undone(self, monkeypatch: Patch):
        undo = walk.undo

        def over_it(state: SagaState, index: int) -> bool:
            return state.nodes[index].kind is Kind.CALL or undo(state, index)

        monkeypatch.setattr(walk, "undo", over_it)
        caught(graph(call("k", once("a")), once("b")), Moves(), "S12")

    def test_an_atomic_effect_without_its_frame(self, monkeypatch: Patch):
        monkeypatch.setattr(moves_of_a_saga._From, "_is_atomic", lambda search, slot: False)
        caught(graph(step("a", atomic=True)), Moves(), "took effect or still may")

    def test_an_observer_that_takes_an_atomic_step_for_any_other(self, monkeypatch: Patch):
        observed = trial.observed
        monkeypatch.setattr(trial, "observed", lambda *given, certain, **more: observed(*given, certain=False, **more))
        caught(graph(step("a", atomic=True)), Moves(), "rule 1")
