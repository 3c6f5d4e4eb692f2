"""`graph --rollback`, in this process."""

import json

import pytest

TABLE = """\
patient v1: what is undone when it fails

Every compensation is taken as acknowledged, and what goes on after a failure as succeeding.
"""


def test_the_table_of_a_definition_of_the_app_needs_no_store(place, call):
    told = call("graph", "patient", "--rollback", "--app", "cli_app:sagas")
    assert told.code == 0 and told.out.startswith(TABLE)
    assert not (place / "amends.db").exists()


def test_it_has_three_forms_and_json(place, call):
    def told(*more):
        return call("graph", "patient", "--rollback", "--app", "cli_app:sagas", *more).out

    assert told("--format", "mermaid").startswith("flowchart LR\n")
    assert told("--format", "html").startswith("<!DOCTYPE html>\n")
    found = json.loads(told("-o", "json"))
    assert [each["path"] for each in found["points"]] == ["hold", "go", "pay"]


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["patient", "--rollback"], 2, "[AM2556] --rollback tells what functions are called with"),
        (["patient", "--rollback", "--app", "gone:gone"], 2, "[AM2513]"),
        (["nobody", "--rollback", "--app", "cli_app:sagas"], 3, "[AM3009] no definition nobody; the app has: "),
        (["patient", "--version", "9", "--rollback", "--app", "cli_app:sagas"], 3, "no definition patient version 9"),
        (["--rollback", "--app", "cli_app:sagas"], 2, "give its NAME"),
        (["patient", "--rollback", "--saga", "01", "--app", "cli_app:sagas"], 2, "and no --saga"),
        (["patient", "--rollback", "--format", "svg", "--app", "cli_app:sagas"], 2, "it has text, mermaid, html"),
        (["patient", "--format", "html", "--app", "cli_app:sagas"], 2, "[AM2556] --format html is for --rollback"),
    ],
)
def test_what_has_no_table_is_told(place, call, argv, code, said):
    refused = call("graph", *argv)
    assert refused.code == code and said in refused.err and refused.out == ""
