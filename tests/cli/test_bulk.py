"""The verbs over a filter, in this process: nobody is there to apply them, so they are tried, or queued."""

import io
import json
import signal
import sqlite3
import sys

import pytest

from amends.cli import bulk as bulk_module
from tests.cli.journals import compensated, completed, requires_manual, write

REASON = ("--reason", "x")


@pytest.fixture
def three(place):
    write(place / "amends.db", compensated(), completed(), requires_manual())


@pytest.fixture
def inbox(place):
    def read():
        db = sqlite3.connect(place / "amends.db")
        found = db.execute("SELECT saga_id, json_extract(CAST(body AS TEXT), '$.verb') FROM amends_inbox").fetchall()
        db.close()
        return sorted(found)

    return read


def test_a_dry_run_prints_each_saga_and_the_counts_and_asks_for_nothing(three, call, inbox):
    said = call("cancel", "--filter", "name:book_trip", "--dry-run", *REASON)
    assert said.code == 4
    assert sorted(said.out.splitlines()) == [
        "01COMPENSATED  refused: is compensated: cancel comes too late",
        "01COMPLETED  refused: is completed: cancel comes too late",
        "01MANUAL  unchanged, requires manual",
    ]
    counts, *reasons = said.err.splitlines()
    assert counts == "amends: cancel: 2 refused, 1 unchanged"
    assert sorted(reasons) == [
        "  1 x is compensated: cancel comes too late",
        "  1 x is completed: cancel comes too late",
    ]
    assert inbox() == []


def test_a_dry_run_takes_ids_too(three, call, inbox):
    said = call("retry", "01MANUAL", "01NOBODY", "--dry-run", *REASON, "-o", "json")
    records = {each["id"]: each for each in json.loads(said.out)}
    assert said.code == 3
    assert records["01MANUAL"] == {
        "id": "01MANUAL", "verb": "retry", "result": "eligible", "status": "requires_manual", "error": "",
    }  # fmt: skip
    assert records["01NOBODY"]["result"] == "refused" and "AM3002" in records["01NOBODY"]["error"]
    assert inbox() == []


@pytest.mark.parametrize(
    "words",
    [
        ["retry", *REASON],
        ["skip", "book_hotel", *REASON],
        ["resolve", "book_hotel", "done", *REASON],
        ["resolve", "book_hotel", "--outcome", "done", *REASON],
        ["pause"],
        ["signal", "approval", '{"by":"eve"}', "--id", "7"],
        ["signal", "approval"],
    ],
    ids=" ".join,
)
def test_each_verb_over_a_filter_asks_for_what_is_possible_and_no_more(three, call, inbox, words):
    said = call(*words, "--filter", "id:01*", "-o", "jsonl")
    records = {each["id"]: each for each in map(json.loads, said.out.splitlines())}
    assert {each: records[each]["result"] for each in records} == {
        "01MANUAL": "queued", "01COMPLETED": "refused", "01COMPENSATED": "refused",
    }  # fmt: skip
    assert "AM4001" in records["01COMPLETED"]["error"] and "this state allows" in records["01COMPLETED"]["error"]
    assert inbox() == [("01MANUAL", words[0])]
    assert said.code == 4
    assert f"amends: {words[0]}: 1 queued, 2 refused" in said.err
    assert "as soon as a worker leads" in said.err


def test_resume_over_a_filter_names_the_state_that_refuses_it(three, call):
    said = call("resume", "--filter", "-is:ended")
    assert said.code == 4
    assert said.out == "01MANUAL  refused: is requires_manual: it is not paused\n"


