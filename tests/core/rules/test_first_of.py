"""`first_of`: the next alternative when one was refused, and never before what it did is undone and acknowledged."""

import pytest
from msgspec import Raw

from amends.core import events as ev
from amends.core.seen import Seen
from amends.core.state import saga_result, value_of
from amends.errors import Conflict
from tests.core.graphs import call, choose, each, first_of, graph, parallel, sleep, step, wait
from tests.core.rules.driver import VALUE, Run


def two(**flags) -> Run:
    """Two alternatives of one step each, with a step before and a step after them."""
    return Run(graph(step("z"), first_of(step("a", **flags), step("b")), step("c"))).z.succeeds()


def long() -> Run:
    """A first alternative of three steps, of which two succeeded and the third runs."""
    saga = graph(step("z"), first_of([step("a"), step("b"), step("x")], step("y")), step("c"))
    return Run(saga).z.succeeds().a.succeeds().b.succeeds()


def wide() -> Run:
    """A first alternative of two branches that both run, and beside the first_of another branch."""
    choice = first_of(parallel(step("a"), step("b")), step("y"))
    return Run(graph(step("z"), parallel(choice, step("s")), deadline=True)).z.succeeds()


class TestNext:
    def test_the_first_alternative_is_tried_first_and_alone(self):
        assert two().calls == ["a"]

    def test_what_succeeds_is_enough(self):
        run = two().a.succeeds()
        assert run.calls == ["c"] and run.b.status == "pending"
        assert run.c.succeeds().status == "completed"

    def test_the_next_is_tried_when_one_was_rejected(self):
        run = two().a.rejected()
        assert run.calls == ["b"] and run.status == "running" and run.count(ev.CompensationStarted) == 0

    def test_the_next_is_tried_when_one_failed_without_effect(self):
        assert two().a.not_sent().wait().a.not_sent().calls == ["b"]

    def test_retries_go_before_the_next(self):
        run = two().a.not_sent()
        assert run.calls == [] and run.wait().calls == ["a"]

    def test_the_next_is_tried_when_a_waits_time_was_over(self):
        run = Run(graph(first_of(wait("w", timeout=True), step("b"))))
        assert run.wait().calls == ["b"]

    def test_a_signal_that_came_for_a_wait_that_was_given_up_is_the_next_waits(self):
        run = Run(graph(first_of([step("a"), wait("v", signal="w")], wait("w")))).a.rejected().signal("w")
        assert run.status == "completed" and run.v.status == "pending"

    def test_a_branch_of_the_first_alternative_that_waits_is_given_up_with_it(self):
        run = Run(graph(first_of(parallel(wait("w"), sleep(), step("a")), step("b")))).a.rejected()
        assert run.w.status == "dropped" and run.calls == ["b"] and not run.state.due
        assert run.signal("w").w.status == "dropped"

    def test_an_unknown_one_is_undone_and_that_acknowledged_first(self):
        run = two().a.raises_again()
        assert run.calls == ["undo a"] and run.status == "running"
        assert run.a.undo_fails().calls == [] and run.b.status == "pending"
        assert run.wait().calls == ["undo a"] and run.a.undone().calls == ["b"]

    def test_an_unknown_one_is_probed_before_it_is_undone(self):
        run = two(probe=True).a.raises_again()
        assert run.calls == ["probe a"] and run.a.not_seen().calls == ["undo a"]
        assert two(probe=True).a.raises_again().a.found().calls == ["c"]
        assert two(probe=True).a.raises_again().a.probe_rejected().calls == ["b"]

    def test_a_best_effort_alternative_is_passed_and_the_next_is_not_tried(self):
        assert two(best_effort=True).a.rejected().calls == ["c"]

    def test_a_parked_alternative_tries_nothing_else_until_a_person_decides(self):
        run = two(on_unknown="park").a.raises_again()
        assert run.status == "requires_manual" and run.calls == []
        assert run.a.resolve("not_done").calls == ["b"]

    def test_the_last_ones_failure_turns_the_saga_back_for_its_cause(self):
        run = two().a.rejected().b.not_sent().wait().b.not_sent()
        assert run.calls == ["undo z"] and run.state.turned_back.cause == "failed"
        assert run.state.turned_back.node == run.b.index and run.z.undone().status == "compensated"

    def test_an_unknown_last_one_is_undone_with_the_saga(self):
        run = two().a.rejected().b.raises_again()
        assert run.calls == ["undo b"] and run.status == "compensating"
        assert run.b.undone().calls == ["undo z"]

    def test_a_later_failure_undoes_the_alternative_that_succeeded_and_no_other(self):
        run = two().a.raises_again().a.undone().b.succeeds().c.rejected()
        assert run.calls == ["undo b"] and run.b.undone().calls == ["undo z"]

    def test_three_alternatives_are_tried_in_their_order(self):
        run = Run(graph(first_of(step("a"), step("b"), step("d")))).a.rejected().b.rejected()
        assert run.calls == ["d"] and run.d.rejected().status == "compensated"

    def test_a_single_alternative_is_as_without_first_of(self):
        assert Run(graph(step("z"), first_of(step("a")))).z.succeeds().a.rejected().calls == ["undo z"]

    def test_a_crash_between_alternatives_begins_none_twice(self):
        run = two().a.rejected().crash()
        assert run.calls == ["b"] and run.count(ev.AlternativeStarted) == 2

    def test_a_read_only_alternative_has_nothing_to_undo(self):
        assert Run(graph(first_of(step("a", read_only=True), step("b")))).a.raises_again().calls == ["b"]


