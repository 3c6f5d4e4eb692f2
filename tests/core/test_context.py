"""The context of an attempt: stable keys, safe headers, a clock and a log that are given."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from amends.core.context import Context
from amends.errors import UsageError


def test_keys_are_made_of_the_saga_and_the_path_and_of_nothing_else():
    first = Context("s-1", "shop", "pay", attempt=1)
    later = Context("s-1", "renamed", "pay", attempt=9, deadline_ms=5, clock=lambda: 7)
    assert first.idempotency_key == later.idempotency_key == first.action_key == "s-1/pay/action"


def test_a_compensation_has_its_own_key_and_knows_the_action_s():
    context = Context("s-1", "shop", "pay", op="compensation", outcome="unknown")
    assert (context.idempotency_key, context.action_key) == ("s-1/pay/compensation", "s-1/pay/action")
    assert context.outcome == "unknown"


def test_a_probe_asks_with_the_action_s_key():
    assert Context("s-1", "shop", "pay", op="probe").idempotency_key == "s-1/pay/action"


def test_the_deadline_is_aware_and_what_remains_is_never_negative():
    now = [1_000]
    context = Context(deadline_ms=2_500, clock=lambda: now[0])
    assert context.deadline == datetime(1970, 1, 1, 0, 0, 2, 500_000, UTC)
    assert context.remaining() == 1.5
    now[0] = 9_000
    assert context.remaining() == 0


def test_a_context_made_by_hand_stands_still_and_its_log_is_silent(caplog):
    context = Context()
    assert context.remaining() == 30
    context.log.warning("nothing %s", 1)
    assert not caplog.records


def test_the_log_is_made_once_and_only_when_asked_for():
    made = []

    def make(context):
        made.append(context)
        return "log"

    context = Context(make_log=make)
    assert made == []
    assert context.log == context.log == "log"
    assert made == [context]


def test_correlation_cannot_be_changed_and_needs_no_copy():
    context = Context(correlation={"customer": "ann"})
    assert context.correlation["customer"] == "ann"
    with pytest.raises(TypeError):
        context.correlation["customer"] = "bob"


def test_nothing_can_be_added_to_a_context():
    with pytest.raises(AttributeError):
        Context().extra = 1


def test_headers_carry_the_call_s_identity():
    context = Context(
        "s-1",
        "shop",
        "pay",
        3,
        "compensation",
        "succeeded",
        2_500,
        {"customer": "ann@example.org", "n,=": "é\r\n"},
        lambda: 500,
    )
    assert context.headers() == {
        "Idempotency-Key": "s-1/pay/compensation",
        "Saga-Id": "s-1",
        "Saga-Name": "shop",
        "Saga-Step": "pay",
        "Saga-Op": "compensation",
        "Saga-Attempt": "3",
        "Saga-Action-Key": "s-1/pay/action",
        "Saga-Remaining-Ms": "2000",
        "Saga-Correlation": "customer=ann%40example.org,n%2C%3D=%C3%A9%0D%0A",
    }
    assert "Saga-Correlation" not in Context().headers()


def test_every_header_is_printable_ascii():
    for value in Context("sä%g a", "shop", "pay", correlation={"ö": "\x00\u2028"}).headers().values():
        assert value.isascii()
        assert value.isprintable()


@pytest.mark.parametrize("bad", ["a\r\nX-Evil: 1", "a\x00", "\x7f"])
def test_a_control_character_never_gets_into_a_header(bad):
    with pytest.raises(UsageError, match="AM2003"):
        Context(saga_id=bad).headers()
