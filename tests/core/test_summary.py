"""The fold behind lists: what one saga's line says after each thing that can happen."""

from __future__ import annotations

import pytest

from amends.core import events as e
from amends.core.summary import fold_summary, fold_undecodable, hold_of
from amends.limits import FAILED_KEPT

PATHS = ("root", "reserve_payment", "approval", "rest", "capture_payment")


def folding(*decided, deadline=90):
    """The summary after a start and one frame per list of events; frame n is of time n."""
    start = [e.Started("s", "order", 2, "f", e.NOTHING, deadline, 80, "k", {"customer": "ann"})]
    summary = None
    for seq, events in enumerate([start, *decided], 1):
        summary = fold_summary(summary, "s", e.decode_frame(e.encode_frame(seq, events)), seq, PATHS)
    return summary


def test_a_started_saga_is_scheduled_with_all_that_its_start_said():
    summary = folding()
    assert (summary.saga_id, summary.name, summary.version, summary.fingerprint) == ("s", "order", 2, "f")
    assert (summary.status, summary.key, summary.correlation) == ("scheduled", "k", {"customer": "ann"})
    assert (summary.started, summary.updated, summary.ended, summary.deadline, summary.seq) == (1, 1, 0, 90, 1)
    assert hold_of(summary) == ""


def test_a_journal_without_its_start_is_not_folded():
    with pytest.raises(ValueError, match="does not begin with its start"):
        fold_summary(None, "s", e.Frame(1, 1, [e.Began()]), 1, PATHS)


def test_a_summary_that_was_handed_out_does_not_change():
    before = folding([e.Began(), e.SleepStarted(3, 50)])
    fold_summary(before, "s", e.Frame(1, 9, [e.SleepEnded(3), e.Completed()]), 3, PATHS)
    assert (before.status, before.holds, before.ended, before.seq) == ("running", {3: "timer"}, 0, 2)


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([e.Began()], "running"),
        ([e.Began(), e.TurnedBack("deadline")], "compensating"),
        ([e.Began(), e.RequiresManual()], "requires_manual"),
        ([e.RequiresManual(), e.Reactivated()], "running"),
        ([e.TurnedBack("deadline"), e.RequiresManual(), e.Reactivated()], "compensating"),
        ([e.Completed()], "completed"),
        ([e.TurnedBack("deadline"), e.Compensated()], "compensated"),
        ([e.Closed([1])], "closed"),
    ],
)
def test_the_status_follows_the_journal(events, status):
    summary = folding(events)
    assert summary.status == status
    assert summary.ended == (2 if status in {"completed", "compensated", "closed"} else 0)


@pytest.mark.parametrize(
    ("event", "cause"),
    [
        (e.TurnedBack("rejected", 1, "insufficient\n  \0funds"), "reserve_payment rejected: insufficient funds"),
        (e.TurnedBack("unknown", 4), "capture_payment unknown"),
        (e.TurnedBack("timeout", 2), "approval timeout"),
        (e.TurnedBack("deadline"), "deadline"),
        (e.TurnedBack("cancelled", -1, "customer"), "cancelled: customer"),
        (e.TurnedBack("failed", 9, "x"), "#9 failed: x"),
        (e.StepParked(4, "unknown"), "capture_payment parked: unknown"),
    ],
)
def test_the_cause_is_one_plain_line(event, cause):
    assert folding([e.Began(), event]).cause == cause


def test_the_first_cause_stays_but_turning_back_outranks_a_parked_step():
    parked = [e.Began(), e.StepParked(4, "unknown"), e.StepParked(1, "deadline")]
    assert folding(parked).cause == "capture_payment parked: unknown"
    back = [e.TurnedBack("cancelled", -1, "customer")]
    assert folding(parked, back, [e.StepParked(3, "unknown")]).cause == "cancelled: customer"
    assert folding([e.Began(), e.StepParked(4, "unknown")], [e.ActionStarted(4)], [e.Completed()]).cause == ""


@pytest.mark.parametrize(
    "event",
    [
        e.ActionStarted(4), e.ProbeStarted(4), e.CompensationStarted(4), e.WaitStarted(4), e.SleepStarted(4, 1),
        e.StepParked(4, "unknown"), e.StepOwed(4, "refused"),
    ],
    ids=lambda event: type(event).__name__,
)  # fmt: skip
def test_the_step_is_the_last_one_touched(event):
    assert folding([e.Began(), e.ActionStarted(1)], [e.ActionSucceeded(1), event]).step == "capture_payment"
    assert folding([e.ActionStarted(1)], [e.ActionSucceeded(1), e.BranchChosen(4, 0)]).step == "reserve_payment"


