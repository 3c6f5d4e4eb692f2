"""`each`: a copy of its nodes for each item, so many at a time, forward and backward."""

import sys

import pytest
from msgspec import Raw

from amends.core import events as ev, verbs
from amends.core.state import saga_result, value_of
from amends.errors import Conflict, NotFound
from tests.core.graphs import call, choose, each, first_of, graph, parallel, sleep, step, wait
from tests.core.rules.driver import Run


def shipping(*, items: int = 4, limit: int = 2, then=(), **flags) -> Run:
    """A step, then one per item, then what follows."""
    return Run(graph(step("z"), each(step("a", **flags), limit=limit), *then), items=items).z.succeeds()


def done(run: Run, *paths: str) -> Run:
    for path in paths:
        run.node(path).succeeds()
    return run


def all_items(run: Run, name: str = "a") -> Run:
    return done(run, *(f"{name}[{item}]" for item in range(run.items)))


class TestForward:
    def test_at_most_limit_items_run_at_a_time_in_their_order(self):
        run = shipping()
        assert run.calls == ["a[0]", "a[1]"]
        assert run.node("a[1]").succeeds().calls == ["a[2]"]
        assert run.node("a[2]").succeeds().calls == ["a[3]"]
        assert run.node("a[0]").succeeds().calls == []

    def test_a_limit_beyond_the_items_starts_them_all_at_once(self):
        assert shipping(limit=9).calls == ["a[0]", "a[1]", "a[2]", "a[3]"]

    def test_what_follows_is_reached_when_the_last_item_is_done_whichever_that_is(self):
        run = done(shipping(then=[step("b")]), "a[1]", "a[2]", "a[3]")
        assert run.b.status == "pending"
        assert run.node("a[0]").succeeds().calls == ["b"]

    def test_without_items_it_is_done_at_once(self):
        run = shipping(items=0, then=[step("b")])
        assert run.calls == ["b"] and run.b.succeeds().status == "completed"

    def test_without_items_as_the_last_node_the_saga_is_completed_with_an_empty_list(self):
        run = Run(graph(each(step("a")), result=1), items=0)
        assert run.status == "completed" and bytes(saga_result(run.state)) == b"[]"

    def test_an_item_runs_its_nodes_in_their_order_and_does_not_wait_for_the_others(self):
        run = Run(graph(each(step("a"), step("b"))), items=2)
        assert run.calls == ["a[0]", "a[1]"]
        assert run.node("a[1]").succeeds().calls == ["b[1]"]
        assert run.node("b[1]").succeeds().node("a[0]").succeeds().node("b[0]").succeeds().status == "completed"

    def test_an_item_that_backs_off_keeps_its_place(self):
        run = shipping().node("a[0]").raises()
        assert run.calls == [] and run.node("a[2]").status == "pending"
        assert run.wait().calls == ["a[0]"]

    def test_an_item_that_is_parked_keeps_its_place(self):
        run = shipping(on_unknown="park", limit=2).node("a[0]").raises_again()
        assert run.node("a[0]").status == "parked" and run.calls == []
        run = done(run, "a[1]", "a[2]", "a[3]")
        assert run.status == "requires_manual"
        assert run.node("a[0]").resolve("done").status == "completed"

    def test_with_every_place_parked_nothing_else_begins_and_a_person_is_asked(self):
        run = shipping(on_unknown="park").node("a[0]").raises_again().node("a[1]").raises_again()
        assert run.status == "requires_manual" and run.node("a[2]").status == "pending"
        assert run.node("a[1]").resolve("done").calls == ["a[2]"]

    def test_a_best_effort_item_is_passed_and_the_next_one_begins(self):
        run = shipping(best_effort=True, limit=1).node("a[0]").rejected()
        assert run.node("a[0]").status == "passed" and run.calls == ["a[1]"]

    def test_a_crash_repeats_what_ran_and_begins_no_other_item(self):
        assert shipping().node("a[0]").succeeds().crash().calls == ["a[1]", "a[2]"]

    def test_items_whose_list_could_not_be_made_park_it_and_a_retry_asks_again(self):
        run = Run(graph(step("z"), each(step("a"))))
        run._answer = lambda slot: ev.StepParked(slot, "poison", "boom")  # the author's function raised
        run.z.succeeds()
        assert run.node("each#2").status == "parked" and run.status == "requires_manual"
        del run._answer
        assert run.retry().calls == ["a[0]", "a[1]"]


