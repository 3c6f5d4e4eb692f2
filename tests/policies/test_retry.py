"""Backoff follows the published curves, stays under its cap, and never overflows.

The vectors are the means of "Exponential Backoff and Jitter" (AWS Architecture Blog, 2015) for a
base of 0.1 s and a cap of 20 s.
"""

import random
from statistics import fmean

import pytest
from hypothesis import given, strategies as st

from amends.errors import UsageError
from amends.policies.retry import Retry, next_delay_ms

DECORRELATED_MEANS = (0.20, 0.35, 0.57, 0.91, 1.43, 2.18, 3.12, 4.06, 4.91, 5.70)
FULL_MEANS = (0.05, 0.10, 0.20, 0.40, 0.80, 1.59, 3.18, 6.41)
RUNS = 20_000

fractions = st.floats(0, 1, exclude_max=True)
retries = st.builds(
    lambda base, more, multiplier, jitter: Retry(
        base=base / 1_000, cap=(base + more) / 1_000, multiplier=multiplier, jitter=jitter
    ),
    st.integers(1, 60_000),
    st.integers(0, 3_600_000),
    st.floats(1, 100),
    st.sampled_from(("decorrelated", "full", "none")),
)


def draws(retry: Retry, count: int, source: random.Random) -> list[float]:
    """The first delays of one failing step, in seconds."""
    delays: list[int] = []
    for failures in range(1, count + 1):
        previous = delays[-1] if delays else 0
        delays.append(next_delay_ms(retry, failures=failures, previous_ms=previous, fraction=source.random()))
    return [delay / 1_000 for delay in delays]


@pytest.mark.parametrize(("jitter", "means"), [("decorrelated", DECORRELATED_MEANS), ("full", FULL_MEANS)])
def test_the_mean_of_each_draw_is_the_published_one(jitter: str, means: tuple[float, ...]):
    retry = Retry(base=0.1, cap=20, jitter=jitter)
    source = random.Random(2015)
    runs = [draws(retry, len(means), source) for _ in range(RUNS)]
    assert [fmean(column) for column in zip(*runs, strict=True)] == pytest.approx(means, rel=0.03, abs=0.002)


def test_without_jitter_delays_double_up_to_the_cap():
    retry = Retry(base="100ms", cap="1s", jitter="none")
    assert draws(retry, 6, random.Random(0)) == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


@pytest.mark.parametrize("jitter", ["decorrelated", "full", "none"])
@pytest.mark.parametrize("failures", [100, 1_000, 1_024, 1_025, 1_000_000])
@pytest.mark.parametrize("multiplier", [1, 2, 2.5, 100])
def test_many_failures_do_not_overflow(jitter: str, failures: int, multiplier: float):
    retry = Retry(base="200ms", cap="30s", jitter=jitter, multiplier=multiplier)
    assert 0 <= next_delay_ms(retry, failures=failures, previous_ms=30_000, fraction=0.999) <= 30_000


@given(retries, st.integers(1, 1_000_000), st.integers(0, 3_660_000), fractions)
def test_a_delay_is_a_whole_number_between_nothing_and_the_cap(
    retry: Retry, failures: int, previous_ms: int, fraction: float
):
    delay = next_delay_ms(retry, failures=failures, previous_ms=min(previous_ms, retry.cap_ms), fraction=fraction)
    assert type(delay) is int
    assert 0 <= delay <= retry.cap_ms


@given(retries, st.integers(1, 2_000), st.integers(0, 3_660_000), fractions)
def test_only_full_jitter_goes_below_the_base(retry: Retry, failures: int, previous_ms: int, fraction: float):
    delay = next_delay_ms(retry, failures=failures, previous_ms=min(previous_ms, retry.cap_ms), fraction=fraction)
    assert delay >= retry.base_ms or retry.jitter == "full"


@given(retries, st.integers(1, 2_000), fractions)
def test_the_same_past_and_the_same_fraction_give_the_same_delay(retry: Retry, failures: int, fraction: float):
    first, second = (next_delay_ms(retry, failures=failures, previous_ms=7, fraction=fraction) for _ in range(2))
    assert first == second


@given(retries, st.integers(1, 2_000), st.integers(1, 3_660_000), fractions, fractions)
def test_a_larger_fraction_never_gives_a_shorter_delay(
    retry: Retry, failures: int, previous_ms: int, one: float, other: float
):
    low, high = (
        next_delay_ms(retry, failures=failures, previous_ms=min(previous_ms, retry.cap_ms), fraction=fraction)
        for fraction in sorted((one, other))
    )
    assert low <= high


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"attempts": 0}, r"Retry\(attempts=0\)"),
        ({"attempts": 1.5}, r"Retry\(attempts=1.5\)"),
        ({"attempts": True}, r"Retry\(attempts=True\)"),
        ({"attempts": 1_000_001}, "attempts"),
        ({"multiplier": 0.5}, r"Retry\(multiplier=0.5\)"),
        ({"multiplier": float("nan")}, "multiplier"),
        ({"multiplier": "2"}, "multiplier"),
        ({"jitter": "fuller"}, "decorrelated, full, none"),
        ({"base": "10s", "cap": "5s"}, "the cap is below the base"),
        ({"base": "soon"}, r"Retry\(base=\)"),
        ({"cap": -1}, r"Retry\(cap=\)"),
        ({"max_elapsed": "later"}, r"Retry\(max_elapsed=\)"),
    ],
    ids=str,
)
def test_a_policy_that_means_nothing_is_refused_and_the_error_names_the_argument(arguments: dict, named: str):
    with pytest.raises(UsageError, match=named):
        Retry(**arguments)


def test_the_default_is_four_attempts_within_thirty_seconds():
    retry = Retry()
    assert (retry.attempts, retry.base_ms, retry.cap_ms, retry.max_elapsed_ms) == (4, 200, 30_000, 0)


def test_two_policies_that_mean_the_same_are_equal_and_immutable():
    assert Retry(base=0.2) != Retry(base=0.3)
    assert Retry(attempts=3) == Retry(attempts=3)
    with pytest.raises(AttributeError):
        Retry().attempts = 5  # type: ignore[misc]
