"""Injected faults: drawn from the seed, and each does what its name says."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from examples.shop.services import faults
from examples.shop.services.faults import KINDS, Faults, fault_of
from tests.shop.conftest import Rig


def test_the_same_call_meets_the_same_fault_and_another_attempt_another_one() -> None:
    def drawn(seed: int, attempt: str) -> list[str]:
        return [fault_of(seed, 0.3, f"/orders/o{n}/order", "action", attempt) for n in range(2_000)]

    assert drawn(1, "1") == drawn(1, "1")
    assert drawn(1, "1") != drawn(1, "2") != drawn(2, "2")
    hit = [kind for kind in drawn(1, "1") if kind]
    assert 500 < len(hit) < 700
    assert set(hit) == set(KINDS)
    assert not any(fault_of(1, 0.0, str(n), "action", "1") for n in range(1_000))


@pytest.mark.parametrize(
    ("kind", "status", "booked"),
    [("before", 500, 0), ("after", 500, 1), ("slow", 200, 1), ("hang", 500, 1), ("lapse", 200, 1)],
)
def test_a_fault_answers_and_takes_effect_as_its_name_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, status: int, booked: int
) -> None:
    monkeypatch.setattr(faults, "fault_of", lambda *_: kind)
    monkeypatch.setattr(faults, "HANG_S", 0)
    monkeypatch.setattr(faults, "SLOW_S", 0)
    rig = Rig(tmp_path)
    answer = rig.call("POST", "shipping", "o1", "courier", {"district": "d01"})
    assert answer.status_code == status
    assert rig.sql("shipping", "SELECT count(*) FROM bookings") == [(booked,)]
    rig.close()


def through(kind: str, monkeypatch: pytest.MonkeyPatch) -> tuple[list[object], list[faults.Message]]:
    """One request in two parts through a fault, from a caller who hangs up: what the app read, what was sent."""
    monkeypatch.setattr(faults, "fault_of", lambda *_: kind)
    read: list[object] = []
    sent: list[faults.Message] = []

    async def app(scope: faults.Scope, receive: faults.Receive, send: faults.Send) -> None:
        while (message := await receive())["type"] == "http.request":
            read.append(message["body"])
            if not message.get("more_body"):
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"the answer"})

    messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.request", "body": b"}"}]

    async def receive() -> faults.Message:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: faults.Message) -> None:
        sent.append(message)

    async def hang(seconds: float) -> None:
        assert seconds >= faults.SLOW_S
        messages.clear()  # meanwhile the caller hangs up

    monkeypatch.setattr(faults.asyncio, "sleep", hang)
    scope = {"type": "http", "path": "/orders/o1/x", "headers": []}
    asyncio.run(Faults(app, seed=0, rate=1.0)(scope, receive, send))
    return read, sent


def test_a_lapse_takes_effect_though_the_caller_has_hung_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert through("lapse", monkeypatch)[0] == [b"{", b"}"]


def test_a_cut_takes_effect_and_sends_less_than_it_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    read, sent = through("cut", monkeypatch)
    assert read == [b"{", b"}"]
    assert [message["type"] for message in sent] == ["http.response.start"]
    assert int(dict(sent[0]["headers"])[b"content-length"]) > 0


def test_clerks_and_health_checks_meet_no_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "fault_of", lambda *_: "before")
    rig = Rig(tmp_path)
    assert rig.desk("shipping", "booked").json() == {"orders": []}
    assert rig.call("POST", "shipping", "o1", "courier", {"district": "d01"}).status_code == 500
    rig.close()