class TestBackward:
    def test_after_the_last_item_all_are_undone_from_the_last_as_many_at_a_time(self):
        run = all_items(shipping(then=[step("b")])).b.rejected()
        assert run.calls == ["undo a[3]", "undo a[2]"]
        assert run.node("a[2]").undone().calls == ["undo a[1]"]
        assert run.node("a[3]").undone().calls == ["undo a[0]"]
        assert run.node("a[0]").undone().calls == []  # what comes before the each waits for all of it
        assert run.node("a[1]").undone().calls == ["undo z"]
        assert run.z.undone().status == "compensated"

    def test_a_failure_of_one_item_undoes_what_the_others_did_and_begins_no_other(self):
        run = shipping(items=9).node("a[0]").succeeds().node("a[2]").rejected()
        assert run.status == "compensating" and run.calls == []
        assert run.node("a[1]").succeeds().calls == ["undo a[1]", "undo a[0]"]
        run.node("a[1]").undone().node("a[0]").undone().z.undone()
        assert run.status == "compensated" and run.node("a[3]").status == "pending"

    def test_items_without_anything_to_undo_take_no_place(self):
        run = shipping(items=5, limit=1, then=[step("b")], best_effort=True, compensation=False)
        assert all_items(run).b.rejected().calls == ["undo z"]

    def test_an_item_undoes_its_nodes_from_the_last_and_keeps_its_place_meanwhile(self):
        run = Run(graph(each(step("a"), step("b"), limit=1), step("c")), items=2)
        run = done(run, "a[0]", "b[0]", "a[1]", "b[1]").c.rejected()
        assert run.calls == ["undo b[1]"]
        assert run.node("b[1]").undone().calls == ["undo a[1]"]
        assert run.node("a[1]").undone().calls == ["undo b[0]"]

    def test_an_owed_undo_of_an_item_does_not_stop_the_others_and_the_saga_is_never_compensated(self):
        run = all_items(shipping(limit=1, items=2, then=[step("b")])).b.rejected().node("a[1]").undo_refused()
        assert run.calls == ["undo a[0]"]
        assert run.node("a[0]").undone().z.undone().status == "requires_manual"
        assert run.node("a[1]").resolve("done").status == "compensated"

    def test_a_skipped_undo_of_an_item_ends_closed_and_is_listed(self):
        run = all_items(shipping(limit=1, items=2, then=[step("b")])).b.rejected().node("a[1]").undo_refused()
        run.node("a[0]").undone().z.undone().node("a[1]").skip()
        assert run.status == "closed" and run.events[-1] == ev.Closed([run.node("a[1]").index])

    def test_an_unknown_item_is_undone_itself(self):
        run = shipping(items=1, limit=1).node("a[0]").raises_again()
        assert run.calls == ["undo a[0]"]

    def test_a_crash_while_items_are_undone_goes_on_where_it_was(self):
        run = all_items(shipping(then=[step("b")])).b.rejected().node("a[3]").undone()
        assert sorted(run.crash().calls) == ["undo a[1]", "undo a[2]"]
        assert run.node("a[1]").undone().node("a[2]").undone().node("a[0]").undone().calls == ["undo z"]

    def test_resolved_before_the_walk_reached_it_an_item_is_spared(self):
        run = all_items(shipping(limit=1, then=[step("b")])).b.rejected().node("a[0]").resolve("done")
        for item in (3, 2, 1):
            run.node(f"a[{item}]").undone()
        assert run.calls == ["undo z"] and run.node("a[0]").status == "compensated"

    def test_a_cancel_before_any_item_has_an_outcome_waits_for_those_that_run(self):
        run = shipping().cancel()
        assert run.calls == [] and run.node("a[0]").rejected().calls == []
        assert run.node("a[1]").succeeds().calls == ["undo a[1]"]

    def test_a_deadline_undoes_what_the_items_did(self):
        run = Run(graph(each(step("a"), limit=1), deadline=True)).node("a[0]").succeeds().until_deadline()
        assert run.node("a[1]").rejected().calls == ["undo a[0]"] and run.node("a[2]").status == "pending"

    def test_no_undo_starts_while_paused(self):
        run = all_items(shipping(then=[step("b")])).pause().b.rejected()
        assert run.calls == [] and run.resume().calls == ["undo a[3]", "undo a[2]"]


