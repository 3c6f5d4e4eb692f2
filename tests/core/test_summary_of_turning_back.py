"""What a list says a saga waits for once it, or an alternative of a first_of, turned back. Found by random walks."""

from __future__ import annotations

import pytest

from amends.core.places import Block, is_below
from amends.core.summary import Summary, fold_summary, hold_of
from tests.core.graphs import each, first_of, graph, parallel, sleep, step, wait
from tests.core.rules.driver import Run


def line_of(run: Run) -> Summary:
    summary = None
    for seq, frame in enumerate(run.frames, 1):
        summary = fold_summary(summary, "s", frame, seq, run.graph.paths, run.graph.sizes)
    assert summary is not None
    return summary


def test_a_poisoned_step_that_was_dropped_holds_nothing():
    run = Run(graph(step("z"), parallel(step("a"), step("b")))).z.succeeds().a.poison()
    assert hold_of(line_of(run)) == "poison"
    assert hold_of(line_of(run.b.rejected())) == "" and run.calls == ["undo z"]


def test_a_call_that_turns_out_poison_while_the_saga_turns_back_holds_nothing():
    run = Run(graph(step("z"), step("a"))).z.succeeds().cancel().a.poison()
    assert run.calls == ["undo z"] and hold_of(line_of(run)) == ""


def test_nothing_of_an_alternative_that_was_given_up_waits_but_its_undo():
    branches = parallel(wait("w"), sleep(), step("p"), step("a"), step("c"))
    run = Run(graph(first_of(branches, step("y")), wait("v"))).p.poison().c.succeeds()
    assert set(line_of(run).holds.values()) == {"signal", "timer", "poison"}
    assert line_of(run.a.rejected()).holds == {} and run.calls == ["undo c"]
    assert line_of(run.c.undo_fails()).holds == {run.c.index: "retry"}
    assert line_of(run.wait().c.undone()).holds == {} and run.calls == ["y"]
    assert line_of(run.y.succeeds()).holds == {run.v.index: "signal"}


def test_what_waits_beside_the_first_of_goes_on_waiting():
    run = Run(graph(parallel(first_of(step("a"), step("y")), wait("w")))).a.rejected()
    assert line_of(run).holds == {run.w.index: "signal"}


@pytest.mark.parametrize("how", ["accepted", "backing off", "owed"])
def test_an_undo_that_waits_goes_on_when_the_whole_saga_turns_back(how: str):
    run = Run(graph(parallel(first_of([step("a"), step("x")], step("y")), step("s")))).a.succeeds().x.rejected()
    {"accepted": run.a.undo_accepted, "backing off": run.a.undo_fails, "owed": run.a.undo_refused}[how]()
    hold = {"accepted": "timer", "backing off": "retry", "owed": "manual"}[how]
    assert line_of(run.cancel()).holds == {run.a.index: hold}


def test_poison_in_an_alternative_that_was_given_up_holds_nothing():
    run = Run(graph(first_of(parallel(step("a"), step("b")), step("y")))).a.rejected().b.poison()
    assert run.calls == ["y"] and line_of(run).holds == {}
    assert line_of(run.y.poison()).holds == {run.y.index: "poison"}


def test_in_an_each_only_that_items_alternative_is_given_up():
    run = Run(graph(each(first_of(parallel(wait("w"), step("a")), step("y")), limit=9)), items=2)
    waiting = {run.node(f"w[{item}]").index: "signal" for item in range(2)}
    assert line_of(run).holds == waiting
    run.node("a[1]").rejected()
    assert line_of(run).holds == {run.node("w[0]").index: "signal"}


def test_without_the_definition_a_first_of_says_what_its_events_say():
    run = Run(graph(first_of(parallel(wait("w"), step("a")), step("y")))).a.rejected()
    summary = None
    for seq, frame in enumerate(run.frames, 1):
        summary = fold_summary(summary, "s", frame, seq, ())
    assert summary is not None and summary.holds == {run.graph.find("w"): "signal"}


@pytest.mark.parametrize("end", ["accepted", "poison", "pending"])
def test_however_an_attempt_ends_whose_success_came_late_it_waits_for_nothing(end: str):
    run = Run(graph(step("a"), step("b"))).a.raises().wait()
    if end == "pending":
        run.a.accepted().wait()
    getattr(run.a.late().a, end)()
    line = line_of(run)
    assert run.calls == ["b"] and line.holds == {} and (line.cause, line.failed) == ("", ())


SIZES = (8, 6, 1, 4, 3, 1, 1, 1)  # 0: 1: (2, 3: each of 4: (5, 6)), 7
BLOCKS = (Block(first=8, each=3, body=4, size=3, count=2),)


@pytest.mark.parametrize(
    ("slot", "other", "below"),
    [(2, 1, True), (6, 1, True), (7, 1, False), (1, 1, False), (0, 1, False), (9, 8, True), (11, 8, False),
     (12, 11, True), (9, 3, True), (13, 1, True), (13, 2, False), (9, 11, False), (14, 1, False), (2, 14, False)],
)  # fmt: skip
def test_below_is_below_through_the_items_of_an_each(slot: int, other: int, below: bool):
    assert is_below(SIZES, BLOCKS, slot, other) is below