class TestUndoneFirst:
    def test_an_alternative_of_several_steps_is_undone_from_the_last_before_the_next(self):
        run = long().x.rejected()
        assert run.calls == ["undo b"] and run.b.undone().calls == ["undo a"]
        assert run.status == "running" and run.a.undone().calls == ["y"]

    def test_what_came_before_the_first_of_stays(self):
        run = long().x.rejected().b.undone().a.undone().y.succeeds().c.succeeds()
        assert run.status == "completed" and run.z.status == "succeeded"

    def test_no_undo_starts_while_a_branch_of_it_runs(self):
        run = wide().a.rejected()
        assert run.calls == [] and run.b.succeeds().calls == ["undo b"]
        assert run.b.undone().calls == ["y"]

    def test_a_running_branch_of_it_is_not_retried(self):
        assert wide().a.rejected().b.not_sent().calls == ["y"]

    def test_branches_of_it_are_undone_beside_each_other(self):
        saga = graph(first_of([parallel(step("a"), step("b")), step("x")], step("y")))
        run = Run(saga).a.succeeds().b.succeeds().x.rejected()
        assert sorted(run.calls) == ["undo a", "undo b"]
        assert run.b.undone().calls == [] and run.a.undone().calls == ["y"]

    def test_an_each_in_it_is_undone_item_by_item(self):
        saga = graph(first_of([each(step("a"), limit=2), step("x")], step("y")))
        run = Run(saga).node("a[0]").succeeds().node("a[1]").succeeds().node("a[2]").succeeds().x.rejected()
        assert run.calls == ["undo a[2]", "undo a[1]"] and run.node("a[1]").undone().calls == ["undo a[0]"]
        assert run.node("a[0]").undone().calls == [] and run.node("a[2]").undone().calls == ["y"]

    def test_a_failed_item_of_an_each_in_it_gives_it_up(self):
        run = Run(graph(first_of(each(step("a"), limit=1), step("y")))).node("a[0]").succeeds()
        assert run.node("a[1]").rejected().calls == ["undo a[0]"] and run.node("a[2]").status == "pending"
        assert run.node("a[0]").undone().calls == ["y"]

    def test_a_call_and_a_choice_in_it_are_undone(self):
        saga = graph(first_of([call("k", step("l")), choose([step("m")], []), step("x")], step("y")))
        run = Run(saga).node("k/l").succeeds().m.succeeds().x.rejected()
        assert run.calls == ["undo m"] and run.m.undone().calls == ["undo k/l"]
        assert run.node("k/l").undone().calls == ["y"]

    def test_in_an_item_of_an_each_only_that_items_alternative_is_undone(self):
        run = Run(graph(each(first_of([step("a"), step("x")], step("y")), limit=9)), items=2)
        run.node("a[0]").succeeds().node("a[1]").succeeds().node("x[1]").rejected()
        assert run.calls == ["undo a[1]"] and run.node("x[0]").succeeds().calls == []
        assert run.node("a[1]").undone().calls == ["y[1]"] and run.node("y[1]").succeeds().status == "completed"

    def test_two_of_them_side_by_side_do_not_wait_for_each_other(self):
        saga = graph(parallel(first_of([step("a"), step("x")], step("y")), first_of([step("b"), step("w")], step("v"))))
        run = Run(saga).a.succeeds().b.succeeds().x.rejected().w.rejected()
        assert run.calls == ["undo b"] and run.b.undone().calls == ["v"] and run.a.undone().calls == ["y"]

    def test_a_crash_during_the_undo_repeats_it_and_then_tries_the_next(self):
        run = long().x.rejected().crash()
        assert run.calls == ["undo b"]
        assert run.b.undone().crash().calls == ["undo a"] and run.a.undone().calls == ["y"]

    def test_a_crash_while_a_branch_still_ran_undoes_it_too(self):
        run = wide().a.rejected().crash()
        assert sorted(run.calls) == ["s", "undo b"]

    def test_an_accepted_undo_is_waited_for(self):
        run = long().x.rejected().b.undone().a.undo_accepted()
        assert run.calls == [] and run.wait().calls == ["poll undo a"]
        assert run.a.pending().calls == [] and run.wait().a.undone().calls == ["y"]

    def test_a_late_success_of_what_was_given_up_is_undone(self):
        run = wide().b.raises().a.rejected()
        assert run.calls == ["undo b"]
        assert run.b.late().count(ev.AnomalyNoted) == 1 and run.b.undone().calls == ["y"]

    def test_a_late_success_makes_an_undo_possible_that_lacked_the_result(self):
        run = two(needs_result=True).a.raises_again()
        assert run.a.status == "owed" and run.status == "compensating"
        assert run.a.late().calls == ["undo a"] and run.b.status == "pending"

    def test_a_late_success_after_the_undo_marks_the_saga(self):
        run = two().a.raises_again().a.undone().a.late()
        assert run.state.anomalous and run.b.status == "running"