class TestAfterThePivot:
    def test_items_are_retried_until_they_succeed_and_a_refusal_is_parked(self):
        run = Run(graph(step("p", pivot=True), each(step("s", retriable=True), limit=1), deadline=True))
        run.p.succeeds()
        for _ in range(9):
            run.node("s[0]").raises().wait()
        assert run.calls == ["s[0]"] and run.node("s[0]").succeeds().calls == ["s[1]"]
        assert run.node("s[1]").rejected().status == "requires_manual" and run.node("s[2]").status == "pending"
        assert run.retry().calls == ["s[1]"]

    def test_a_skipped_item_makes_room_and_ends_closed(self):
        run = Run(graph(step("p", pivot=True), each(step("s", retriable=True), limit=1)), items=2).p.succeeds()
        assert run.node("s[0]").rejected().node("s[0]").skip().calls == ["s[1]"]
        assert run.node("s[1]").succeeds().status == "closed"

    def test_past_the_deadline_no_item_begins_and_a_retry_goes_on(self):
        run = Run(graph(step("p", pivot=True), each(step("s", retriable=True), limit=1), deadline=True)).p.succeeds()
        run.until_deadline().node("s[0]").succeeds()
        assert run.node("s[1]").status == "parked" and run.status == "requires_manual"
        assert run.retry().calls == ["s[1]"]

    def test_past_the_deadline_the_items_are_not_even_listed(self):
        run = Run(graph(step("p", pivot=True), each(step("s", retriable=True)), deadline=True)).until_deadline()
        run.p.succeeds()
        assert run.node("each#2").status == "parked" and run.retry().calls == ["s[0]", "s[1]"]


class TestNesting:
    def nested(self, *, inner: int = 2) -> Run:
        return Run(graph(each(step("a"), each(step("b"), limit=inner), limit=1), step("c")), items=2)

    def test_paths_bear_the_outer_items_number_first(self):
        run = self.nested().node("a[0]").succeeds()
        assert run.calls == ["b[0][0]", "b[0][1]"]
        done(run, "b[0][0]", "b[0][1]", "a[1]", "b[1][0]")
        assert run.calls == [] and run.node("b[1][1]").succeeds().calls == ["c"]

    def test_turning_back_goes_through_the_inner_items_first(self):
        run = done(self.nested(inner=1), "a[0]", "b[0][0]", "b[0][1]", "a[1]", "b[1][0]", "b[1][1]").c.rejected()
        order = []
        while run.calls:
            order += run.calls
            run.node(run.calls[0].removeprefix("undo ")).undone()
        assert order == [f"undo {path}" for path in ("b[1][1]", "b[1][0]", "a[1]", "b[0][1]", "b[0][0]", "a[0]")]
        assert run.status == "compensated"

    def test_two_each_whose_items_are_listed_in_one_turn_have_slots_of_their_own(self):
        run = Run(graph(parallel(each(step("a")), each(step("b")))), items=2)
        assert run.calls == ["a[0]", "a[1]", "b[0]", "b[1]"]
        assert done(run, "b[1]", "a[0]", "a[1]", "b[0]").status == "completed"

    def test_an_item_may_hold_a_choice_a_sleep_and_branches(self):
        run = Run(graph(each(choose([parallel(step("a"), step("b")), sleep()], []), step("c"), limit=1)), items=2)
        assert run.calls == ["a[0]", "b[0]"]
        assert done(run, "a[0]", "b[0]").wait().calls == ["c[0]"]
        assert run.node("c[0]").rejected().calls == ["undo b[0]", "undo a[0]"]

    @pytest.mark.parametrize(
        ("saga", "path"),
        [
            (graph(each(step("a"), call("k", step("l")))), "k[1]/l"),
            (graph(call("k", each(step("l")))), "k/l[1]"),
            (graph(call("k", each(each(step("l"))))), "k/l[1][1]"),
            (graph(each(call("k", each(step("l"))))), "k[1]/l[1]"),
            (graph(each(first_of(step("l"), name="f"))), "f[1]/l"),
            (graph(first_of(each(step("l")), name="f")), "f/l[1]"),
        ],
    )
    def test_the_number_stands_behind_what_stands_directly_in_the_each(self, saga, path: str):
        run = Run(saga, items=2)
        for item in range(2):
            for name in ("a", "l"):  # bring each first step to its end
                if (at := run.state.find(f"{name}[{item}]")) >= 0 and run.state.status_of(at) == "running":
                    run.tell(ev.ActionSucceeded(at))
        assert run.state.path_of(run.state.find(path)) == path and run.node(path).status == "running"

    @pytest.mark.parametrize("path", ["a[3]", "a", "a[0][0]", "b[0]", "a[-1]", "a[x]"])
    def test_a_path_of_no_item_is_not_found(self, path: str):
        assert shipping(items=3).state.find(path) == -1