@pytest.mark.parametrize(
    ("event", "hold"),
    [
        (e.SleepStarted(3, 50), "timer"),
        (e.WaitStarted(3), "signal"),
        (e.RetryScheduled(3, 50, 5), "retry"),
        (e.CompensationRetryScheduled(3, 50, 5), "retry"),
        (e.ProbeRetryScheduled(3, 50, 5), "retry"),
        (e.StepParked(3, "unknown"), "manual"),
        (e.StepOwed(3, "refused"), "manual"),
        (e.StepParked(3, "poison"), "poison"),
        (e.StepOwed(3, "poison"), "poison"),
        (e.Held("version"), "version"),
        (e.Held("poison"), "poison"),
        (e.Paused(), "paused"),
    ],
)
def test_each_thing_that_holds_a_saga_is_shown_until_the_saga_ends(event, hold):
    summary = folding([e.Began(), event])
    assert hold_of(summary) == hold
    assert hold_of(folding([e.Began(), event], [e.Closed()])) == ""


@pytest.mark.parametrize(
    "moved",
    [
        e.SleepEnded(3), e.WaitSatisfied(3), e.WaitTimedOut(3), e.ActionStarted(3), e.ProbeStarted(3),
        e.CompensationStarted(3), e.StepRejected(3), e.StepFailed(3), e.StepUnknown(3), e.StepPassed(3),
        e.LateSucceeded(3), e.Resolved(3, "done"), e.Skipped(3), e.BranchChosen(3, 0),
    ],
    ids=lambda event: type(event).__name__,
)  # fmt: skip
def test_a_hold_is_gone_when_its_node_moves_on_and_another_nodes_stays(moved):
    summary = folding([e.StepParked(3, "unknown"), e.WaitStarted(2)], [moved])
    assert summary.holds == {2: "signal"}


def test_an_anomaly_or_an_abandoned_call_moves_nothing_on():
    summary = folding([e.StepParked(3, "unknown")], [e.AnomalyNoted(3), e.AttemptAbandoned(3)])
    assert summary.holds == {3: "manual"}
    assert not summary.anomalous
    assert folding([e.AnomalyNoted(3, "", after_undo=True)], [e.AnomalyNoted(3)]).anomalous


def test_turning_back_drops_what_would_have_moved_forward_and_keeps_what_is_being_undone():
    going = [e.SleepStarted(3, 50), e.WaitStarted(2), e.RetryScheduled(1, 50, 5), e.StepParked(4, "unknown")]
    assert folding(going, [e.TurnedBack("deadline")]).holds == {}  # what was parked may be undone now by itself
    assert folding(going, [e.TurnedBack("deadline")], [e.StepOwed(4, "on_unknown")]).holds == {4: "manual"}
    assert folding([e.StepOwed(4, "refused")], [e.TurnedBack("deadline")]).holds == {4: "manual"}


def test_the_strongest_hold_is_the_one_shown():
    everything = [
        e.SleepStarted(0, 9), e.WaitStarted(1), e.RetryScheduled(2, 9, 9), e.StepParked(3, "unknown"),
        e.StepParked(4, "poison"), e.Paused(), e.Held("version"),
    ]  # fmt: skip
    shown = [hold_of(folding(everything[: n + 1])) for n in range(len(everything))]
    assert shown == ["timer", "signal", "retry", "manual", "poison", "paused", "version"]


def test_pause_and_hold_end_with_resume_and_release():
    summary = folding([e.Paused("holiday", "eve"), e.Held("version")], [e.Resumed(), e.Released()])
    assert (summary.paused, summary.held, hold_of(summary)) == (False, "", "")


def test_a_retry_moves_the_deadline_only_when_it_has_one():
    assert folding([e.RetryRequested("again", "eve", 500)]).deadline == 500
    assert folding([e.RetryRequested("again", "eve")]).deadline == 90


def test_follow_ups_change_neither_status_nor_end():
    summary = folding([e.Completed()], [e.ActionStarted(3)], [e.FollowUpsEnded(failed=True)])
    assert (summary.status, summary.ended, summary.followup_failed) == ("completed", 2, True)
    assert not folding([e.Completed()], [e.FollowUpsEnded()]).followup_failed


def test_a_frame_that_cannot_be_read_makes_the_saga_poison_and_keeps_its_first_cause():
    bare = fold_undecodable(None, "s", 1, "damaged\nbadly")
    assert (bare.saga_id, bare.held, bare.cause, bare.seq) == ("s", "poison", "damaged badly", 1)
    known = fold_undecodable(folding([e.TurnedBack("deadline")]), "s", 3, "damaged")
    assert (known.status, known.cause, known.seq, hold_of(known)) == ("compensating", "deadline", 3, "poison")


