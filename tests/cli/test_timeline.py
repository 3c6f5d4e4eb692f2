"""The drawing: what a history says becomes lanes, in whatever room there is."""

from datetime import timedelta

import pytest

from amends.cli import timeline
from amends.cli.timeline import FORWARD, UNDO, Axis, Lane, Span
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


def test_an_event_and_a_status_of_a_newer_release_are_drawn_as_far_as_they_are_known():
    _, view, history = folded(completed())
    at = view.started_at + timedelta(seconds=1)
    strange = [*history, HistoryEntry(99, at, "Teleported", "book_car"), HistoryEntry(99, at, "Sighed", "nowhere")]
    step = StepView("book_car", "step", "dematerialised")
    lines = timeline.rows(replaced(view, step), strange, now=at, room=100)
    assert any("·  book_car  dematerialised" in line.plain for line in lines)


def replaced(view, step):
    from dataclasses import replace

    return replace(view, steps=(step,))


def test_a_call_under_way_reaches_to_now():
    _, view, history = folded(completed()[:2])
    lines = timeline.draw(view, history, now=view.started_at + timedelta(seconds=9), room=80)
    assert "━▸" in row([line.plain for line in lines], "book_flight")


def test_turning_back_ends_a_backoff_that_nothing_follows():
    _, view, history = folded(completed()[:4])
    at = view.started_at + timedelta(seconds=1.8)
    lanes = timeline.lanes_of([*history, HistoryEntry(9, at, "TurnedBack", "")], view.started_at)
    assert lanes["book_hotel", FORWARD].spans[-1].end == pytest.approx(1.8)


def test_a_lane_in_one_moment_is_one_mark():
    lane = Lane([Span("call", 1.0, 1.0, "●")], 1)
    assert timeline.bar(lane, Axis([lane], 10, 1.0), UNDO) == "●" + " " * 9
