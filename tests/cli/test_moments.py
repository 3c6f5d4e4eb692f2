"""Moments as one types them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from amends.cli.moments import moment, span_ms
from amends.errors import UsageError

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("7", 7),
        ("10m-ago", NOW - timedelta(minutes=10)),
        ("1.5h-ago", NOW - timedelta(minutes=90)),
        ("2026-11-25T10:00:00", datetime(2026, 11, 25, 10, tzinfo=UTC)),
        ("2026-11-25T10:00:00.123Z", datetime(2026, 11, 25, 10, 0, 0, 123_000, tzinfo=UTC)),
        ("2026-11-25T10:00:00+01:00", datetime(2026, 11, 25, 10, tzinfo=timezone(timedelta(hours=1)))),
        ("2026-11-25", datetime(2026, 11, 25, tzinfo=UTC)),
    ],
)
def test_a_moment_is_a_frame_a_time_or_so_long_ago(said, meant):
    found = moment(said, NOW)
    assert found == meant
    assert isinstance(found, int) or found.tzinfo is not None


@pytest.mark.parametrize("said", ["", "yesterday", "10m", "-3", "10x-ago", "99999d-ago", "2026-13-01", "٣", "1_0"])
def test_what_is_no_moment_is_refused_with_the_three_forms(said):
    with pytest.raises(UsageError, match="AM2550.*10m-ago.*frame's number"):
        moment(said, NOW)


def test_a_span_is_a_length_of_time_above_zero():
    assert span_ms("1h", "--since") == 3_600_000
    for said in ("0s", "", "h", "-1h"):
        with pytest.raises(UsageError, match=r"AM2550.*--since"):
            span_ms(said, "--since")
