"""`Accepted`: taken and not done; asked after at due times, until it is done or its time is over."""

import pytest
from msgspec import Raw

from amends.core import events as ev
from amends.core.decide import next_due
from amends.errors import Conflict
from amends.policies.retry import Retry
from tests.core.graphs import DEADLINE, TTL, each, first_of, graph, parallel, step
from tests.core.rules.driver import EVERY, UNTIL, VALUE, Run

FOREVER = 10 * DEADLINE
HOW = pytest.mark.parametrize("poll", ["ask", ""], ids=["by a function", "by calling again"])


def taken(poll: str = "ask", *, until: int = UNTIL, deaths_max: int = 100, **flags) -> Run:
    """A step before, one that was accepted, one after."""
    run = Run(graph(step("z"), step("a", **flags), step("b"), deadline=True), deaths_max=deaths_max)
    return run.z.succeeds().a.accepted(poll, until=until)


def undo_taken(poll: str = "ask", *, until: int = UNTIL, deaths_max: int = 100, **flags) -> Run:
    run = Run(graph(step("z"), step("a", **flags), step("b")), deaths_max=deaths_max).z.succeeds().a.succeeds()
    return run.b.rejected().a.undo_accepted(poll, until=until)


def pivot(poll: str = "ask", *, until: int = FOREVER, **flags) -> Run:
    saga = graph(step("a"), step("p", pivot=True, **flags), step("s", retriable=True), deadline=True)
    return Run(saga).a.succeeds().p.accepted(poll, until=until)


def shipped(poll: str = "ask", *, until: int = FOREVER, **flags) -> Run:
    """An accepted step after the pivot."""
    run = Run(graph(step("p", pivot=True), step("s", retriable=True, **flags), deadline=True)).p.succeeds()
    return run.s.accepted(poll, until=until)


def asked(poll: str, name: str) -> str:
    return f"poll {name}" if poll else name


def ended(run: Run, name: str, poll: str) -> Run:
    """An answer of the poll under way that says "not yet"."""
    return run.node(name).pending() if poll else run.node(name).accepted("")


