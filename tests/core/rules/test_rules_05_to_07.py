"""Rules 5 to 7: turning back, compensation, ends."""

import pytest

from amends.core import events as ev
from tests.core.graphs import choose, graph, parallel, sleep, step, wait
from tests.core.rules.driver import Run


class TestRule5:
    def test_turning_back_starts_no_new_action_and_no_retry(self):
        run = Run(graph(parallel(step("a"), [step("b"), step("c")]))).b.raises().a.rejected()
        assert run.b.status == "compensating" and run.calls == ["undo b"] and run.c.status == "pending"

    def test_no_compensation_starts_before_every_running_attempt_has_an_outcome(self):
        run = Run(graph(step("z"), parallel(step("a"), step("b")))).z.succeeds().a.rejected()
        assert run.status == "compensating" and run.calls == []
        assert run.b.succeeds().calls == ["undo b"]

    def test_an_attempt_that_fails_while_turning_back_is_not_retried(self):
        run = Run(graph(parallel(step("a"), step("b")))).a.rejected().b.not_sent()
        assert run.b.status == "failed" and run.status == "compensated"

    def test_what_was_reached_and_never_called_is_dropped(self):
        run = Run(graph(step("a"), step("b"))).pause().a.succeeds().cancel()
        assert run.b.status == "dropped" and run.resume().calls == ["undo a"]

    @pytest.mark.parametrize("how", ["wait", "sleep"])
    def test_turning_back_ends_waits_and_sleeps(self, how: str):
        run = Run(graph(step("a"), wait("w") if how == "wait" else sleep())).a.succeeds().cancel()
        assert run.calls == ["undo a"] and not run.state.due

    def test_a_timeout_that_turns_back_comes_before_the_retry_of_the_same_moment(self):
        run = Run(graph(parallel(step("a"), wait("w", timeout=True)))).a.raises()
        run.now = max(run.state.due.values())
        assert run.tell().calls == ["undo a"]

    def test_two_outcomes_of_one_recovery_turn_back_before_anything_is_called_again(self):
        run = Run(graph(parallel(step("a"), step("b", key_ttl=True))))
        run.now += 200_000_000
        assert run.crash().calls == ["undo b", "undo a"]


class TestRule6:
    def test_compensations_run_in_reverse_order_each_after_its_successors(self):
        run = Run(graph(step("a"), step("b"), step("c"))).a.succeeds().b.succeeds().c.rejected()
        assert run.calls == ["undo b"] and run.b.undone().calls == ["undo a"]

    def test_compensations_run_concurrently_where_the_graph_was(self):
        run = Run(graph(step("z"), parallel(step("a"), step("b")), step("c")))
        run.z.succeeds().a.succeeds().b.succeeds().c.rejected()
        assert sorted(run.calls) == ["undo a", "undo b"]
        assert run.a.undone().calls == [] and run.b.undone().calls == ["undo z"]

    def test_a_failing_compensation_is_retried_and_does_not_stop_the_others(self):
        run = Run(graph(parallel(step("a"), step("b")), step("c"))).a.succeeds().b.succeeds().c.rejected()
        run.a.undo_fails().b.undone()
        assert (run.a.status, run.b.status) == ("undo_retrying", "compensated")
        assert run.wait().calls == ["undo a"]

    def test_a_compensation_starts_when_its_successors_is_parked(self):
        run = Run(graph(step("a"), step("b"), step("c"))).a.succeeds().b.succeeds().c.rejected().b.undo_refused()
        assert (run.b.status, run.b.reason) == ("owed", "refused") and run.calls == ["undo a"]

    def test_rejected_from_a_compensation_is_not_retried(self):
        run = Run(graph(step("a"), step("b"))).a.succeeds().b.rejected().a.undo_refused()
        assert run.a.status == "owed" and run.status == "requires_manual" and not run.state.due

    def test_an_exhausted_compensation_is_parked_and_never_a_false_rolled_back(self):
        run = Run(graph(step("a"), step("b"))).a.succeeds().b.rejected().a.undo_fails().wait().a.undo_fails()
        assert (run.a.status, run.a.reason, run.status) == ("owed", "exhausted", "requires_manual")

    def test_all_errors_are_kept(self):
        run = Run(graph(step("a"), step("b"))).a.succeeds().b.rejected().a.undo_fails().wait().a.undo_refused()
        assert list(run.state.errors) == ["b: no", "a (compensation): boom", "a (compensation): dispatched"]

    def test_the_deadline_does_not_bound_compensations(self):
        run = Run(graph(step("a"), step("b"), deadline=True)).a.succeeds().until_deadline()
        run.b.rejected().a.undo_fails()
        assert run.wait().calls == ["undo a"]

    def test_an_effect_without_compensation_is_never_silently_kept(self):
        run = Run(graph(step("a", compensation=False), step("b"))).a.succeeds().b.rejected()
        assert (run.a.status, run.a.reason, run.status) == ("owed", "no_compensation", "requires_manual")

    def test_an_unknown_effect_without_compensation_is_parked_too(self):
        assert Run(graph(step("a", compensation=False))).a.raises_again().a.status == "owed"

    def test_a_read_only_step_is_passed_over(self):
        assert Run(graph(step("r", read_only=True), step("b"))).r.succeeds().b.rejected().status == "compensated"

    def test_a_best_effort_step_without_compensation_declares_its_effect_disposable(self):
        run = Run(graph(step("m", best_effort=True, compensation=False), step("b"))).m.succeeds().b.rejected()
        assert run.status == "compensated"

    @pytest.mark.parametrize("outcome", ["succeeds", "raises_again"])
    def test_a_best_effort_step_with_compensation_is_undone(self, outcome: str):
        run = Run(graph(step("m", best_effort=True), step("b")))
        getattr(run.m, outcome)()
        assert run.b.rejected().calls == ["undo m"]

    def test_a_branch_that_was_not_taken_is_not_undone(self):
        run = Run(graph(choose([step("a")], [step("b")]), step("c")), branch=1).b.succeeds().c.rejected()
        assert run.calls == ["undo b"] and run.a.status == "pending"

    def test_a_compensation_cut_off_by_a_crash_is_repeated(self):
        assert Run(graph(step("a"), step("b"))).a.succeeds().b.rejected().crash().calls == ["undo a"]


