"""Rules 9 to 12, and of rule 15 what is the kernel's: the pivot, races, signals, follow-ups, liveness."""

import pytest

from amends.core import events as ev
from amends.core.decide import next_due
from amends.errors import Conflict, NotFound
from tests.core.graphs import choose, graph, parallel, sleep, step, wait
from tests.core.rules.driver import Run


def order(**pivot) -> Run:
    return Run(graph(step("a"), step("p", pivot=True, **pivot), step("s", retriable=True), deadline=True)).a.succeeds()


class TestRule9:
    def test_before_the_pivot_it_goes_back(self):
        assert order().p.rejected().calls == ["undo a"]

    def test_while_its_own_outcome_is_unknown_the_same_key_is_tried_beyond_its_attempts(self):
        run = order().p.raises()
        for _ in range(9):
            assert run.wait().calls == ["p"]
            run.p.raises()
        assert run.status == "running" and not run.state.back

    def test_an_unknown_pivot_past_the_deadline_requires_a_person(self):
        run = order().p.raises().until_deadline()
        assert (run.p.status, run.status, run.state.back) == ("parked", "requires_manual", False)

    def test_an_unknown_pivot_is_probed_past_the_deadline_before_it_is_parked(self):
        run = order(probe=True).p.raises().until_deadline()
        assert run.calls == ["probe p"] and run.p.not_seen().p.status == "parked"

    def test_the_deadline_does_not_cut_or_turn_back_a_running_pivot(self):
        run = order().until_deadline()
        assert run.p.status == "running" and not run.state.back
        assert run.p.rejected().calls == ["undo a"]

    def test_a_pivot_proven_without_effect_goes_back(self):
        assert order().p.not_sent().wait().p.not_sent().calls == ["undo a"]

    def test_a_pivot_that_was_never_called_is_no_obstacle_to_deadline_or_cancel(self):
        assert order().p.poison().cancel().calls == ["undo a"]
        assert order().p.poison().until_deadline().calls == ["undo a"]

    def test_after_it_no_compensation_ever_runs(self):
        run = order().p.succeeds().s.rejected()
        assert run.status == "requires_manual" and run.count(ev.CompensationStarted) == 0

    def test_retriable_steps_ignore_attempts(self):
        run = order().p.succeeds().s.raises()
        for _ in range(9):
            assert run.wait().calls == ["s"]
            run.s.raises()

    def test_a_rejected_retriable_step_parks_at_once(self):
        run = order().p.succeeds().s.rejected()
        assert (run.s.status, run.s.reason) == ("parked", "rejected")

    def test_past_the_deadline_a_running_attempt_ends_and_no_new_one_starts(self):
        run = order().until_deadline().p.succeeds()
        assert (run.calls, run.s.status, run.s.reason, run.status) == ([], "parked", "deadline", "requires_manual")

    @pytest.mark.parametrize("outcome", ["rejected", "raises_again"])
    def test_a_best_effort_step_that_does_not_succeed_is_passed_anywhere_and_its_result_is_none(self, outcome: str):
        for first in (step("a"), step("p", pivot=True)):
            run = Run(graph(first, step("m", best_effort=True, compensation=False), step("r", read_only=True)))
            run.node(first.name).succeeds()
            getattr(run.m, outcome)()
            assert run.m.status == "passed" and run.m.result is None and run.calls == ["r"]

    def test_a_best_effort_step_is_passed_when_the_deadline_came_before_it_after_the_pivot(self):
        run = Run(graph(step("p", pivot=True), step("m", best_effort=True, compensation=False), deadline=True))
        assert run.until_deadline().p.succeeds().status == "completed" and run.m.status == "passed"

    def test_a_retriable_step_on_a_path_without_pivot_is_an_ordinary_step(self):
        run = Run(graph(step("a"), choose([step("p", pivot=True)], []), step("s", retriable=True)), branch=1)
        assert run.a.succeeds().s.rejected().calls == ["undo a"]


class TestRule10:
    def test_a_result_in_hand_comes_before_the_deadline_of_the_same_turn(self):
        run = Run(graph(step("a"), deadline=True))
        run.now = run.state.deadline
        assert run.a.succeeds().status == "completed"

    def test_a_cancel_during_the_pivot_waits_for_its_outcome(self):
        run = order().cancel()
        assert run.status == "running" and run.p.rejected().state.turned_back.cause == "cancelled"

    def test_a_cancelled_pivot_that_failed_without_effect_is_not_retried(self):
        assert order().cancel().p.not_sent().calls == ["undo a"]
        assert order().p.not_sent().cancel().calls == ["undo a"]

    def test_a_cancelled_pivot_that_is_unknown_is_retried_until_it_is_definite(self):
        assert order().cancel().p.raises().wait().calls == ["p"]

    def test_a_cancel_is_refused_when_the_pivot_succeeded(self):
        run = order().cancel().p.succeeds()
        assert run.count(ev.CancelRefused) == 1 and run.calls == ["s"]

    def test_a_cancel_is_refused_when_the_pivot_is_parked(self):
        run = order().cancel().p.raises().until_deadline()
        assert run.count(ev.CancelRefused) == 1
        with pytest.raises(Conflict):
            run.cancel()

    def test_a_cancel_that_waited_is_carried_out_when_the_pivot_could_not_be_called(self):
        assert order().cancel().p.poison().calls == ["undo a"]

    def test_a_cancel_while_compensating_does_nothing(self):
        run = order().p.rejected()
        assert len(run.cancel().frames[-1].events) == 0

    def test_a_cancel_after_the_pivot_is_a_conflict(self):
        with pytest.raises(Conflict, match="no way back"):
            order().p.succeeds().cancel()

    def test_a_backoff_that_would_pass_the_deadline_is_not_slept(self):
        run = Run(graph(step("a"), deadline=True))
        run.now = run.state.deadline - 10
        assert run.a.raises().calls == ["undo a"]


