"""start and the verbs, in this process: what is asked for is written down; nobody is there to do it."""

import io
import json
import sys

import pytest

from amends.cli import acting
from tests.cli.journals import completed, requires_manual, write


def start(call, *argv):
    return call("start", *argv, "--app", "cli_app:sagas", "-o", "json")


def test_start_makes_the_store_and_prints_the_id(call):
    started = start(call, "quick", '{"item":"pen"}', "--key", "k", "--correlation", "customer=ada")
    record = json.loads(started.out)
    assert started.code == 0 and record["status"] == "scheduled"
    (listed,) = json.loads(call("list", "-o", "json").out)
    assert listed["id"] == record["id"] and listed["key"] == "k" and listed["correlation"] == {"customer": "ada"}


def test_a_second_start_of_one_key_finds_the_first_and_another_input_is_a_conflict(call):
    first = start(call, "quick", '{"item":"pen"}', "--key", "k")
    assert json.loads(start(call, "quick", '{ "item": "pen" }', "--key", "k").out) == json.loads(first.out)
    other = start(call, "quick", '{"item":"ink"}', "--key", "k")
    assert other.code == 4 and "AM4002" in other.err


def test_a_dash_reads_the_input_from_standard_input(call, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO('{"item":"Füller"}'.encode())))
    record = json.loads(start(call, "quick", "-").out)
    assert json.loads(call("show", record["id"], "-o", "json").out)["input"] == {"item": "Füller"}


@pytest.mark.parametrize("given", ["{", '{"item":3}', "null", '{"item":NaN}', ""])
def test_an_input_that_the_saga_does_not_take_is_a_usage_error_and_starts_nothing(call, place, given):
    refused = start(call, "quick", given)
    assert refused.code == 2 and "AM2523" in refused.err and refused.out == ""
    assert not (place / "amends.db").exists()


def test_verbs_without_a_worker_are_queued_which_is_no_failure(call, place):
    write(place / "amends.db", requires_manual())
    for argv in (
        ["retry", "01MANUAL", "--reason", "try"],
        ["resolve", "01MANUAL", "book_hotel", "done", "--reason", "by phone"],
        ["resolve", "01MANUAL", "book_hotel", "--outcome", "not_done", "--result", '{"a":1}', "--reason", "x"],
        ["skip", "01MANUAL", "book_hotel", "--reason", "x"],
        ["cancel", "01MANUAL", "--reason", "x"],
        ["pause", "01MANUAL"],
        ["resume", "01MANUAL"],
        ["signal", "01MANUAL", "approval", '{"by":"eve"}', "--id", "7"],
    ):
        said = call(*argv)
        assert (said.code, said.out) == (0, "01MANUAL  queued\n"), argv


def test_who_asked_is_the_user_of_the_system_unless_said(call, place, monkeypatch):
    write(place / "amends.db", requires_manual())
    asked = []

    async def act_on_all(common, name, ids, verb):
        class Orchestrator:
            async def retry(self, saga_id, *, reason, actor):
                asked.append((saga_id, reason, actor))

        await verb(Orchestrator(), ids[0])
        return 0

    monkeypatch.setattr(acting, "act_on_all", act_on_all)
    monkeypatch.setattr(acting.getpass, "getuser", lambda: "grace")
    call("retry", "01MANUAL", "--reason", "r")
    call("retry", "01MANUAL", "--reason", "r", "--actor", "ada")
    assert asked == [("01MANUAL", "r", "grace"), ("01MANUAL", "r", "ada")]


def test_a_user_without_a_name_is_nobody(monkeypatch):
    def nameless():
        raise KeyError("uid not found")

    monkeypatch.setattr(acting.getpass, "getuser", nameless)
    assert acting.user_name() == ""


def test_of_several_ids_one_that_is_missing_stops_none_of_the_others(call, place):
    write(place / "amends.db", requires_manual(), completed())
    said = call("retry", "01NOBODY", "01MANUAL", "01MANUAL", "--reason", "x", "-o", "jsonl")
    first, second = map(json.loads, said.out.splitlines())
    assert said.code == 3 and "01NOBODY" in said.err
    assert (first["id"], first["result"]) == ("01NOBODY", "refused") and "AM3002" in first["error"]
    assert (second["id"], second["result"], second["status"]) == ("01MANUAL", "queued", "requires_manual")


def test_a_verb_without_a_reason_or_an_id_is_a_usage_error(call, place):
    write(place / "amends.db", requires_manual())
    assert call("retry", "01MANUAL").code == 2
    assert call("retry", "01MANUAL", "--reason", " ").code == 2
    assert call("retry", "--reason", "x").code == 2


def test_verbs_never_make_a_database(call, place):
    assert call("cancel", "x", "--reason", "y").code == 5
    assert list(place.glob("*.db*")) == []