class TestPolling:
    @HOW
    def test_it_is_asked_again_each_time_its_due_time_comes(self, poll: str):
        run = taken(poll)
        for _ in range(3):
            assert run.a.status == "accepted" and run.calls == [] and next_due(run.state) == run.now + EVERY
            assert run.wait().calls == [asked(poll, "a")]
            ended(run, "a", poll)

    @HOW
    def test_when_it_is_done_the_saga_goes_on_with_its_result(self, poll: str):
        run = taken(poll).wait().a.succeeds()
        assert run.a.result == VALUE and run.calls == ["b"] and not run.state.due

    @HOW
    def test_asking_uses_up_no_attempts(self, poll: str):
        run = taken(poll, attempts=1, until=FOREVER)
        for _ in range(50):
            ended(run.wait(), "a", poll)
        assert run.a.status == "accepted" and run.state.slot(run.a.index).attempts == 0

    def test_errors_between_acceptances_are_counted_in_a_row_only(self):
        run = taken("", attempts=2)
        for _ in range(9):
            run.wait().a.raises().wait().a.accepted("")
        assert run.a.status == "accepted"
        assert run.wait().a.raises().wait().a.raises().calls == ["undo a"]

    def test_a_poll_that_fails_is_only_asked_again_and_its_error_is_kept(self):
        run = taken().wait().a.pending(error="500")
        assert run.a.status == "accepted" and list(run.state.errors) == ["a (poll): 500"]
        assert run.wait().calls == ["poll a"]

    def test_a_poll_may_change_the_rhythm_and_the_token(self):
        run = taken().wait()
        at, slot = run.a.index, run.state.slot(run.a.index)
        run.tell(ev.PollPending(at, run.now + 5, 5, token=Raw(b'"t"')))
        assert (slot.every_ms, bytes(slot.token)) == (5, b'"t"')
        run.wait().tell(ev.PollPending(at, run.now + 7, 7))
        assert (slot.every_ms, bytes(slot.token)) == (7, b'"t"')

    @HOW
    def test_until_is_counted_from_the_first_acceptance(self, poll: str):
        run = taken(poll, until=3 * EVERY - 1, compensation=True)
        ended(run.wait(), "a", poll)
        ended(run.wait(), "a", poll)
        assert run.wait().a.status == "compensating" and run.calls == ["undo a"]

    def test_when_its_time_is_over_it_is_unknown_and_undone_itself(self):
        run = taken(until=EVERY).wait()
        assert run.state.slot(run.a.index).unknown and run.calls == ["undo a"]
        assert run.a.undone().calls == ["undo z"]

    def test_when_its_time_is_over_the_error_of_its_last_poll_is_told_and_none_that_was_answered_since(self):
        never = "it was accepted, and had not finished when its time was over"
        asked, failed = taken(until=3 * EVERY).wait(), taken(until=2 * EVERY).wait()
        assert failed.a.pending(error="500").wait().state.turned_back.message == f"{never}; its last poll failed: 500"
        assert asked.a.pending(error="500").wait().a.pending().wait().state.turned_back.message == never
        undo = undo_taken(until=2 * EVERY).wait().a.pending(error="503").wait()
        assert undo.a.status == "owed"
        assert undo.state.errors[-1] == f"a (compensation): {never}; its last poll failed: 503"

    def test_when_its_time_is_over_no_attempt_is_left_but_the_probe(self):
        assert taken(until=EVERY, attempts=9, probe=True).wait().calls == ["probe a"]

    def test_when_its_time_is_over_park_and_best_effort_do_as_with_anything_unknown(self):
        run = taken(until=EVERY, on_unknown="park").wait()
        assert (run.a.status, run.a.reason, run.status) == ("parked", "unknown", "requires_manual")
        run = taken(until=EVERY, best_effort=True).wait()
        assert run.a.status == "passed" and run.calls == ["b"] and run.b.rejected().calls == ["undo a"]

    def test_a_read_only_step_whose_time_is_over_failed_without_effect(self):
        run = taken(until=EVERY, read_only=True).wait()
        assert run.a.status == "failed" and run.calls == ["undo z"]

    def test_a_rejection_of_a_poll_is_proof(self):
        run = taken().wait().a.rejected()
        assert run.a.status == "rejected" and run.calls == ["undo z"]

    def test_a_rejection_proves_nothing_about_an_earlier_attempt(self):
        run = Run(graph(step("a"))).a.raises().wait().a.accepted().wait().a.rejected()
        assert run.calls == ["undo a"]
        run = Run(graph(step("a"))).a.raises().wait().a.accepted().wait().a.rejected(conclusive=True)
        assert run.status == "compensated" and run.calls == []

    def test_a_call_again_that_is_rejected_proves_nothing_of_what_was_accepted_unless_it_is_conclusive(self):
        """Found by the simulation: "there is one already" ended a saga as compensated, and the effect stood."""
        run = taken("", attempts=9).wait().a.rejected()
        assert run.calls == ["undo a"] and run.state.slot(run.a.index).unknown
        assert taken("").wait().a.rejected(conclusive=True).calls == ["undo z"]
        read_only = taken("", read_only=True).wait().a.rejected()
        assert read_only.a.status == "rejected" and read_only.calls == ["undo z"]

    @pytest.mark.parametrize("outcome", ["not_sent", "raises"])
    def test_a_call_again_without_an_answer_does_not_make_it_without_effect(self, outcome: str):
        """Found by review: "not sent" after an acceptance ended as failed without effect, and nothing was undone."""
        run = getattr(taken("", attempts=1).wait().a, outcome)()
        assert run.calls == ["undo a"]

    def test_a_call_again_that_cannot_be_made_does_not_make_it_without_effect(self):
        """Found by review: the parked step was dropped by a cancel, and its effect stayed."""
        run = taken("").wait().a.poison()
        assert run.a.status == "parked" and run.cancel().calls == ["undo a"]
        run = pivot("").wait().p.poison()
        with pytest.raises(Conflict, match="unknown and parked"):
            run.cancel()

    def test_an_acceptance_in_an_item_keeps_the_items_place(self):
        run = Run(graph(each(step("a"), limit=1)), items=2).node("a[0]").accepted()
        assert run.calls == [] and run.wait().calls == ["poll a[0]"]
        assert run.node("a[0]").succeeds().calls == ["a[1]"]

    def test_an_alternative_that_was_accepted_and_then_rejected_makes_room_for_the_next(self):
        run = Run(graph(first_of(step("a"), step("b")))).a.accepted().wait().a.rejected()
        assert run.calls == ["b"]

    def test_an_alternative_whose_time_is_over_is_undone_first(self):
        run = Run(graph(first_of(step("a"), step("b")))).a.accepted(until=EVERY).wait()
        assert run.calls == ["undo a"] and run.a.undone().calls == ["b"]

    def test_an_accepted_branch_of_an_alternative_that_failed_is_unknown_and_undone(self):
        run = Run(graph(first_of(parallel(step("a"), step("x")), step("b")))).a.accepted().x.rejected()
        assert run.calls == ["undo a"] and run.a.undone().calls == ["b"]


