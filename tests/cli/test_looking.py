"""list, show and history, in this process, on journals written by hand."""

import io
import json
import sys

import pytest
from msgspec import Raw

from amends.core import events as ev
from tests.cli.journals import FLIGHT, compensated, completed, requires_manual, started, write

HOSTILE = "\x1b]0;owned\x07[red]markup[/red]\x9b2J\u202e"


@pytest.fixture
def three(place):
    write(place / "amends.db", compensated(), completed(), requires_manual())


def test_list_shows_newest_first_with_icon_and_word(three, call):
    lines = call("list").out.splitlines()
    assert lines[0].split() == ["ID", "STATUS", "NAME", "STEP", "STARTED", "WHY"]
    assert [line.split()[:2] for line in lines[1:]] == [["01MANUAL", "!"], ["01COMPLETED", "✓"], ["01COMPENSATED", "↩"]]
    assert "requires manual" in lines[1] and "on hold: manual" in lines[1]


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--status", "completed"], ["01COMPLETED"]),
        (["--status", "completed", "--status", "compensated"], ["01COMPLETED", "01COMPENSATED"]),
        (["--key", "lisbon"], ["01COMPLETED"]),
        (["--correlation", "customer=ada"], ["01COMPLETED"]),
        (["--hold", "manual"], ["01MANUAL"]),
        (["--name", "book_trip", "--limit", "1"], ["01MANUAL"]),
        (["--name", "other"], []),
    ],
)
def test_every_option_of_list_narrows_it(three, call, options, ids):
    listed = call("list", "-o", "json", *options)
    assert [each["id"] for each in json.loads(listed.out)] == ids


def test_a_list_that_was_cut_says_so_on_standard_error_and_only_then(three, call):
    assert "more than 2" in call("list", "--limit", 2, "-o", "jsonl").err
    assert call("list", "--limit", 3).err == ""


def test_jsonl_is_one_object_a_line_and_times_are_utc(three, call):
    found = [json.loads(line) for line in call("list", "-o", "jsonl").out.splitlines()]
    assert len(found) == 3
    assert found[1]["started_at"] == "2026-11-02T10:00:00.000Z" and found[0]["ended_at"] is None


def test_ids_stay_whole_on_a_narrow_terminal(three, call, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    lines = call("list").out.splitlines()
    assert any(line.startswith("01COMPENSATED  ") for line in lines)
    assert any("…" in line for line in lines)


def test_show_as_json_has_steps_and_the_commands_that_the_state_allows(three, call):
    shown = json.loads(call("show", "01MANUAL", "-o", "json").out)
    assert [(each["path"], each["status"]) for each in shown["steps"]] == [
        ("book_flight", "compensated"),
        ("book_hotel", "owed"),
        ("approval", "succeeded"),
        ("book_car", "rejected"),
    ]
    assert [each["command"].split()[1] for each in shown["remedies"]] == ["resolve", "skip", "retry"]


def test_a_remedy_names_the_store_when_it_would_not_be_found_without(three, call, place):
    (place / "amends.db").rename(place / "other place.db")
    out = call("show", "01MANUAL", "--store", "sqlite:///other place.db").out
    assert "amends retry 01MANUAL --reason WHY --store 'sqlite:///other place.db'" in out


def test_history_prints_every_event_and_its_json_times_are_times(three, call):
    lines = call("history", "01MANUAL").out.splitlines()
    assert "StepOwed" in lines[-4] and "reason=refused" in lines[-4]
    entries = json.loads(call("history", "01MANUAL", "-o", "json").out)
    assert {"seq", "at", "event", "step", "details"} == set(entries[0])
    retry = next(each for each in entries if each["event"] == "RetryScheduled")
    assert retry["details"]["due"] == "2026-11-02T10:00:02.005Z"
    assert entries[0]["details"]["input"] == {"city": "Lisbon"}


@pytest.mark.parametrize("form", ["table", "json", "jsonl"])
@pytest.mark.parametrize("command", ["list", "show", "history"])
def test_nothing_that_a_participant_wrote_can_steer_the_terminal(place, call, command, form):
    first = started("01HOSTILE", key=HOSTILE, correlation={"x": HOSTILE}, input=Raw(json.dumps(HOSTILE).encode()))
    events = [ev.ActionRejected(FLIGHT, HOSTILE), ev.StepRejected(FLIGHT), ev.TurnedBack("rejected", FLIGHT, HOSTILE)]
    journal = [(0, [first]), (1, [ev.Began(), ev.ActionStarted(FLIGHT)]), (2, [*events, ev.Compensated()])]
    write(place / "amends.db", journal)
    said = call(command, *([] if command == "list" else ["01HOSTILE"]), "-o", form)
    assert said.code == 0
    assert not any(char in said.out for char in "\x1b\x07\x9b\u202e")
    assert "[red]markup[/red]" in said.out
    if form == "json" and command == "show":
        assert json.loads(said.out)["input"] == HOSTILE  # the value itself is unharmed


def test_a_saga_whose_definition_is_nowhere_in_python_is_shown(three, call, place):
    (place / "cli_app.py").unlink()
    assert call("show", "01COMPLETED", "--app", "gone:gone").code == 0


@pytest.mark.parametrize("form", ["table", "json"])
def test_where_there_is_no_utf8_signs_become_ascii_and_json_stays_json(place, call, monkeypatch, form):
    write(place / "amends.db", [(0, [started("01PARTY", key="größe 🎉")])])
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert call("show", "01PARTY", "-o", form).code == 0
    said = stream.buffer.getvalue().decode("ascii")
    if form == "json":
        assert json.loads(said)["key"] == "größe 🎉"
    else:
        assert "o scheduled" in said and "gr\\xf6\\xdfe" in said
