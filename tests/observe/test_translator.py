"""Frames become notices: with paths, attempts and durations, and with nothing that is not known."""

from typing import get_args

import pytest

from amends.core import events as e
from amends.observe import Notice, Translator
from amends.observe.vocabulary import ROWS

PATHS = ["", "reserve", "pay", "ship"]
CORRELATION = {"customer": "ada"}
START = e.Started("s1", "trip", 3, "f" * 32, e.NOTHING)


def frame(at: int, *events: e.Event) -> e.Frame:
    return e.decode_frame(e.encode_frame(at, list(events)))


def tell(translator: Translator, at: int, *events: e.Event, saga_id: str = "s1") -> list[Notice]:
    return list(translator.translate(saga_id, "trip", 3, CORRELATION, PATHS.__getitem__, frame(at, *events)))


def story(*frames: tuple[int, e.Event]) -> list[Notice]:
    translator = Translator()
    return [it for at, *events in frames for it in tell(translator, at, *events)]


def test_each_event_of_the_journal_says_something_on_the_bus():
    assert set(ROWS) == set(get_args(e.AnyEvent))


@pytest.mark.parametrize("kind", get_args(e.AnyEvent), ids=lambda kind: kind.__name__)
def test_what_a_row_names_exists_on_its_journal_event(kind: type[e.Event]):
    for row in ROWS[kind]:
        assert set(row.details) | ({row.only[0]} if row.only else set()) <= set(kind.__struct_fields__)
        assert not row.lane or "node" in kind.__struct_fields__


def test_a_notice_tells_which_saga_it_is_about():
    (it,) = tell(Translator(), 1_000, START)
    assert (it.event, it.at, it.saga_id, it.name, it.version) == ("saga.started", 1_000, "s1", "trip", 3)
    assert it.correlation == CORRELATION


def test_an_attempt_lasts_from_its_intent_to_its_outcome():
    *_, ended = story((1_000, START, e.ActionStarted(1)), (1_250, e.ActionSucceeded(1)))
    assert (ended.event, ended.step, ended.attempt, ended.duration) == ("step.succeeded", "reserve", 1, 0.25)


def test_attempts_are_counted_for_each_step_by_itself():
    told = story(
        (1_000, e.ActionStarted(1), e.ActionStarted(2)),
        (1_100, e.ActionUnknown(1, "boom"), e.RetryScheduled(1, 1_300, 200)),
        (1_300, e.ActionStarted(1)),
        (1_400, e.ActionSucceeded(2)),
    )
    assert [(it.event, it.step, it.attempt) for it in told] == [
        ("step.started", "reserve", 1),
        ("step.started", "pay", 1),
        ("step.attempt_failed", "reserve", 1),
        ("step.retrying", "reserve", 1),
        ("step.started", "reserve", 2),
        ("step.succeeded", "pay", 1),
    ]


def test_what_follows_a_failed_attempt_carries_its_error_and_a_new_attempt_does_not():
    told = story(
        (1_000, e.ActionStarted(1)),
        (1_100, e.ActionUnknown(1, "boom", "timeout"), e.RetryScheduled(1, 1_300, 200)),
        (1_300, e.ActionStarted(1)),
        (1_500, e.ActionRejected(1, "no room"), e.StepRejected(1)),
    )
    assert [(it.event, it.error, it.duration) for it in told] == [
        ("step.started", "", None),
        ("step.attempt_failed", "boom", 0.1),
        ("step.retrying", "boom", None),
        ("step.started", "", None),
        ("step.attempt_failed", "no room", 0.2),
        ("step.rejected", "no room", 0.5),
    ]
    assert told[1].details == {"outcome": "unknown", "cause": "timeout"}
    assert told[2].details == {"due": 1_300, "delay_ms": 200}


def test_a_compensation_counts_apart_from_its_action():
    told = story((1_000, e.ActionStarted(1)), (1_100, e.ActionSucceeded(1)), (2_000, e.CompensationStarted(1)))
    assert (told[-1].event, told[-1].attempt) == ("compensation.started", 1)


def test_the_end_lasts_from_the_start_and_says_which_end_it_is():
    assert [(it.duration, it.details) for it in story((1_000, START), (3_000, e.Compensated()))][1:] == [
        (2.0, {"status": "compensated"})
    ]
    assert story((1_000, START), (2_000, e.Completed()))[-1].details == {"status": "completed"}
    assert story((2_000, e.Closed([1, 3])))[-1].details == {"status": "closed", "stays": ["reserve", "ship"]}


def test_a_failed_follow_up_is_told_apart_from_one_that_ended_well():
    assert [it.event for it in story((1, e.FollowUpsEnded(failed=True)), (2, e.FollowUpsEnded()))] == [
        "saga.followup_failed",
        "saga.followups_ended",
    ]


def test_a_skip_is_a_verb_of_an_operator_and_a_fact_about_the_step():
    told = story((1, e.Skipped(2, "lost", "ada")))
    assert [(it.event, it.step) for it in told] == [("operator.verb", "pay"), ("step.skipped", "pay")]
    assert told[0].details == {"verb": "skip", "reason": "lost", "actor": "ada"}


def test_a_turn_back_names_the_step_only_if_there_is_one():
    told = story((1, e.TurnedBack("rejected", 2, "card refused")), (2, e.TurnedBack("cancelled")))
    assert [(it.step, it.error, it.details) for it in told] == [
        ("pay", "card refused", {"cause": "rejected"}),
        ("", "", {"cause": "cancelled"}),
    ]


def test_a_duration_whose_beginning_was_not_seen_is_left_out():
    (it,) = story((9_000, e.ActionSucceeded(1)))
    assert it.duration is None


def test_a_recalled_saga_goes_on_counting_where_its_journal_ends():
    past = [frame(1_000, START, e.ActionStarted(1)), frame(1_200, e.ActionCut(1))]
    translator = Translator()
    translator.recall("s1", past)
    (it,) = tell(translator, 5_000, e.ActionStarted(1))
    assert it.attempt == 2
    assert tell(translator, 6_000, e.Completed())[0].duration == 5.0


def test_a_forgotten_saga_leaves_nothing_behind_and_others_stay():
    translator = Translator()
    tell(translator, 1, START)
    tell(translator, 1, START, saga_id="s2")
    translator.forget("s1")
    translator.forget("never known")
    assert len(translator) == 1