class TestRule7:
    def test_compensated_when_there_was_nothing_to_undo(self):
        assert Run(graph(step("a"))).a.rejected().status == "compensated"

    def test_closed_lists_what_stays(self):
        run = Run(graph(step("a"), step("b"))).a.succeeds().b.rejected().a.undo_refused().a.skip()
        assert run.status == "closed" and run.events[-1] == ev.Closed([run.a.index])

    def test_anything_skipped_ends_closed_also_after_the_pivot(self):
        run = Run(graph(step("p", pivot=True), step("s", retriable=True))).p.succeeds().s.rejected().s.skip()
        assert run.status == "closed" and run.events[-1] == ev.Closed([run.p.index])

    def test_requires_manual_waits_until_nothing_else_is_ready_running_or_backing_off(self):
        run = Run(graph(parallel(step("a", on_unknown="park"), step("b")))).a.raises_again()
        assert run.status == "running" and run.b.raises().status == "running"
        assert run.wait().b.succeeds().status == "requires_manual"

    def test_requires_manual_does_not_wait_for_a_signal_and_a_signal_still_moves_the_other_branch(self):
        run = Run(graph(parallel(step("a", on_unknown="park"), [wait("w"), step("c")]))).a.raises_again()
        assert run.status == "requires_manual" and run.signal("w").status == "running"
        assert run.c.succeeds().status == "requires_manual"

    def test_requires_manual_is_over_when_nothing_is_parked_though_a_wait_is_open(self):
        run = Run(graph(parallel(step("a", on_unknown="park"), wait("w")))).a.raises_again().a.resolve("done")
        assert run.status == "running" and run.signal("w").status == "completed"

    def test_requires_manual_may_become_any_end(self):
        for verb, end in (("done", "compensated"), ("skip", "closed")):
            run = Run(graph(step("a"), step("b"))).a.succeeds().b.rejected().a.undo_refused()
            assert (run.a.skip() if verb == "skip" else run.a.resolve(verb)).status == end
        assert Run(graph(step("a", on_unknown="park"))).a.raises_again().a.resolve("done").status == "completed"

    def test_a_scheduled_saga_is_taken_up_and_then_runs(self):
        run = Run(graph(step("a")))
        assert [type(e) for e in run.events[:3]] == [ev.Started, ev.Began, ev.ActionStarted]