class TestKeys:
    def test_a_poll_uses_the_key_of_the_call_and_may_ask_when_that_is_too_old(self):
        run = taken(until=FOREVER, key_ttl=True).wait(TTL)
        assert run.calls == ["poll a"]

    def test_no_call_again_uses_a_key_that_is_too_old(self):
        run = taken("", until=FOREVER, key_ttl=True).wait(TTL)
        assert run.calls == ["undo a"]

    def test_a_compensation_that_is_called_again_is_owed_when_its_key_is_too_old(self):
        run = undo_taken("", until=FOREVER, key_ttl=True).wait(TTL)
        assert (run.a.status, run.a.reason) == ("owed", "key_expired")
        assert undo_taken(until=FOREVER, key_ttl=True).wait(TTL).calls == ["poll undo a"]

    def test_a_retry_leaves_what_was_accepted_to_its_polls_when_its_key_is_too_old_to_call_it_again(self):
        """Found by attack: a retry that was meant for another branch undid what was still polled."""
        run = Run(graph(parallel(step("a", key_ttl=True), step("x", on_unknown="park"))))
        run.a.accepted(until=FOREVER).x.raises_again().wait(TTL).a.pending()
        assert run.retry().calls == ["x"] and (run.a.status, run.status) == ("accepted", "running")
        undo = Run(graph(step("a", key_ttl=True), step("b"))).a.succeeds().b.rejected()
        undo.a.undo_accepted(until=FOREVER).wait(TTL).a.pending()
        with pytest.raises(Conflict, match=r"cannot be called again: a \(undo_accepted\)"):
            undo.retry()


class TestTurningBack:
    @pytest.mark.parametrize("how", ["cancel", "until_deadline"])
    @HOW
    def test_what_is_accepted_is_unknown_then_and_undone(self, how: str, poll: str):
        run = getattr(taken(poll, until=FOREVER), how)()
        assert run.calls == ["undo a"] and run.state.slot(run.a.index).unknown
        assert not run.state.due and run.a.undone().calls == ["undo z"]

    @pytest.mark.parametrize("answer", ["pending", "fails", "cut"])
    def test_a_poll_that_runs_then_ends_first_and_it_is_unknown_unless_it_was_the_end(self, answer: str):
        run = taken().wait().cancel()
        assert run.calls == [] and run.status == "compensating"
        if answer == "cut":
            run.crash()
        else:
            run.a.pending(error="500" if answer == "fails" else "")
        assert run.calls == ["undo a"] and run.state.slot(run.a.index).unknown

    def test_what_such_a_poll_finds_is_undone_with_its_result(self):
        run = taken(needs_result=True).wait().cancel().a.succeeds()
        assert run.calls == ["undo a"] and run.a.result == VALUE

    def test_what_such_a_poll_rejects_has_nothing_to_undo(self):
        assert taken().wait().cancel().a.rejected().calls == ["undo z"]

    @pytest.mark.parametrize("outcome", ["accepted", "not_sent", "raises", "poison"])
    def test_a_call_again_that_runs_then_leaves_it_unknown(self, outcome: str):
        run = getattr(taken("").wait().cancel().a, outcome)()
        assert run.calls == ["undo a"]

    def test_an_acceptance_that_comes_then_is_unknown(self):
        run = Run(graph(step("a"))).cancel().a.accepted()
        assert run.calls == ["undo a"] and run.a.undone().status == "compensated"

    def test_a_read_only_one_is_passed_over(self):
        assert taken(read_only=True).cancel().calls == ["undo z"]

    def test_an_unknown_one_is_still_probed(self):
        run = taken(probe=True).cancel()
        assert run.calls == ["probe a"] and run.a.not_seen().calls == ["undo a"]

    def test_one_that_parks_is_owed(self):
        run = taken(on_unknown="park").cancel()
        assert (run.a.status, run.a.reason) == ("owed", "on_unknown") and run.calls == ["undo z"]

    def test_another_branch_that_fails_does_the_same(self):
        run = Run(graph(parallel(step("a"), step("b")))).a.accepted().b.rejected()
        assert run.calls == ["undo a"]