@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_filter_is_refused(three, call, inbox, text):
    said = call("cancel", "--filter", text, *REASON)
    assert (said.code, said.out, inbox()) == (2, "", [])
    assert "AM2041" in said.err and "cancel of every saga" in said.err


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["cancel", *REASON], "AM2524"),
        (["cancel", "01MANUAL", "--filter", "is:paused", *REASON], "AM2524"),
        (["cancel", "01MANUAL", "--limit", "3", *REASON], "AM2524"),
        (["skip", "01MANUAL", *REASON], "AM2525"),
        (["skip", "01MANUAL", "book_hotel", "--filter", "is:paused", *REASON], "AM2525"),
        (["resolve", "01MANUAL", "book_hotel", *REASON], "AM2525"),
        (["signal", "01MANUAL"], "AM2525"),
        (["signal", "01MANUAL", "approval", "null", "--filter", "is:paused"], "AM2525"),
        (["cancel", "--filter", "is:paused", "--limit", "0", *REASON], "AM2042"),
        (["cancel", "--filter", "stauts:x", *REASON], "AM2031"),
        (["resolve", "book_hotel", "perhaps", "--filter", "is:paused", *REASON], "AM2010"),
        (["cancel", "--filter", "is:paused", "--reason", " "], "AM2013"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_is_a_usage_error(three, call, inbox, argv, code):
    said = call(*argv)
    assert (said.code, code in said.err, said.out, inbox()) == (2, True, "", []), said


def test_more_than_the_cap_is_refused_and_a_limit_takes_the_newest(three, call, inbox, monkeypatch):
    monkeypatch.setattr("amends.runtime.bulk.BULK_SAGAS_MAX", 2)
    said = call("pause", "--filter", "id:01*")
    assert (said.code, said.out, inbox()) == (2, "", [])
    assert "pause of 3 sagas" in said.err and "AM2040" in said.err
    said = call("pause", "--filter", "id:01*", "--limit", "1")
    assert said.out == "01MANUAL  queued, requires manual\n"
    assert "pause: 1 queued; 2 more fit" in said.err


def test_a_filter_that_nothing_fits_is_no_failure(three, call):
    said = call("cancel", "--filter", "name:nobody", *REASON, "-o", "json")
    assert (said.code, json.loads(said.out)) == (0, [])
    assert "no saga fits" in said.err


# --- asking first ------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def answers(monkeypatch):
    """Sit a person at the terminal, who types this."""

    def typed(said):
        monkeypatch.setattr(sys, "stdin", Terminal(said))
        monkeypatch.setattr(bulk_module, "_sits_at_the_terminal", lambda: True)

    return typed


@pytest.mark.parametrize(
    ("said", "code", "asked"), [("y\n", 0, True), ("yes\n", 0, True), ("n\n", 130, False), ("", 130, False)]
)
def test_a_verb_that_cannot_be_taken_back_asks_a_person_first(three, call, inbox, answers, said, code, asked):
    answers(said)
    found = call("skip", "book_hotel", "--filter", "status:requires_manual", *REASON)
    assert "skip 1 saga? [y/N]" in found.err
    assert (found.code, bool(inbox())) == (code, asked)
    assert ("nothing was done" in found.err) is not asked


@pytest.mark.parametrize("more", [["--yes"], ["-y"], ["--dry-run"]])
def test_nothing_is_asked_when_that_was_said_or_nothing_is_done(three, call, answers, more):
    answers("n\n")
    found = call("skip", "book_hotel", "--filter", "status:requires_manual", *REASON, *more)
    assert found.code == 0 and "[y/N]" not in found.err


def test_a_verb_that_can_be_taken_back_asks_nothing(three, call, answers, inbox):
    answers("n\n")
    assert call("pause", "--filter", "status:requires_manual").code == 0
    assert inbox() == [("01MANUAL", "pause")]


def test_without_a_terminal_nothing_is_asked(three, call, inbox, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    found = call("skip", "book_hotel", "--filter", "status:requires_manual", *REASON)
    assert found.code == 0 and "[y/N]" not in found.err
    assert inbox() == [("01MANUAL", "skip")]


def test_an_interrupt_at_the_question_does_nothing(three, call, inbox, answers, monkeypatch):
    answers("")

    def interrupt():
        signal.raise_signal(signal.SIGINT)
        return "y\n"

    monkeypatch.setattr(sys.stdin, "readline", interrupt)
    found = call("skip", "book_hotel", "--filter", "status:requires_manual", *REASON)
    assert (found.code, inbox()) == (130, [])