class TestResults:
    def results(self, run: Run) -> bytes:
        return bytes(value_of(run.state, run.node("each#1").index))

    def test_its_value_is_the_list_of_the_last_nodes_results_in_the_items_order(self):
        run = Run(graph(each(step("a"), step("b"), limit=9)), items=3)
        all_items(run)
        for item in (2, 0, 1):
            run.tell(ev.ActionSucceeded(run.node(f"b[{item}]").index, Raw(b"%d" % (item * 10))))
        assert self.results(run) == b"[0,10,20]"

    def test_an_item_without_a_result_is_null_in_it(self):
        run = Run(graph(each(step("a", best_effort=True), limit=9)), items=3)
        done(run, "a[0]", "a[2]").node("a[1]").rejected()
        assert self.results(run) == b'["value",null,"value"]'

    def test_an_item_whose_branch_was_not_taken_is_null_in_it(self):
        run = Run(graph(each(choose([step("a")], []), limit=9)), items=2, branch=1)
        assert run.status == "completed" and self.results(run) == b"[null,null]"

    def test_a_list_of_lists_is_one_of_the_nested_items(self):
        run = Run(graph(each(each(step("a"), limit=9), limit=9)), items=2)
        done(run, "a[0][0]", "a[0][1]", "a[1][0]", "a[1][1]")
        assert self.results(run) == b'[["value","value"],["value","value"]]'

    @pytest.mark.parametrize("read", [True, False])
    def test_a_reader_takes_the_same_list_whether_or_not_it_was_kept(self, *, read: bool):
        run = Run(graph(each(step("a"), read=read), step("b")), items=2)
        all_items(run)
        assert bytes(run.node("each#1").result) == b'["value","value"]'

    def test_each_of_two_items_sees_its_own_results_and_item(self):
        from amends.core.seen import Seen

        run = Run(graph(each(step("a"), step("b"))), items=2)
        run.tell(ev.ActionSucceeded(run.node("a[0]").index, Raw(b"10")))
        run.tell(ev.ActionSucceeded(run.node("a[1]").index, Raw(b"11")))
        a, at = run.graph.find("a"), run.graph.find("each#1")
        seen = [Seen(run.state, run.node(f"b[{item}]").index) for item in range(2)]
        assert [(bytes(s.result(a)), bytes(s.item(at))) for s in seen] == [(b"10", b"0"), (b"11", b"1")]


