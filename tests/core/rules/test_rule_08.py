"""Rule 8: operator verbs."""

import pytest

from amends.core import events as ev, verbs
from amends.errors import Conflict, UsageError
from tests.core.graphs import TTL, each, graph, parallel, step, wait
from tests.core.rules.driver import VALUE, Run

ORDER = (step("a"), step("p", pivot=True), step("s", retriable=True))


def parked(**flags) -> Run:
    return Run(graph(step("a", on_unknown="park", **flags), step("b"))).a.raises_again()


def owed(**flags) -> Run:
    return Run(graph(step("a", **flags), step("b"))).a.succeeds().b.rejected().a.undo_refused()


def after_pivot() -> Run:
    return Run(graph(*ORDER, deadline=True)).a.succeeds().p.succeeds()


class TestResolve:
    def test_done_while_turning_back_speaks_of_the_compensation(self):
        assert owed().a.resolve("done").status == "compensated"

    def test_not_done_while_turning_back_speaks_of_the_action_and_nothing_is_owed(self):
        run = Run(graph(step("a"))).a.raises_again().a.undo_refused().a.resolve("not_done")
        assert (run.a.status, run.status) == ("rejected", "compensated")

    def test_not_done_of_a_step_known_to_have_succeeded_is_a_conflict(self):
        with pytest.raises(Conflict, match="known to have succeeded"):
            owed().a.resolve("not_done")

    def test_done_before_the_walk_backward_reached_the_step_spares_its_compensation(self):
        run = Run(graph(step("a"), step("b"), step("c"))).a.succeeds().b.succeeds().c.rejected().a.resolve("done")
        assert run.b.undone().calls == [] and run.status == "compensated"

    def test_done_going_forward_says_that_an_unknown_step_took_effect(self):
        run = parked().a.resolve("done", VALUE)
        assert run.a.result == VALUE and run.calls == ["b"] and run.status == "running"

    def test_done_needs_the_result_that_something_reads(self):
        with pytest.raises(UsageError, match="result="):
            parked(read=True).a.resolve("done")

    def test_done_of_a_post_pivot_step_goes_on(self):
        assert after_pivot().s.rejected().s.resolve("done").status == "completed"

    def test_not_done_up_to_and_including_the_pivot_is_a_conclusive_rejection(self):
        run = Run(graph(*ORDER, deadline=True)).a.succeeds().p.raises().until_deadline()
        assert run.p.status == "parked" and run.p.resolve("not_done").calls == ["undo a"]

    def test_not_done_of_a_best_effort_step_passes_it(self):
        run = Run(graph(step("m", best_effort=True), step("b"))).m.raises().m.resolve("not_done")
        assert run.m.status == "passed" and run.calls == ["b"]

    def test_not_done_after_the_pivot_is_a_failure_without_effect_and_calls_again(self):
        assert after_pivot().s.rejected().s.resolve("not_done").calls == ["s"]

    def test_a_conflict_while_a_call_of_that_step_runs(self):
        with pytest.raises(Conflict, match="runs right now"):
            Run(graph(step("a"))).a.resolve("done")


class TestSkip:
    def test_an_owed_compensation_can_be_skipped(self):
        assert owed().a.skip().status == "closed"

    def test_a_post_pivot_step_that_is_read_cannot(self):
        run = Run(graph(step("p", pivot=True), step("s", retriable=True, read=True))).p.succeeds().s.rejected()
        with pytest.raises(Conflict, match="read later"):
            run.s.skip()

    def test_a_step_before_the_pivot_cannot(self):
        with pytest.raises(Conflict):
            parked().a.skip()


