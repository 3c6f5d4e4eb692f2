"""The drawing: what a history says becomes lanes, in whatever room there is."""

from dataclasses import replace
from datetime import timedelta

import pytest

from amends.cli import lanes, timeline
from amends.cli.grouping import grouped
from amends.cli.lanes import FORWARD, UNDO, Axis, Lane, Span
from amends.core.transitions import StepStatus as S
from amends.runtime.views import HistoryEntry, StepView
from tests.cli.journals import compensated, completed, folded, requires_manual


def drawn(journal, room=None):
    _, view, history = folded(journal)
    return [line.plain for line in timeline.draw(view, history, now=view.started_at + timedelta(days=2), room=room)]


def row(lines, name):
    return next(line for line in lines if f" {name} " in line)


def test_a_retry_is_a_tick_after_a_backoff_and_attempts_are_counted():
    line = row(drawn(completed()), "book_hotel")
    assert "?····┃" in line and line.endswith("1.8s x2")


def test_a_saga_that_never_turned_back_has_no_undo_lane():
    assert not any("UNDO" in line for line in drawn(completed()))


def test_undo_lanes_have_an_axis_of_their_own_and_run_in_reverse_order():
    lines = drawn(compensated())
    heads = next(line for line in lines if "STEP" in line)
    assert "FORWARD 5.1s" in heads and "UNDO 1.3s" in heads
    assert row(lines, "book_hotel").index("═") < row(lines, "book_flight").index("═")


def test_a_day_of_waiting_is_folded_and_the_legend_says_so():
    lines = drawn(completed())
    assert row(lines, "approval").count("┄") < row(lines, "book_flight").count("━")
    assert row(lines, "approval").endswith("23h59m")
    assert "(idle time is folded)" in lines[-1]


def test_what_is_parked_is_marked_and_says_why():
    lines = drawn(requires_manual())
    assert "owed" in row(lines, "book_hotel") and "═!" in row(lines, "book_hotel")
    assert any("undo: the guest has checked in" in line for line in lines)


def test_an_error_that_a_later_attempt_made_good_is_not_repeated():
    assert not any("TimeoutError" in line for line in drawn(completed()))


@pytest.mark.parametrize("room", [20, 40, 60, 80, 100, 200])
@pytest.mark.parametrize("journal", [completed, compensated, requires_manual])
def test_the_rows_fit_into_the_room_or_give_their_bars_up(journal, room):
    lines = drawn(journal(), room)
    rows = [line for line in lines if line[:1] in "✓↩✗!○" and "  book_" in line[:12]]
    assert len(rows) == 3
    if room >= 60:
        assert max(map(len, rows)) <= room
    else:
        assert not any("━" in line for line in rows)


def test_without_bars_the_lengths_stand_below_their_heads():
    lines = drawn(compensated(), 40)
    heads = next(line for line in lines if "STEP" in line)
    hotel = next(line for line in lines if "1.8s x2" in line)
    assert "━" not in hotel and hotel.index("1.8s x2") == heads.index("FORWARD")
    assert hotel.index("900ms x2") == heads.index("UNDO")


def test_an_event_and_a_status_of_a_newer_release_are_drawn_as_far_as_they_are_known():
    _, view, history = folded(completed())
    at = view.started_at + timedelta(seconds=1)
    strange = [*history, HistoryEntry(99, at, "Teleported", "book_car"), HistoryEntry(99, at, "Sighed", "nowhere")]
    step = StepView("book_car", "step", "dematerialised")
    lines = timeline.rows(replaced(view, step), strange, now=at, room=100)
    assert any("·  book_car  dematerialised" in line.plain for line in lines)


def replaced(view, step):
    return replace(view, steps=(step,))


def test_a_call_under_way_reaches_to_now():
    _, view, history = folded(completed()[:2])
    lines = timeline.draw(view, history, now=view.started_at + timedelta(seconds=9), room=80)
    assert "━▸" in row([line.plain for line in lines], "book_flight")


def test_turning_back_ends_a_backoff_that_nothing_follows():
    _, view, history = folded(completed()[:4])
    at = view.started_at + timedelta(seconds=1.8)
    found = lanes.lanes_of([*history, HistoryEntry(9, at, "TurnedBack", "")], view.started_at)
    assert found["book_hotel", FORWARD].spans[-1].end == pytest.approx(1.8)


def test_a_lane_in_one_moment_is_one_mark():
    lane = Lane([Span("call", 1.0, 1.0, "●")], 1)
    assert lanes.bar(lane, Axis([lane], 10, 1.0), UNDO) == "●" + " " * 9


# --- which rows there are ------------------------------------------------------------------------


def items(*statuses, path="hold"):
    return tuple(StepView(f"{path}[{number}]", "step", status) for number, status in enumerate(statuses))


def names(steps, **fields):
    _, view, _ = folded(completed())
    return [row.name for row in grouped(replace(view, steps=tuple(steps), **fields))]


def test_items_that_are_well_share_a_row_and_those_in_trouble_have_their_own():
    many = items(*["succeeded"] * 40, "owed", *["compensated"] * 9, "rejected")
    one = StepView("last", "step", "succeeded")
    assert names([*many, one]) == ["40× hold[]", "9× hold[]", "hold[40]", "hold[50]", "last"]


def test_a_few_items_have_a_row_each():
    assert names(items(*["succeeded"] * 6)) == [f"hold[{number}]" for number in range(6)]
    assert names(items(*["succeeded"] * 7)) == ["7× hold[]"]


