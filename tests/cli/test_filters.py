"""list --filter and count, in this process, on journals written by hand."""

import json

import pytest

from tests.cli.journals import compensated, completed, requires_manual, write

UNKNOWN = "there is no field stauts; did you mean status? (For the correlation key write correlation.stauts:value)"


@pytest.fixture
def three(place):
    write(place / "amends.db", compensated(), completed(), requires_manual())


def ids(call, *argv):
    return [each["id"] for each in json.loads(call("list", "-o", "json", *argv).out)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("status:completed,compensated", ["01COMPLETED", "01COMPENSATED"]),
        ("customer:ada", ["01COMPLETED"]),
        ("-is:ended", ["01MANUAL"]),
        ("failed:book_car", ["01MANUAL", "01COMPENSATED"]),
        ("failed:book_hotel", ["01MANUAL"]),
        ("waiting>1h", ["01MANUAL"]),
        ("cause:nothing", []),
        ("", ["01MANUAL", "01COMPLETED", "01COMPENSATED"]),
    ],
)
def test_list_and_count_take_a_filter(three, call, text, expected):
    assert ids(call, "--filter", text) == expected
    assert call("count", "--filter", text).out == f"{len(expected)}\n"


def test_a_filter_and_the_other_options_narrow_together(three, call):
    assert ids(call, "--filter", "failed:book_car", "--status", "compensated") == ["01COMPENSATED"]


def test_what_is_no_filter_is_shown_with_a_mark_under_the_place(three, call):
    for command in ("list", "count"):
        said = call(command, "--filter", "name:book_trip stauts:running")
        assert (said.code, said.out) == (2, "")
        assert said.err.splitlines() == [
            f"amends: [AM2031] filter: {UNKNOWN}",
            "    name:book_trip stauts:running",
            "                   ^^^^^^",
        ]


def test_counts_by_one_field_or_several_as_a_table_and_as_json(three, call):
    assert [line.split() for line in call("count", "--by", "status").out.splitlines()] == [
        ["STATUS", "COUNT"],
        ["compensated", "1"],
        ["completed", "1"],
        ["requires_manual", "1"],
    ]
    both = json.loads(call("count", "--by", "version", "--by", "status", "-o", "json", "--filter", "is:ended").out)
    assert both == [
        {"name": "book_trip", "version": 1, "status": "compensated", "count": 1},
        {"name": "book_trip", "version": 1, "status": "completed", "count": 1},
    ]
    lines = call("count", "--by", "name", "-o", "jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == [{"name": "book_trip", "count": 3}]


def test_a_count_without_groups_is_a_number(three, call):
    assert call("count").out == "3\n"
    assert json.loads(call("count", "-o", "json").out) == {"count": 3}
    nothing = call("count", "--filter", "name:nobody", "--by", "name")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "no saga fits\n")
    assert call("count", "--by", "colour").code == 2
