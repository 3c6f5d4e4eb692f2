"""The command `top`, in this process."""

import json
import re

import pytest

from amends.cli import figures, output
from amends.cli.figures import _percent
from tests.cli.journals import compensated, completed, requires_manual, started, write


@pytest.fixture
def three(place):
    write(place / "amends.db", compensated(), completed(), requires_manual())


def test_top_says_of_each_definition_what_became_of_its_sagas(three, call):
    heads, line = call("top").out.splitlines()
    assert re.split(r"\s{2,}", heads) == [
        "DEFINITION", "STARTED", "IN FLIGHT", "SETTLED", "COMPLETED", "COMPENSATED", "BY HAND", "P50", "P95", "P99",
        "FAILS MOST",
    ]  # fmt: skip
    assert re.split(r"\s{2,}", line) == [
        "book_trip v1", "3", "1", "3", "33.3%", "33.3%", "33.3%", "6.4s", "1d", "1d", "book_car 66.7%",
    ]  # fmt: skip


def test_as_json_there_are_counts_and_rates(three, call):
    (found,) = json.loads(call("top", "-o", "json").out)
    assert (found["settled"], found["standing"], found["p50_ms"]) == (3, 1, 6_405)
    assert found["completion_rate"] == pytest.approx(1 / 3) and found["failed_step"] == "book_car"
    assert json.loads(call("top", "-o", "jsonl").out) == found


def test_a_window_and_a_filter_narrow_it(three, call):
    old = call("top", "--since", "1s", "-o", "json").out
    (found,) = json.loads(old)
    assert (found["in_flight"], found["settled"], found["completion_rate"], found["p99_ms"]) == (1, 0, None, None)
    assert json.loads(call("top", "--filter", "customer:ada", "-o", "json").out)[0]["completed"] == 1
    nothing = call("top", "--filter", "name:other")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "no saga fits\n")
    assert call("top", "--filter", "status:nonsense").code == 2
    assert call("top", "--since", "yesterday").code == 2
    assert call("top", "--watch", "-o", "json").code == 2


def test_one_saga_that_runs_has_no_rates_and_no_lengths(place, call):
    write(place / "amends.db", [(0, [started("01ONE")])])
    line = call("top").out.splitlines()[1]
    assert re.split(r"\s{2,}", line) == ["book_trip v1", "1", "1", "0", "-", "-", "-", "-", "-", "-", "-"]


def test_an_empty_store_has_no_figures(place, call):
    write(place / "amends.db")
    assert call("top").err == "no saga fits\n" and json.loads(call("top", "-o", "json").out) == []


@pytest.mark.parametrize("form", ["table", "jsonl"])
def test_watching_asks_again_and_again(three, call, monkeypatch, form):
    asked = []

    async def sleep(seconds):
        asked.append(seconds)
        if len(asked) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(figures.asyncio, "sleep", sleep)
    watched = call("top", "--watch", "--every", "2s", "--since", "1000d", "-o", form)
    assert watched.code == 130 and asked == [2, 2, 2]
    assert watched.out.count("book_trip") == 3


def test_on_a_terminal_it_is_drawn_in_its_place(monkeypatch, capsys):
    monkeypatch.setattr(output.sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with output.redrawn() as draw:
        draw([output.text("one"), output.text("two")])
        draw([output.text("three")])
    said = capsys.readouterr().out
    assert "one" in said and "three" in said and "\x1b[1A" in said


@pytest.mark.parametrize(
    ("share", "said"),
    [(None, "-"), (0.0, "0%"), (1.0, "100%"), (0.5, "50%"), (1 / 3, "33.3%"), (0.00001, "<0.1%"), (0.99999, ">99.9%")],
)
def test_a_share_says_all_or_none_only_when_it_is_so(share, said):
    assert _percent(share) == said