class TestThatCannotBeUndone:
    @pytest.mark.parametrize("outcome", ["undo_refused", "exhausted"])
    def test_the_saga_turns_back_and_a_person_is_asked(self, outcome: str):
        run = long().x.rejected()
        run = run.b.undo_refused() if outcome == "undo_refused" else run.b.undo_fails().wait().b.undo_fails()
        assert run.calls == ["undo a"] and run.status == "running"
        assert run.a.undone().calls == ["undo z"] and run.status == "compensating" and run.y.status == "pending"
        assert run.z.undone().status == "requires_manual"
        assert run.b.resolve("done").status == "compensated"

    def test_without_a_compensation_it_is_owed(self):
        run = two(compensation=False).a.raises_again()
        assert (run.a.status, run.a.reason) == ("owed", "no_compensation") and run.calls == ["undo z"]

    def test_its_cause_is_that_of_the_alternative(self):
        run = long().x.rejected().b.undo_refused().a.undone()
        assert (run.state.turned_back.cause, run.state.turned_back.node) == ("rejected", run.node("first_of#2").index)

    def test_a_retry_of_what_is_owed_does_not_try_the_next_alternative_any_more(self):
        run = long().x.rejected().b.undo_refused().a.undone().z.undone().retry()
        assert run.calls == ["undo b"] and run.b.undone().status == "compensated" and run.y.status == "pending"

    def test_a_skip_of_what_is_owed_ends_closed_and_lists_it(self):
        run = long().x.rejected().b.undo_refused().a.undone().z.undone().b.skip()
        assert run.status == "closed" and run.events[-1] == ev.Closed([run.b.index])

    def test_in_an_inner_first_of_the_outer_one_turns_back_as_well(self):
        inner = first_of([step("a"), step("x")], step("y"))
        run = Run(graph(step("z"), first_of([step("o"), inner], step("p")))).z.succeeds().o.succeeds()
        run.a.succeeds().x.rejected().a.undo_refused()
        assert run.calls == ["undo o"] and run.o.undone().calls == ["undo z"]
        assert run.z.undone().status == "requires_manual" and run.p.status == "pending"