class TestPivot:
    @HOW
    def test_a_cancel_waits_for_its_end(self, poll: str):
        run = pivot(poll).cancel()
        assert run.status == "running" and run.wait().calls == [asked(poll, "p")]
        ended(run, "p", poll)
        assert run.p.status == "accepted" and not run.state.back
        assert run.wait().p.rejected(conclusive=not poll).calls == ["undo a"]

    @HOW
    def test_a_cancel_is_refused_when_it_succeeds(self, poll: str):
        run = pivot(poll).cancel().wait().p.succeeds()
        assert run.count(ev.CancelRefused) == 1 and run.calls == ["s"]

    @HOW
    def test_the_deadline_parks_it_for_nobody_knows(self, poll: str):
        run = pivot(poll).until_deadline()
        assert (run.p.status, run.p.reason, run.status) == ("parked", "unknown", "requires_manual")
        assert run.retry().calls == ["p"] and not run.state.back

    @HOW
    def test_a_poll_that_runs_at_the_deadline_ends_and_none_begins_after_it(self, poll: str):
        """Found by review: what was polled as the deadline passed was polled for ever."""
        run = pivot(poll).wait()
        run.now = run.state.deadline
        ended(run.tell(), "p", poll)
        assert run.p.status == "parked" and run.status == "requires_manual" and not run.state.due

    def test_a_call_again_that_was_not_sent_is_no_way_back(self):
        run = pivot("", attempts=1).wait().p.not_sent()
        assert run.status == "running" and not run.state.back and run.wait().calls == ["p"]
        assert pivot("").cancel().wait().p.not_sent().wait().calls == ["p"]

    def test_when_its_time_is_over_it_is_probed_and_then_parked_as_unknown(self):
        run = pivot(until=EVERY, probe=True).wait()
        assert run.calls == ["probe p"]
        assert (run.p.not_seen().p.status, run.p.reason) == ("parked", "unknown")

    @HOW
    def test_after_the_pivot_the_deadline_parks_what_is_accepted(self, poll: str):
        run = shipped(poll).until_deadline()
        assert run.s.status == "parked" and run.retry().calls == ["s"]
        run = shipped(poll).wait()
        run.now = run.state.deadline
        ended(run.tell(), "s", poll)
        assert run.s.status == "parked" and run.status == "requires_manual"

    def test_after_the_pivot_a_rejection_of_a_poll_is_parked(self):
        run = shipped().wait().s.rejected()
        assert (run.s.status, run.s.reason) == ("parked", "rejected")

    def test_after_the_pivot_a_best_effort_step_is_passed_when_the_deadline_comes(self):
        run = Run(graph(step("p", pivot=True), step("m", best_effort=True, compensation=False), deadline=True))
        run.p.succeeds().m.accepted(until=FOREVER)
        assert run.until_deadline().status == "completed" and run.m.status == "passed"