class TestRule11:
    def test_a_signal_that_came_before_its_wait_is_consumed_when_it_is_reached(self):
        run = Run(graph(step("a"), wait("w"))).signal("w")
        assert run.a.succeeds().status == "completed"

    def test_signals_are_consumed_first_in_first_out_and_one_per_wait(self):
        run = Run(graph(wait("v", signal="x"), step("a"), wait("w", signal="x"), step("b")))
        run.signal("x", b"1").signal("x", b"2").a.succeeds()
        assert (bytes(run.v.result), bytes(run.w.result)) == (b"1", b"2")

    def test_one_signal_satisfies_one_of_two_waits(self):
        run = Run(graph(parallel(wait("v", signal="x"), wait("w", signal="x")))).signal("x")
        assert sorted((run.v.status, run.w.status)) == ["succeeded", "waiting"]

    def test_one_pending_signal_satisfies_one_of_two_waits_that_are_reached_together(self):
        run = Run(graph(step("a"), parallel(wait("v", signal="x"), wait("w", signal="x")))).signal("x").a.succeeds()
        assert sorted((run.v.status, run.w.status)) == ["succeeded", "waiting"]

    def test_a_signal_with_the_same_id_counts_once(self):
        run = Run(graph(wait("v", signal="x"), wait("w", signal="x"))).signal("x", id="1").signal("x", id="1")
        assert run.w.status == "waiting"

    def test_an_unknown_name_is_an_error(self):
        with pytest.raises(NotFound, match="it waits for: w"):
            Run(graph(wait("w"))).signal("nobody")

    def test_a_signal_after_the_end_is_a_conflict(self):
        with pytest.raises(Conflict, match="too late"):
            Run(graph(wait("w"))).signal("w").signal("w")

    def test_a_wait_whose_time_is_over_turns_back_or_goes_on_with_its_nodes(self):
        assert Run(graph(step("a"), wait("w", timeout=True))).a.succeeds().wait().calls == ["undo a"]
        assert Run(graph(wait("w", on_timeout=[step("c")]))).wait().calls == ["c"]


class TestRule12:
    def test_follow_ups_start_after_the_end_is_in_the_journal(self):
        run = Run(graph(step("a"), completed=[step("m")])).a.succeeds()
        assert [type(e) for e in run.frames[-1].events][-2:] == [ev.Completed, ev.ActionStarted]

    def test_those_of_the_other_end_do_not_run(self):
        run = Run(graph(step("a"), completed=[step("m")], compensated=[step("n")])).a.rejected()
        assert run.calls == ["n"]

    def test_they_are_retried_and_not_bounded_by_the_deadline(self):
        run = Run(graph(step("a"), completed=[step("m")], deadline=True)).a.succeeds()
        run.now = run.state.deadline + 1
        assert run.m.raises().wait().calls == ["m"]

    @pytest.mark.parametrize("outcome", ["rejected", "raises_again", "poison"])
    def test_they_cannot_change_the_end_and_an_exhausted_one_is_listed(self, outcome: str):
        run = Run(graph(step("a"), completed=[step("m"), step("n")])).a.succeeds()
        getattr(run.m, outcome)()
        assert run.calls == ["n"] and not run.state.finished
        run.n.succeeds()
        assert run.status == "completed" and run.state.finished and run.state.followup_failed

    def test_a_crash_during_a_follow_up_repeats_it(self):
        assert Run(graph(step("a"), completed=[step("m")])).a.succeeds().crash().calls == ["m"]


class TestRule15:
    @pytest.mark.parametrize(
        ("saga", "reached"),
        [(graph(step("a")), "running"), (graph(wait("w")), "waiting"), (graph(sleep()), "waiting")],
    )
    def test_each_open_branch_runs_is_ready_is_due_or_waits_by_name(self, saga, reached: str):
        run = Run(saga)
        assert run.state.slots[1] is not None and run.state.slots[1].status == reached

    def test_a_saga_with_a_deadline_is_always_due_until_it_turns_back(self):
        run = order()
        assert next_due(run.state) == run.state.deadline
        assert next_due(run.p.rejected().state) == 0
