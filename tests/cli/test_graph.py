"""The command `graph`, in this process."""

import json

import pytest

from tests.cli.journals import compensated, requires_manual, write

DRAWN = (
    "book_trip v1\n"
    "├─ book_flight  ↩\n"
    "├─ book_hotel   ↩\n"
    "├─ ◷ approval   signal\n"
    "└─ book_car     ↩\n"
)  # fmt: skip


@pytest.fixture
def two(place):
    write(place / "amends.db", compensated(), requires_manual())


def test_a_stored_definition_is_drawn_without_any_app(two, call):
    assert call("graph", "book_trip").out == DRAWN
    assert call("graph", "book_trip", "--version", "1").out == DRAWN
    assert call("graph", "book_trip", "--format", "mermaid").out.startswith("flowchart TD\n")
    assert call("graph", "book_trip", "--format", "svg").out.startswith("<svg ")


def test_the_graph_of_a_saga_says_how_its_nodes_stand(two, call):
    assert call("graph", "--saga", "01MANUAL").out == (
        "book_trip v1  ! requires manual  01MANUAL\n"
        "↩ compensated  ├─ book_flight  ↩\n"
        "! owed x2      ├─ book_hotel   ↩\n"
        "✓ succeeded    ├─ ◷ approval   signal\n"
        "✗ rejected     └─ book_car     ↩\n"
    )
    call("export", "01MANUAL", "-O", "saga.json")
    for form in ("text", "mermaid", "svg"):
        of_bundle = call("graph", "--saga", "saga.json", "--format", form)
        assert of_bundle.code == 0 and of_bundle.out == call("graph", "--saga", "01MANUAL", "--format", form).out


def test_a_definition_of_the_app_that_was_never_registered_is_drawn_with_its_names(place, call):
    drawn = call("graph", "patient", "--app", "cli_app:sagas")
    assert drawn.out == "patient v1\n├─ hold  ↩ release\n├─ ◷ go  signal\n└─ pay   ↩ refund\n"
    assert call("graph", "quick", "--app", "cli_app:sagas").code == 0
    assert not (place / "amends.db").exists()


def test_a_stored_definition_gets_its_names_from_the_app_and_does_without_when_that_is_broken(two, call, place):
    (place / "trips.py").write_text("from tests.cli.journals import book_trip\n")
    assert "├─ book_hotel   ↩ cancel_hotel\n" in call("graph", "book_trip", "--app", "trips:book_trip").out
    broken = call("graph", "book_trip", "--app", "gone:gone")
    assert broken.out == DRAWN and broken.err.startswith("drawn without the names of functions: [AM2513]")


def test_as_json_it_is_the_stored_structure_by_the_names_of_its_fields(two, call):
    found = json.loads(call("graph", "--saga", "01MANUAL", "-o", "json").out)
    assert (found["name"], found["saga"]) == ("book_trip", "01MANUAL")
    hotel = next(each for each in found["nodes"] if each["path"] == "book_hotel")
    assert (hotel["compensation"], hotel["status"]) == (True, "owed")


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["nobody"], 3, "[AM3009] no definition nobody; the store has: book_trip v1"),
        (["book_trip", "--version", "9"], 3, "no definition book_trip version 9"),
        ([], 2, "[AM2555] which definition?"),
        (["other", "--saga", "01MANUAL"], 2, "[AM2555] saga 01MANUAL is of book_trip version 1"),
        (["--saga", "nobody"], 3, "no saga nobody"),
    ],
)
def test_what_cannot_be_drawn_is_told(two, call, argv, code, said):
    refused = call("graph", *argv)
    assert refused.code == code and said in refused.err and refused.out == ""