def test_even_troubles_are_not_told_without_end():
    assert names(items(*["owed"] * 1_000))[-2:] == ["hold[19]", "980× hold[]"]


def test_items_that_ended_for_the_same_reason_share_a_row_and_another_reason_has_its_own():
    turned = [replace(step, error="the saga turned back") for step in items(*["failed"] * 30)]
    many = [replace(turned[0], path="hold[30]", status="rejected", error="sold out"), *turned]
    assert names(many) == ["hold[30]", "30× hold[]"]
    several = [replace(step, error=f"error {number % 2}") for number, step in enumerate(items(*["failed"] * 10))]
    assert names(several) == ["5× hold[]", "5× hold[]"]


def test_steps_of_one_item_are_told_apart_by_their_node():
    ours, theirs = items(*["succeeded"] * 9, path="a"), items(*["owed"] * 9, path="b")
    pairs = [step for pair in zip(ours, theirs, strict=True) for step in pair]
    assert names(pairs) == ["9× a[]", *(f"b[{number}]" for number in range(9))]


@pytest.mark.parametrize(("status", "most"), [("completed", 3), ("running", 8)])
def test_a_long_run_of_steps_that_were_not_reached_is_one_row(status, most):
    begun = StepView("first", "step", "succeeded")
    ahead = [StepView(f"s{number}", "step", "pending") for number in range(most + 1)]
    assert names([begun, *ahead[:most]], status=status) == ["first", *(step.path for step in ahead[:most])]
    assert names([begun, *ahead], status=status) == ["first", f"{most + 1} steps"]


def test_no_step_is_lost_or_drawn_twice_whatever_the_rows():
    for journal in (completed(), compensated(), requires_manual()):
        _, view, _ = folded(journal)
        rows = grouped(replace(view, steps=(*view.steps, *items(*["succeeded", "owed", "pending"] * 30))))
        drawn = [step.path for row in rows for step in row.steps]
        assert len(drawn) == len(set(drawn)) == len(view.steps) + 90
        assert len({row.step.path for row in rows}) == len(rows)


def test_several_lanes_are_one_from_the_first_beginning_to_the_last_end():
    one, other = Lane([Span("call", 1.0, 2.0, "●")], 1), Lane([Span("call", 0.5, 3.0, "●")], 2)
    assert lanes.together([one, other]) == Lane([Span("call", 0.5, 3.0, "●")], 1)
    open_one = Lane([Span("call", 2.0)], 1)
    assert lanes.together([one, open_one]) == Lane([Span("call", 1.0, None, "")], 1)
    assert lanes.together([one]) is one and lanes.together([]) is None


@pytest.mark.parametrize(
    ("status", "undo", "errors", "due", "said"),
    [
        (S.ACCEPTED, False, ["502", "503"], 9, "polled 2 times, last: 503; next at 2026-11-02 10:00:09Z"),
        (S.ACCEPTED, False, ["502", ""], 9, "polled 2 times, last: not done yet; next at 2026-11-02 10:00:09Z"),
        (S.POLLING, False, ["502"], 0, "polled once, last: 502"),
        (S.UNDO_ACCEPTED, True, ["502"], 9, "undo: polled once, last: 502; next at 2026-11-02 10:00:09Z"),
        (S.UNDO_POLLING, True, ["502"], 0, "undo: polled once, last: 502"),
        (S.SUCCEEDED, False, ["502"], 0, ""),
        (S.ACCEPTED, False, [], 9, ""),
    ],
)
def test_of_what_is_polled_it_is_told_how_often_how_the_last_time_came_out_and_when_it_is_next(
    status, undo, errors, due, said
):
    _, view, history = folded(completed()[:2])
    at = view.started_at
    told = [HistoryEntry(3, at, "PollPending", "book_flight", {"undo": undo, "error": error}) for error in errors]
    flight = replace(view["book_flight"], status=status, due=at + timedelta(seconds=due) if due else None)
    view = replace(view, steps=tuple(flight if step.path == flight.path else step for step in view.steps))
    lines = [line.plain for line in timeline.draw(view, [*history, *told], now=at, room=100)]
    assert [line.strip(" └") for line in lines if "polled" in line] == ([said] if said else [])


def test_what_was_accepted_is_waited_for_and_polls_are_told_by_their_direction():
    _, view, history = folded(completed()[:2])
    at = [view.started_at + timedelta(seconds=second) for second in range(9)]
    told = [
        *history,
        HistoryEntry(3, at[1], "ActionAccepted", "book_flight", {}),
        HistoryEntry(4, at[3], "PollStarted", "book_flight", {"undo": False}),
        HistoryEntry(5, at[4], "PollPending", "book_flight", {"undo": False}),
        HistoryEntry(6, at[5], "ActionSucceeded", "book_flight", {}),
        HistoryEntry(7, at[6], "CompensationAccepted", "book_flight", {}),
        HistoryEntry(8, at[7], "PollStarted", "book_flight", {"undo": True}),
        HistoryEntry(9, at[8], "CompensationSucceeded", "book_flight", {}),
    ]
    found = lanes.lanes_of(told, view.started_at)
    assert [span.kind for span in found["book_flight", FORWARD].spans] == ["call", "accepted", "probe", "accepted"]
    assert [span.kind for span in found["book_flight", UNDO].spans] == ["accepted", "probe"]