class TestSignals:
    def waiting(self, *, limit: int = 9) -> Run:
        return Run(graph(each(wait("w"), step("a"), limit=limit)), items=3)

    def test_a_signal_to_an_items_path_wakes_that_items_wait(self):
        run = self.waiting().signal("w[1]")
        assert run.calls == ["a[1]"]

    def test_a_signal_by_name_wakes_the_wait_that_waits_longest(self):
        run = self.waiting().signal("w")
        assert run.calls == ["a[0]"] and run.signal("w").calls == ["a[1]"]

    def test_signals_by_name_skip_waits_that_had_their_own(self):
        run = self.waiting().signal("w[0]").signal("w")
        assert run.calls == ["a[1]"]

    def test_the_payload_is_the_one_that_was_sent_to_it(self):
        run = self.waiting().signal("w[2]", b"2").signal("w", b"0")
        assert (bytes(run.node("w[2]").result), bytes(run.node("w[0]").result)) == (b"2", b"0")

    def test_a_signal_to_an_item_that_is_not_reached_yet_waits_for_it(self):
        run = self.waiting(limit=1).signal("w[2]", b"2").signal("w", b"0").node("a[0]").succeeds()
        assert run.node("w[1]").status == "waiting"
        assert run.signal("w", b"1").node("a[1]").succeeds().calls == ["a[2]"]
        assert bytes(run.node("w[2]").result) == b"2"

    def test_its_own_comes_before_one_by_name(self):
        run = Run(graph(each(step("a"), wait("w"))), items=1).signal("w", b"any").signal("w[0]", b"own")
        run.node("a[0]").succeeds()
        assert bytes(run.node("w[0]").result) == b"own" and run.status == "completed"

    @pytest.mark.parametrize("name", ["w[3]", "a[0]", "v[0]"])
    def test_a_signal_to_no_wait_is_an_error(self, name: str):
        with pytest.raises(NotFound, match="it waits for: w"):
            self.waiting().signal(name)

    def test_a_wait_that_was_given_up_takes_no_signal_of_the_next_one(self):
        run = Run(graph(first_of(wait("v", signal="w", timeout=True), wait("w")))).wait()
        assert run.v.status == "timed_out" and run.signal("w").status == "completed"


class TestVerbs:
    def test_a_verb_takes_an_items_path(self):
        run = shipping(on_unknown="park", limit=1, items=2).node("a[0]").raises_again()
        assert run.node("a[0]").resolve("not_done").calls == ["undo z"]

    def test_a_refused_verb_names_the_items_path(self):
        run = shipping()
        with pytest.raises(Conflict, match=r"a call of step a\[1\] runs right now"):
            run.node("a[1]").resolve("done")

    def test_an_item_that_was_not_reached_is_named_by_its_path_too(self):
        run = shipping(items=4)
        with pytest.raises(Conflict, match=r"step a\[3\] has not been reached"):
            run.node("a[3]").skip()

    def test_a_retry_calls_every_item_that_backs_off(self):
        run = shipping().node("a[0]").raises().node("a[1]").raises()
        assert run.retry().calls == ["a[0]", "a[1]"]

    def test_a_late_success_of_an_item_settles_that_item(self):
        run = shipping().node("a[1]").raises().node("a[1]").late()
        assert run.node("a[1]").status == "succeeded" and run.calls == ["a[2]"]

    def test_a_pause_lets_no_other_item_begin(self):
        run = shipping().pause().node("a[0]").succeeds()
        assert run.calls == [] and run.resume().calls == ["a[2]"]

    def test_what_the_errors_say_bears_the_items_path(self):
        run = shipping().node("a[1]").raises()
        assert list(run.state.errors) == ["a[1]: boom"]
        assert verbs.allowed(run.state) == "cancel, retry, resolve, pause"


def test_the_work_of_a_signal_does_not_grow_with_the_items_that_wait():
    """Counted in Python lines run. Found by attack: 8,000 signals passed all that had come before them by."""

    def lines_per_signal(count: int) -> float:
        run, lines = Run(graph(each(wait("go", timeout=True), limit=count)), items=count), 0

        def trace(frame, event, arg):
            nonlocal lines
            lines += event == "line"
            return trace

        sys.settrace(trace)
        try:
            for _ in range(count):
                run.signal("go")
        finally:
            sys.settrace(None)
        assert run.status == "completed"
        return lines / count

    few, many = lines_per_signal(50), lines_per_signal(400)
    assert many < 1.15 * few, f"{few:.0f} lines for a signal to one of 50, {many:.0f} to one of 400"


def test_a_wait_that_is_reached_again_takes_a_signal_again():
    run = Run(graph(step("p", pivot=True), wait("go", timeout=True), deadline=True)).p.succeeds().until_deadline()
    assert run.go.status == "parked"
    assert run.retry().signal("go").go.status == "succeeded"
