"""The outcome table of DESIGN section 4, row by row."""

import pytest

from amends.core import events as ev
from tests.core.graphs import graph, step
from tests.core.rules.driver import VALUE, Run


def two(**flags):
    return Run(graph(step("a"), step("b", **flags)))


def test_a_step_that_returned_succeeded_its_result_is_stored_and_the_next_node_is_next():
    run = two().a.succeeds()
    assert run.a.status == "succeeded" and run.a.result == VALUE and run.calls == ["b"]


def test_the_end_of_one_step_and_the_intent_of_the_next_are_one_frame():
    run = two().a.succeeds()
    assert [type(e) for e in run.frames[-1].events] == [ev.ActionSucceeded, ev.ActionStarted]


def test_a_rejected_step_is_not_retried_and_not_compensated_and_turns_the_saga_back():
    run = two().a.succeeds().b.rejected()
    assert run.b.status == "rejected" and run.calls == ["undo a"]
    assert run.a.undone().status == "compensated"


def test_a_step_that_was_not_sent_is_retried_by_policy():
    run = two().a.succeeds().b.not_sent()
    assert run.b.status == "retrying" and run.wait().calls == ["b"]


def test_a_step_that_was_never_sent_turns_back_when_exhausted_and_is_not_compensated():
    run = two().a.succeeds().b.not_sent().wait().b.not_sent()
    assert run.b.status == "failed" and run.calls == ["undo a"]


def test_an_unknown_outcome_is_retried_while_attempts_allow():
    run = two().a.succeeds().b.raises()
    assert run.b.status == "retrying" and run.wait().calls == ["b"]


def test_an_unknown_outcome_asks_the_probe_only_when_the_attempts_are_over():
    run = two(probe=True).a.succeeds().b.raises()
    assert run.calls == [] and run.wait().b.raises().calls == ["probe b"]


def test_an_unknown_step_with_undo_is_compensated_itself_first():
    run = two().a.succeeds().b.raises_again()
    assert run.b.status == "compensating" and run.calls == ["undo b"]
    assert run.b.undone().calls == ["undo a"]


def test_an_unknown_step_whose_compensation_cannot_take_none_is_owed_and_parked():
    run = two(needs_result=True).a.succeeds().b.raises_again()
    assert (run.b.status, run.b.reason) == ("owed", "result_missing") and run.calls == ["undo a"]


def test_an_unknown_step_with_park_turns_nothing_back():
    run = two(on_unknown="park").a.succeeds().b.raises_again()
    assert (run.b.status, run.status, run.state.back) == ("parked", "requires_manual", False)


def test_an_unknown_step_with_park_is_owed_and_parked_when_the_saga_turns_back_for_another_reason():
    run = two(on_unknown="park").a.succeeds().b.raises_again().cancel()
    assert (run.b.status, run.b.reason) == ("owed", "on_unknown") and run.calls == ["undo a"]


def test_an_unknown_step_with_retry_goes_on_until_the_deadline_and_then_as_undo():
    run = Run(graph(step("a", on_unknown="retry"), deadline=True)).a.raises()
    for _ in range(9):
        assert run.wait().calls == ["a"]
        run.a.raises()
    assert run.until_deadline().calls == ["undo a"]


@pytest.mark.parametrize("cause", ["crash", "shutdown", "lease"])
def test_an_intent_without_outcome_is_unknown_and_repeated(cause: str):
    run = two().crash(cause)
    assert run.calls == ["a"] and run.state.slot(run.a.index).unknown


def test_a_read_only_step_that_raises_failed_without_effect():
    run = Run(graph(step("a"), step("r", read_only=True))).a.succeeds().r.raises_again()
    assert run.r.status == "failed" and run.calls == ["undo a"]