class TestRetry:
    def test_an_owed_compensation_is_called_again(self):
        assert owed().retry().calls == ["undo a"]

    @pytest.mark.parametrize("verdict", ["rejected", "raises"])
    def test_a_parked_post_pivot_step_is_called_again_with_a_fresh_deadline(self, verdict: str):
        run = after_pivot()
        getattr(run.until_deadline().s, verdict)()
        assert run.s.status == "parked"
        assert run.retry().calls == ["s"] and run.state.deadline == run.now + run.graph.deadline_ms

    def test_a_wait_that_the_deadline_parked_waits_again(self):
        run = Run(graph(step("p", pivot=True), wait("w"), deadline=True)).p.succeeds().until_deadline()
        assert run.w.status == "parked" and run.retry().w.status == "waiting"

    def test_what_backs_off_is_called_at_once(self):
        assert Run(graph(step("a"))).a.raises().retry().calls == ["a"]

    def test_a_poisoned_step_is_called_again(self):
        assert Run(graph(step("a"))).a.poison().retry().calls == ["a"]

    def test_a_step_that_parked_as_unknown_keeps_being_unknown(self):
        run = parked().retry()
        assert run.calls == ["a"] and run.state.slot(run.a.index).unknown

    def test_an_owed_compensation_that_on_unknown_parked_is_called_by_a_persons_word(self):
        assert parked().cancel().retry().calls == ["undo a"]

    @pytest.mark.parametrize("flags", [{"compensation": False}])
    def test_a_conflict_when_there_is_no_compensation(self, flags: dict):
        run = Run(graph(step("a", **flags), step("b"))).a.succeeds().b.rejected()
        with pytest.raises(Conflict, match="no_compensation"):
            run.retry()

    def test_a_conflict_when_the_result_is_missing(self):
        with pytest.raises(Conflict, match="result_missing"):
            Run(graph(step("a", needs_result=True))).a.raises_again().retry()

    def test_a_conflict_names_the_first_of_many(self):
        run = Run(graph(each(step("a", compensation=False), limit=30), step("b")), items=30)
        for item in range(30):
            run.node(f"a[{item}]").succeeds()
        with pytest.raises(Conflict, match=r"a\[19\] \(no_compensation\) and 10 more; resolve"):
            run.b.rejected().retry()

    def test_a_conflict_when_the_key_expired(self):
        run = parked(key_ttl=True)
        run.now += TTL
        with pytest.raises(Conflict, match="cannot be called again"):
            run.retry()

    def test_a_conflict_when_nothing_is_parked(self):
        with pytest.raises(Conflict, match="nothing to retry"):
            Run(graph(step("a"))).retry()


class TestPause:
    def test_no_attempt_starts_compensations_included(self):
        run = Run(graph(step("a"), step("b"))).pause().a.succeeds()
        assert run.calls == [] and run.resume().calls == ["b"]
        assert run.pause().b.rejected().calls == [] and run.resume().calls == ["undo a"]

    def test_a_signal_is_consumed_while_paused(self):
        run = Run(graph(wait("w"), step("a"))).pause().signal("w")
        assert run.w.status == "succeeded" and run.calls == []

    def test_a_signal_is_consumed_while_another_branch_waits_for_the_resume(self):
        run = Run(graph(parallel(step("a", attempts=9), wait("w")))).pause().crash().signal("w")
        assert run.w.status == "succeeded" and run.calls == []

    def test_the_deadline_is_applied_at_resume(self):
        run = Run(graph(step("a"), step("b"), deadline=True)).pause().a.succeeds().until_deadline()
        assert run.status == "running" and run.resume().calls == ["undo a"]

    def test_follow_ups_of_a_paused_saga_wait_for_the_resume(self):
        run = Run(graph(step("a"), completed=[step("m")])).pause().a.succeeds()
        assert run.status == "completed" and run.calls == [] and run.resume().calls == ["m"]

    def test_pausing_twice_and_resuming_what_runs_are_conflicts(self):
        run = Run(graph(step("a")))
        with pytest.raises(Conflict):
            run.resume()
        with pytest.raises(Conflict):
            run.pause().pause()


@pytest.mark.parametrize("verb", ["cancel", "retry", "pause", "resume"])
def test_every_verb_after_the_end_is_a_conflict_that_names_the_state(verb: str):
    run = Run(graph(step("a"))).a.succeeds()
    with pytest.raises(Conflict, match="is completed.*allows nothing"):
        getattr(run, verb)()


def test_reason_and_actor_of_every_verb_are_in_the_journal():
    run = owed().retry()
    event = next(e for e in run.events if isinstance(e, ev.RetryRequested))
    assert (event.reason, event.actor) == ("why", "me")
    assert verbs.pause(run.state, "r", "x") == [ev.Paused("r", "x")]