class TestCrash:
    @HOW
    def test_a_due_time_survives_it(self, poll: str):
        run = taken(poll).crash()
        assert run.a.status == "accepted" and run.calls == [] and run.wait().calls == [asked(poll, "a")]

    @HOW
    def test_one_during_a_poll_asks_again_at_once(self, poll: str):
        assert taken(poll).wait().crash().calls == [asked(poll, "a")]

    def test_a_poll_that_dies_with_its_process_a_hundred_times_in_a_row_is_poison(self):
        run = taken(until=FOREVER).wait()
        for _ in range(99):
            assert run.crash().calls == ["poll a"]
        assert (run.crash().a.status, run.a.reason) == ("parked", "poison")
        assert run.cancel().calls == ["undo a"]

    def test_deaths_count_in_a_row_only(self):
        run = taken(deaths_max=2).wait().crash().a.pending().wait().crash()
        assert run.calls == ["poll a"]

    def test_a_shutdown_is_no_death(self):
        run = taken(deaths_max=1).wait()
        for _ in range(5):
            assert run.crash("shutdown").calls == ["poll a"]

    def test_a_poll_of_a_compensation_that_kills_is_owed(self):
        run = undo_taken(deaths_max=2).wait().crash()
        assert run.calls == ["poll undo a"]
        assert (run.crash().a.status, run.a.reason) == ("owed", "poison")
        assert run.calls == ["undo z"]

    def test_a_poisoned_poll_of_a_follow_up_ends_it(self):
        run = Run(graph(step("a"), completed=[step("m"), step("n")]), deaths_max=1).a.succeeds().m.accepted().wait()
        assert run.crash().m.status == "failed" and run.calls == ["n"]


class TestVerbs:
    def test_a_retry_calls_it_again_and_it_may_have_taken_effect(self):
        run = taken().retry()
        assert run.calls == ["a"] and run.state.slot(run.a.index).unknown
        assert run.a.rejected().calls == ["undo a"]

    def test_after_a_retry_until_is_counted_anew(self):
        run = taken(until=2 * EVERY).wait().a.pending().retry().a.accepted(until=2 * EVERY)
        assert run.wait().calls == ["poll a"]

    def test_resolved_as_done_it_goes_on(self):
        run = taken().a.resolve("done", VALUE)
        assert run.calls == ["b"] and not run.state.due

    def test_resolved_as_not_done_it_turns_back_without_undoing_it(self):
        run = taken().a.resolve("not_done")
        assert run.a.status == "rejected" and run.calls == ["undo z"]

    def test_resolved_as_not_done_after_the_pivot_it_is_called_again_and_its_time_begins_anew(self):
        run = shipped(until=2 * EVERY).wait().s.pending().s.resolve("not_done")
        assert run.calls == ["s"] and run.s.accepted(until=2 * EVERY).wait().calls == ["poll s"]

    def test_a_poll_that_runs_is_a_call_that_runs(self):
        with pytest.raises(Conflict, match="runs right now"):
            taken().wait().a.resolve("done")

    def test_after_the_pivot_it_can_be_skipped_and_is_listed_among_what_may_stay(self):
        """Found by a random walk: it was not listed."""
        run = shipped().s.skip()
        assert run.status == "closed" and run.events[-1] == ev.Closed([run.p.index, run.s.index])

    def test_before_the_pivot_it_cannot(self):
        with pytest.raises(Conflict, match="only a stuck step after the pivot"):
            taken().a.skip()

    def test_no_poll_starts_while_paused(self):
        run = taken().pause()
        run.now += EVERY
        assert run.tell().calls == [] and run.resume().calls == ["poll a"]

    def test_a_late_success_of_an_earlier_attempt_settles_it(self):
        run = Run(graph(step("a"), step("b"))).a.raises().wait().a.accepted().a.late()
        assert run.calls == ["b"] and not run.state.due

    def test_a_late_success_during_a_poll_waits_for_the_polls_end(self):
        run = Run(graph(step("a"), step("b"))).a.raises().wait().a.accepted().wait().a.late()
        assert run.a.status == "polling" and run.calls == []
        assert run.a.pending().calls == ["b"] and run.a.result == Raw(b'"late"')

    def test_a_late_success_of_what_is_not_unknown_changes_nothing(self):
        run = taken().a.late()
        assert run.a.status == "accepted" and run.count(ev.AnomalyNoted) == 1 and not run.state.anomalous