class TestNested:
    def nested(self) -> Run:
        inner = first_of([step("a"), step("x")], [step("b"), step("w")])
        return Run(graph(step("z"), first_of([step("o"), inner, step("q")], step("p")))).z.succeeds().o.succeeds()

    def test_the_inner_ones_alternatives_come_first(self):
        run = self.nested().a.succeeds().x.rejected()
        assert run.calls == ["undo a"] and run.a.undone().calls == ["b"] and run.o.status == "succeeded"

    def test_when_the_inner_one_has_none_left_the_outer_one_goes_on(self):
        run = self.nested().a.rejected().b.succeeds().w.rejected()
        assert run.calls == ["undo b"] and run.b.undone().calls == ["undo o"]
        assert run.o.undone().calls == ["p"] and run.status == "running"

    def test_a_failure_behind_the_inner_one_undoes_what_it_did(self):
        run = self.nested().a.rejected().b.succeeds().w.succeeds().q.rejected()
        assert run.calls == ["undo w"] and run.w.undone().b.undone().calls == ["undo o"]

    def test_an_outer_failure_while_the_inner_one_is_being_undone_waits_for_that(self):
        inner = first_of([step("a"), step("x")], step("b"))
        run = Run(graph(first_of(parallel([step("o"), inner], step("t")), step("p")))).o.succeeds().a.succeeds()
        run.x.rejected()
        assert run.calls == ["undo a"] and run.t.rejected().calls == []
        assert run.a.undone().calls == ["undo o"] and run.b.status == "pending"
        assert run.o.undone().calls == ["p"]

    def test_both_failing_in_one_turn_give_up_the_outer_one_only(self):
        """Found by review: the inner one, given up by the outer, tried its next alternative all the same."""
        inner = first_of(step("a"), step("b"))
        for branches in ((step("t"), inner), (inner, step("t"))):
            run = Run(graph(first_of(parallel(*branches), step("p"))))
            run.tell(*(ev.ActionRejected(run.node(name).index, "no") for name in run.calls))
            assert run.calls == ["p"] and run.b.status == "pending"

    def test_a_cancel_while_the_outer_one_undoes_an_item_of_an_each_undoes_the_rest_of_that_item(self):
        """Found by review: the saga's own walk began below the item under way, and never undid its first step."""
        body = [step("a"), first_of(step("b"), step("c"))]
        run = Run(graph(first_of([each(*body, limit=1), step("x")], step("y"))), items=2)
        for path in ("a[0]", "b[0]", "a[1]", "b[1]"):
            run.node(path).succeeds()
        assert run.x.rejected().calls == ["undo b[1]"]
        run.cancel().node("b[1]").undone()
        assert run.calls == ["undo a[1]"]
        assert run.node("a[1]").undone().node("b[0]").undone().node("a[0]").undone().status == "compensated"


