"""Notices become log records with fields, at levels that let a person sleep or wake."""

import logging

import pytest

from amends.observe import LoggingSubscriber, Notice
from amends.observe.logging import LEVELS, sentence
from amends.observe.vocabulary import EVENTS


@pytest.fixture
def records(caplog):
    caplog.set_level(logging.DEBUG, logger="amends")
    return lambda: caplog.records


def test_a_record_carries_saga_step_attempt_duration_and_correlation_as_fields(records):
    LoggingSubscriber()(
        Notice(
            event="step.succeeded",
            at=1,
            saga_id="s1",
            name="trip",
            step="pay",
            attempt=2,
            duration=0.25,
            correlation={"customer": "ada"},
        )
    )
    (record,) = records()
    assert (record.event, record.saga, record.saga_name, record.step) == ("step.succeeded", "s1", "trip", "pay")
    assert (record.attempt, record.duration, record.correlation) == (2, 0.25, {"customer": "ada"})
    assert record.getMessage() == "step.succeeded trip s1 pay attempt 2 0.250s"


@pytest.mark.parametrize(
    ("event", "level"),
    [
        ("store.failed", logging.ERROR),
        ("step.parked", logging.WARNING),
        ("compensation.owed", logging.WARNING),
        ("saga.requires_manual", logging.WARNING),
        ("saga.ended", logging.INFO),
        ("step.started", logging.DEBUG),
    ],
)
def test_what_needs_a_person_warns_and_what_merely_begins_whispers(records, event: str, level: int):
    LoggingSubscriber()(Notice(event=event, at=1))
    assert [record.levelno for record in records()] == [level]


def test_a_level_is_given_to_events_that_exist_only():
    assert set(LEVELS) <= EVENTS


def test_nothing_is_put_together_for_a_level_that_is_off():
    class Silent(logging.Logger):
        def log(self, *args, **kwargs):
            raise AssertionError("asked to log although its level is off")

    LoggingSubscriber(Silent("silent", logging.ERROR))(Notice(event="saga.ended", at=1))


def test_an_error_text_with_a_percent_sign_is_text(records):
    LoggingSubscriber()(Notice(event="step.failed", at=1, error="100%s sure"))
    assert records()[0].getMessage() == "step.failed: 100%s sure"


def test_a_sentence_leaves_empty_details_out():
    told = sentence(Notice(event="operator.verb", at=1, details={"verb": "skip", "reason": "", "actor": None}))
    assert told == "operator.verb verb=skip"