@pytest.mark.parametrize(
    ("event", "failed"),
    [
        (e.StepRejected(1), ("reserve_payment",)),
        (e.StepFailed(1), ("reserve_payment",)),
        (e.StepUnknown(4), ("capture_payment",)),
        (e.StepParked(4, "unknown"), ("capture_payment",)),
        (e.StepOwed(1, "refused"), ("reserve_payment",)),
        (e.TurnedBack("timeout", 2), ("approval",)),
        (e.TurnedBack("deadline"), ()),
        (e.StepPassed(3), ()),
        (e.ActionUnknown(1, "reset"), ()),
        (e.CompensationFailed(1, "reset"), ()),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, e.Event) else None,
)
def test_a_step_has_failed_when_its_attempts_are_over_without_success(event, failed):
    assert folding([e.Began(), event]).failed == failed


def test_failed_steps_stand_in_the_order_of_their_first_failure_once_each_and_for_ever():
    parked = [e.StepParked(4, "unknown"), e.StepUnknown(1)]
    summary = folding(parked, [e.StepOwed(1, "refused")], [e.Resolved(4, "done"), e.Completed()])
    assert summary.failed == ("capture_payment", "reserve_payment")


def test_the_items_of_an_each_fail_as_one_step():
    paths = ("root", "orders[0]/pay", "orders[17]/pay", "orders[17]/ship")
    summary = None
    for seq, events in enumerate([[e.Started("s", "n", 1, "f", e.NOTHING)], [e.StepFailed(n) for n in (1, 2, 3)]], 1):
        summary = fold_summary(summary, "s", e.Frame(1, seq, events), seq, paths)
    assert summary.failed == ("orders/pay", "orders/ship")


def test_a_line_names_so_many_failed_steps_and_no_more():
    summary = folding([e.StepFailed(node) for node in range(5, 5 + FAILED_KEPT + 50)])
    assert len(summary.failed) == FAILED_KEPT
    assert summary.failed[0] == "#5"


WAITING = [e.Began(), e.WaitStarted(2)]  # at time 2


def test_a_saga_waits_from_the_frame_that_left_it_on_hold_until_nothing_holds_it():
    assert folding().waiting_since == 0
    assert folding([e.Began(), e.ActionStarted(1)]).waiting_since == 0
    assert folding(WAITING).waiting_since == 2
    assert folding(WAITING, [e.WaitSatisfied(2), e.ActionStarted(4)]).waiting_since == 0
    assert folding(WAITING, [e.WaitSatisfied(2), e.SleepStarted(3, 50)]).waiting_since == 3
    assert folding(WAITING, [e.WaitTimedOut(2), e.TurnedBack("timeout", 2), e.Compensated()]).waiting_since == 0


@pytest.mark.parametrize(
    "spoken",
    [
        e.SignalReceived("other"), e.CancelRequested("x"), e.CancelRefused(), e.RetryRequested("x"), e.Paused("x"),
        e.Resumed("x"), e.Held("version"), e.Released(), e.AnomalyNoted(3), e.AttemptAbandoned(3),
    ],
    ids=lambda event: type(event).__name__,
)  # fmt: skip
def test_what_only_speaks_of_a_saga_does_not_shorten_its_wait(spoken):
    summary = folding(WAITING, [spoken])
    assert (summary.waiting_since, summary.updated) == (2, 3)


def test_another_branch_that_moves_shortens_the_wait_and_a_pause_or_a_hold_begins_one():
    assert folding(WAITING, [e.ActionStarted(1)], [e.ActionSucceeded(1)]).waiting_since == 4
    running = [e.Began(), e.ActionStarted(1)]
    assert folding(running, [e.Paused("x")], [e.AnomalyNoted(3)]).waiting_since == 3
    assert folding(running, [e.Paused("x")], [e.Resumed("x")]).waiting_since == 0
    assert folding(running, [e.Held("version")]).waiting_since == 3


def test_a_frame_that_cannot_be_read_leaves_the_saga_waiting_since_it_moved_last():
    assert fold_undecodable(folding(WAITING, [e.ActionStarted(1)]), "s", 4, "damaged").waiting_since == 3
    assert fold_undecodable(folding([e.Began()]), "s", 3, "damaged").waiting_since == 2


def test_that_a_saga_needed_a_person_and_that_one_came_is_remembered():
    stood = folding([e.StepParked(4, "unknown"), e.RequiresManual()], [e.Reactivated()])
    assert (stood.manual, stood.intervened) == (True, False)
    for verb in (e.RetryRequested("x"), e.Resolved(4, "done"), e.Skipped(4)):
        assert folding([e.StepParked(4, "unknown")], [verb], [e.Completed()]).intervened
    for other in (e.CancelRequested("x"), e.Paused("x"), e.Resumed("x"), e.SignalReceived("x")):
        assert not folding([e.Began(), other]).intervened