class TestMeanwhile:
    """Cancel, deadline and failures elsewhere, at every moment of an alternative's undo."""

    def test_a_failure_elsewhere_while_it_waits_for_a_running_branch_turns_all_back(self):
        run = wide().a.rejected().s.rejected()
        assert run.status == "compensating" and run.calls == []
        assert run.b.succeeds().calls == ["undo b"] and run.b.undone().calls == ["undo z"]
        assert run.y.status == "pending"

    def test_a_failure_elsewhere_during_the_undo_lets_it_end_and_tries_no_other(self):
        run = wide().b.succeeds().a.rejected()
        assert run.calls == ["undo b"] and run.s.rejected().calls == []
        assert run.b.undone().calls == ["undo z"] and run.y.status == "pending"

    def test_a_failure_elsewhere_while_an_undo_backs_off_keeps_its_backoff(self):
        run = wide().b.succeeds().a.rejected().b.undo_fails().s.rejected()
        assert run.calls == [] and run.wait().calls == ["undo b"] and run.b.undone().calls == ["undo z"]

    def test_a_success_elsewhere_is_undone_in_its_turn(self):
        run = wide().b.succeeds().a.rejected().s.succeeds().cancel().b.undone()
        assert run.calls == ["undo s"] and run.s.undone().calls == ["undo z"]

    @pytest.mark.parametrize("how", ["cancel", "until_deadline"])
    @pytest.mark.parametrize("when", ["running", "undoing", "backing off", "accepted", "polling", "owed", "next"])
    def test_a_cancel_or_the_deadline_undoes_the_rest_once_and_tries_no_other(self, how: str, when: str):
        choice = first_of([step("a"), parallel(step("b"), step("x"))], [step("y"), step("u")])
        run = Run(graph(step("z"), choice, deadline=True)).z.succeeds().a.succeeds()
        if when != "running":
            run.b.succeeds()
        run.x.rejected()
        if when == "backing off":
            run.b.undo_fails()
        elif when == "owed":
            run.b.undo_refused()
        elif when in ("accepted", "polling"):
            run.b.undo_accepted(until=10**12)
        elif when == "next":
            run.b.undone().a.undone().y.succeeds()
        if when == "polling":
            run.wait()
        getattr(run, how)()
        assert run.status == "compensating"
        while run.status == "compensating":
            going = [slot for slot in range(len(run.state.slots)) if run.state.slots[slot] is not None]
            at = next((i for i in going if run.state.status_of(i) in ("running", "compensating", "undo_polling")), None)
            if at is None:
                run.wait()
            elif run.state.status_of(at) == "running":
                run.tell(ev.ActionSucceeded(at, VALUE))
            else:
                run.tell(ev.CompensationSucceeded(at))
        owed = {"b"} if when == "owed" else set()
        assert run.status == ("requires_manual" if owed else "compensated")
        undone = [run.state.path_of(e.node) for e in run.events if type(e) is ev.CompensationSucceeded]
        did = {run.state.path_of(e.node) for e in run.events if type(e) is ev.ActionSucceeded}
        assert len(undone) == len(set(undone)) and set(undone) == did - owed
        assert run.count(ev.AlternativeStarted) == 1 + (when == "next")

    def test_after_a_cancel_of_the_next_alternative_only_that_is_undone(self):
        run = long().x.rejected().b.undone().a.undone().y.succeeds().cancel()
        assert run.c.rejected().calls == ["undo y"] and run.y.undone().calls == ["undo z"]

    def test_a_pause_lets_no_undo_and_no_alternative_begin(self):
        run = long().pause().x.rejected()
        assert run.calls == [] and run.resume().calls == ["undo b"]
        run.b.undone().pause().a.undone()
        assert run.calls == [] and run.y.status == "ready" and run.resume().calls == ["y"]

    def test_a_cancel_during_a_pause_drops_the_alternative_that_had_not_begun(self):
        run = long().x.rejected().b.undone().pause().a.undone().cancel()
        assert run.y.status == "dropped" and run.calls == [] and run.resume().calls == ["undo z"]


class TestVerbs:
    def test_done_during_the_undo_speaks_of_the_compensation(self):
        run = long().x.rejected().b.undo_fails().b.resolve("done")
        assert run.b.status == "compensated" and run.calls == ["undo a"]

    def test_done_of_what_is_yet_to_be_undone_spares_its_compensation(self):
        run = long().x.rejected().a.resolve("done").b.undone()
        assert run.calls == ["y"] and run.count(ev.CompensationStarted) == 1

    def test_not_done_of_an_unknown_step_means_that_nothing_is_to_be_undone(self):
        run = two().a.raises_again().a.undo_fails().a.resolve("not_done")
        assert run.a.status == "rejected" and run.calls == ["b"]

    def test_not_done_of_a_step_that_succeeded_is_a_conflict(self):
        with pytest.raises(Conflict, match="known to have succeeded"):
            long().x.rejected().b.undo_fails().b.resolve("not_done")

    def test_a_skip_during_the_undo_is_a_conflict_that_says_what_to_do(self):
        with pytest.raises(Conflict, match="resolve it, or cancel"):
            long().x.rejected().b.undo_fails().b.skip()

    def test_a_retry_calls_the_undo_at_once(self):
        run = long().x.rejected().b.undo_fails().retry()
        assert run.calls == ["undo b"] and run.status == "running"

    def test_the_next_one_waits_for_an_owed_undo_that_a_person_had_called_again(self):
        """Found by the enumerator: the next one began when the walk was at its end, beside the undo that still ran."""
        run = long().x.rejected().b.undo_refused().retry()
        assert run.calls == ["undo b"] and run.a.undone().calls == [] and run.y.status == "pending"
        assert run.b.undone().calls == ["y"] and run.status == "running"

    def test_if_that_fails_again_the_saga_turns_back(self):
        run = long().x.rejected().b.undo_refused().retry().a.undone().b.undo_refused()
        assert run.status == "compensating" and run.calls == ["undo z"] and run.y.status == "pending"

    def test_a_step_of_an_alternative_that_is_over_has_nothing_to_resolve(self):
        with pytest.raises(Conflict, match="nothing to resolve going forward"):
            two().a.raises_again().a.undone().a.resolve("done")

    def test_a_step_before_the_first_of_is_not_on_its_way_back(self):
        with pytest.raises(Conflict, match="z is succeeded, which leaves nothing to resolve going forward"):
            long().x.rejected().z.resolve("done")


