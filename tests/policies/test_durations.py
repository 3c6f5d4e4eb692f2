"""Durations are read as people write them, and refused when they mean nothing."""

import math

import pytest
from hypothesis import given, strategies as st

from amends.errors import UsageError
from amends.limits import DURATION_MS_MAX
from amends.policies.durations import human, milliseconds

UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@pytest.mark.parametrize(
    ("written", "meant_ms"),
    [
        ("250ms", 250),
        ("10s", 10_000),
        ("5m", 300_000),
        ("24h", 86_400_000),
        ("7d", 604_800_000),
        ("1.5h", 5_400_000),
        (" 10 s ", 10_000),
        (5, 5_000),
        (0.25, 250),
        (0, 0),
        ("0s", 0),
        ("3650d", DURATION_MS_MAX),
    ],
)
def test_a_duration_is_seconds_or_a_text_with_a_unit(written: float | str, meant_ms: int):
    assert milliseconds(written) == meant_ms


@pytest.mark.parametrize(
    "written",
    [
        "",
        "10",
        "s",
        "10 sec",
        "-5s",
        "1e3s",
        "5 m 3 s",
        "٣s",
        "10S",
        -1,
        -0.001,
        math.inf,
        -math.inf,
        math.nan,
        "3651d",
        315_360_001,
        True,
        None,
        [5],
        b"5s",
    ],
    ids=repr,
)
def test_what_is_no_duration_is_refused_and_the_error_names_its_place(written: object):
    with pytest.raises(UsageError, match=r"\[AM2001\] step\(timeout=\): "):
        milliseconds(written, what="step(timeout=)")


@given(st.floats(min_value=0, max_value=0.0005, exclude_min=True))
def test_no_positive_duration_becomes_zero(seconds: float):
    assert milliseconds(seconds) == 1


@given(st.integers(0, 3_650), st.sampled_from(sorted(UNITS_MS)))
def test_each_unit_is_worth_what_it_is_worth(count: int, unit: str):
    assert milliseconds(f"{count}{unit}") == count * UNITS_MS[unit]


@given(st.floats(0, DURATION_MS_MAX / 1_000), st.floats(0, DURATION_MS_MAX / 1_000))
def test_the_longer_of_two_durations_stays_the_longer(one: float, other: float):
    shorter, longer = sorted((one, other))
    assert milliseconds(shorter) <= milliseconds(longer)


@pytest.mark.parametrize(
    ("length_ms", "shown"),
    [(0, "0ms"), (999, "999ms"), (1_000, "1s"), (1_500, "1.5s"), (90_000, "1.5m"), (86_400_000, "1d")],
)
def test_a_length_is_shown_in_the_largest_unit_that_fits(length_ms: int, shown: str):
    assert human(length_ms) == shown


@given(st.integers(0, DURATION_MS_MAX))
def test_what_is_shown_can_be_read_again_and_is_off_by_a_twentieth_at_most(length_ms: int):
    assert milliseconds(human(length_ms)) == pytest.approx(length_ms, rel=0.05)
