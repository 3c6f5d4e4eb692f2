"""The lines of `amends worker`: for people, with the correlation; nothing in them steers a terminal."""

import logging

from amends.cli.running import _Lines
from amends.observe.bus import Notice
from amends.observe.logging import LoggingSubscriber


def line_of(**fields):
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(_Lines().format(record))
    logger = logging.getLogger("tests.cli.worker")
    logger.setLevel(logging.INFO)
    logger.handlers = [handler]
    LoggingSubscriber(logger)(Notice(event="saga.completed", at=0, saga_id="01S", name="trip", **fields))
    return lines[0]


def test_a_line_ends_with_what_finds_the_saga_again():
    assert line_of(correlation={"customer": "ann", "order": "7"}).endswith(
        "INFO    saga.completed trip 01S [customer=ann, order=7]"
    )
    assert line_of().endswith("INFO    saga.completed trip 01S")


def test_a_correlation_cannot_steer_the_terminal():
    said = line_of(correlation={"customer": "\x1b]0;owned\x07\n\u202e"})
    assert not any(char in said for char in "\x1b\x07\n\u202e")
