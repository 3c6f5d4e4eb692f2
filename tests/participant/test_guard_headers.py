"""Reading a request: the key is the truth, and nothing may contradict it."""

from __future__ import annotations

import pytest

from amends.errors import UsageError
from amends.participant import Guard, Op

SENT = {
    "Idempotency-Key": "s-1/trip/book[2]/action",
    "Saga-Id": "s-1",
    "Saga-Step": "trip/book[2]",
    "Saga-Op": "action",
    "Saga-Attempt": "3",
    "Saga-Action-Key": "s-1/trip/book[2]/action",
}


def test_the_headers_of_a_context_are_read_in_any_case() -> None:
    for headers in (SENT, {name.upper(): value for name, value in SENT.items()}):
        guard = Guard.from_headers(headers)
        assert (guard.saga_id, guard.step, guard.op, guard.attempt) == ("s-1", "trip/book[2]", Op.ACTION, 3)
        assert guard.key == SENT["Idempotency-Key"]


def test_the_key_alone_is_enough() -> None:
    guard = Guard.from_headers({"idempotency-key": "s-1/pay/compensation"})
    assert (guard.saga_id, guard.step, guard.op, guard.attempt) == ("s-1", "pay", Op.COMPENSATION, 1)


def test_a_probe_asks_about_the_actions_key() -> None:
    headers = {**SENT, "Saga-Op": "probe"}
    assert Guard.from_headers(headers).op is Op.PROBE
    assert Guard.from_headers(headers).key == "s-1/trip/book[2]/action"
    del headers["Idempotency-Key"]
    assert Guard.from_headers(headers).step == "trip/book[2]"
    with pytest.raises(UsageError, match="asks about an action"):
        Guard.from_headers({"Idempotency-Key": "s-1/pay/compensation", "Saga-Op": "probe"})


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Saga-Id", "s-2"),
        ("Saga-Step", "book"),
        ("Saga-Op", "compensation"),
        ("Saga-Action-Key", "s-1/other/action"),
    ],
)
def test_a_header_that_contradicts_the_key_is_refused(header: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"{header} .* contradicts") as caught:
        Guard.from_headers({**SENT, header: value})
    assert caught.value.code == "AM2402"


@pytest.mark.parametrize(
    "key",
    ["", "x", "s-1/action", "/pay/action", "s-1//action", "s-1/pay/probe", "s-1/pay/", "s\n/pay/action", "é/p/action"],
)
def test_a_malformed_key_is_refused(key: str) -> None:
    with pytest.raises(UsageError) as caught:
        Guard.from_headers({"Idempotency-Key": key})
    assert caught.value.code == "AM2401"


@pytest.mark.parametrize("attempt", ["", "-1", "1.5", "٣", "9" * 10])
def test_an_attempt_is_a_whole_number(attempt: str) -> None:
    with pytest.raises(UsageError, match="Saga-Attempt"):
        Guard.from_headers({**SENT, "Saga-Attempt": attempt})