class TestCompensation:
    @HOW
    def test_an_accepted_compensation_is_asked_after_and_what_came_before_it_waits(self, poll: str):
        run = undo_taken(poll)
        assert run.calls == [] and run.wait().calls == [asked(poll, "undo a") if poll else "undo a"]
        if poll:
            run.a.pending()
        else:
            run.a.undo_accepted("")
        assert run.a.status == "undo_accepted" and run.status == "compensating"
        assert run.wait().a.undone().calls == ["undo z"]

    def test_it_uses_up_no_attempts(self):
        run = undo_taken("", until=FOREVER)
        for _ in range(30):
            run.wait().a.undo_accepted("")
        assert run.a.status == "undo_accepted"
        for _ in range(5):
            run.wait().a.undo_fails().wait().a.undo_accepted("")
        assert run.a.status == "undo_accepted"

    def test_when_its_time_is_over_it_is_owed_and_what_came_before_it_is_undone(self):
        run = undo_taken(until=EVERY).wait()
        assert (run.a.status, run.a.reason) == ("owed", "exhausted") and run.calls == ["undo z"]
        assert run.z.undone().status == "requires_manual"

    def test_a_rejection_of_its_poll_is_a_refusal_for_good(self):
        run = undo_taken().wait().a.undo_refused()
        assert (run.a.status, run.a.reason) == ("owed", "refused")

    def test_the_deadline_does_not_bound_it(self):
        saga = graph(step("a"), step("b"), deadline=True)
        run = Run(saga).a.succeeds().b.rejected().a.undo_accepted(until=FOREVER).until_deadline()
        assert run.status == "compensating" and run.calls == ["poll undo a"]

    def test_a_poll_that_fails_keeps_its_error(self):
        run = undo_taken().wait().a.pending(error="500")
        assert run.a.status == "undo_accepted" and "a (poll of its compensation): 500" in run.state.errors

    @pytest.mark.parametrize("verb", ["done", "retry", "skip"])
    def test_a_person_may_end_it_or_have_it_called_again(self, verb: str):
        run = undo_taken()
        if verb == "retry":
            assert run.retry().calls == ["undo a"]
            return
        run = run.a.skip() if verb == "skip" else run.a.resolve(verb)
        assert run.calls == ["undo z"] and run.z.undone().status == ("closed" if verb == "skip" else "compensated")

    def test_one_accepted_after_an_accepted_action_has_a_time_of_its_own(self):
        run = taken(until=2 * EVERY).cancel().a.undo_accepted(until=5 * EVERY)
        for _ in range(4):
            assert run.wait().calls == ["poll undo a"]
            run.a.pending()
        assert run.wait().a.status == "owed"

    def test_an_accepted_compensation_does_not_stop_the_others(self):
        run = Run(graph(parallel(step("a"), step("b")), step("c"))).a.succeeds().b.succeeds().c.rejected()
        run.a.undo_accepted().b.undo_fails()
        assert run.wait(1_000).calls == ["undo b"]


class TestFollowUps:
    @HOW
    def test_an_accepted_follow_up_is_asked_after_whatever_the_end(self, poll: str):
        run = Run(graph(step("a"), completed=[step("m"), step("n")])).a.succeeds().m.accepted(poll)
        assert run.status == "completed" and run.wait().calls == [asked(poll, "m")]
        assert ended(run, "m", poll).wait().m.succeeds().calls == ["n"]
        run = Run(graph(step("a"), compensated=[step("m")])).a.rejected().m.accepted(poll)
        assert run.wait().calls == [asked(poll, "m")]
        ended(run, "m", poll)
        assert run.m.status == "accepted" and run.wait().m.succeeds().state.finished

    def test_past_the_deadline_it_is_still_asked_after(self):
        run = Run(graph(step("a"), completed=[step("m")], deadline=True)).a.succeeds().m.accepted(until=FOREVER)
        run.now = run.state.deadline
        assert run.tell().calls == ["poll m"] and run.m.pending().m.status == "accepted"

    def test_when_its_time_is_over_it_failed_and_the_next_one_runs(self):
        run = Run(graph(step("a"), completed=[step("m"), step("n")])).a.succeeds().m.accepted(until=EVERY).wait()
        assert run.m.status == "unknown" and run.calls == ["n"]
        assert run.n.succeeds().state.followup_failed


def test_the_policy_does_not_bound_what_was_accepted():
    slow = step("a")
    slow.tuning["retry"] = Retry(attempts=1, max_elapsed=1)
    run = Run(graph(slow)).a.accepted()
    for _ in range(5):
        run.wait().a.pending()
    assert run.a.status == "accepted"