class TestWhatIsSeen:
    def test_what_an_abandoned_alternative_returned_is_not_seen_afterwards(self):
        run = long().x.rejected().b.undone().a.undone().y.succeeds()
        seen = Seen(run.state, run.c.index)
        assert seen.result(run.a.index) is None and seen.result(run.b.index) is None
        assert seen.result(run.y.index) == VALUE

    def test_nor_what_it_returned_without_anything_to_undo(self):
        saga = graph(first_of([step("r", read_only=True), wait("w"), step("x")], step("y")))
        run = Run(saga).r.succeeds().signal("w").x.rejected()
        assert run.r.result is None and run.w.result is None and run.calls == ["y"]

    def test_a_compensation_of_the_alternative_still_sees_what_it_returned(self):
        run = long().x.rejected()
        assert Seen(run.state, run.b.index).result(run.a.index) == VALUE

    def test_its_value_is_that_of_the_alternative_that_succeeded(self):
        run = two().a.rejected()
        run.tell(ev.ActionSucceeded(run.b.index, Raw(b'"second"')))
        assert bytes(value_of(run.state, run.node("first_of#2").index)) == b'"second"'

    def test_it_is_the_sagas_result_when_it_is_the_last_node(self):
        run = Run(graph(first_of([step("a"), step("x")], step("b")), result=1)).a.succeeds().x.rejected().a.undone()
        run.tell(ev.ActionSucceeded(run.b.index, Raw(b"2")))
        assert run.status == "completed" and bytes(saga_result(run.state)) == b"2"

    def test_a_late_success_of_a_disposable_step_of_an_abandoned_alternative_is_not_seen(self):
        saga = graph(first_of([step("m", best_effort=True, compensation=False), step("x")], step("y")))
        run = Run(saga).m.raises_again().x.rejected().m.late()
        assert run.m.result is None and run.y.status == "running"

    def test_refusals_tell_of_every_alternative_given_up_oldest_first(self):
        run = Run(graph(first_of(step("a"), wait("w", timeout=True), step("b"), step("d")), step("c")))
        run.a.rejected().wait().b.raises_again().b.undone().d.succeeds()
        told = Seen(run.state, run.c.index).refusals()
        assert [(each.first_of, each.alternative, each.step, each.cause, each.message) for each in told] == [
            ("first_of#1", 0, "a", "rejected", "no"),
            ("first_of#1", 1, "w", "timeout", "no signal in time"),
            ("first_of#1", 2, "b", "unknown", "boom"),
        ]

    def test_refusals_of_another_item_are_not_seen(self):
        run = Run(graph(each(first_of(step("a"), step("b"), name="f"), step("c"), limit=9)), items=2)
        run.node("f[1]/a").rejected().node("f[1]/b").succeeds().node("f[0]/a").succeeds()
        assert [told.first_of for told in Seen(run.state, run.node("c[1]").index).refusals()] == ["f[1]"]
        assert Seen(run.state, run.node("c[0]").index).refusals() == ()
