"""A scripted participant: what the caller sees of each answer, and what took effect."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass

import httpx2
import pytest

from amends import Context, NotSent, Orchestrator, Rejected, Retry, Saga, SagaStatus, step
from amends.errors import UsageError
from amends.testing import (
    Participant,
    answers_late,
    answers_nonsense,
    apply_then_500,
    apply_then_reset,
    busy,
    cuts_the_answer,
    dribbles,
    lies_done,
    lies_refused,
    never_answers,
    refuses,
    resets,
)

KEY = "saga-1/charge/action"


def call(url: str, op: str = "action", *, timeout: float = 0.3, key: str = KEY) -> httpx2.Response:
    headers = {"Idempotency-Key": key, "Saga-Op": op, "Saga-Step": "charge", "Saga-Action-Key": KEY}
    return httpx2.post(f"{url}/charges", json={"amount": 3}, headers=headers, timeout=timeout)


@pytest.fixture
def bank():
    with Participant() as bank:
        yield bank


def test_one_effect_and_one_answer_for_each_key(bank):
    assert [call(bank.url).json() for _ in range(2)] == [{"id": "1"}, {"id": "1"}]
    assert bank.recorder.applied == ["charge"]
    method, path, headers, body = bank.requests[0]
    assert (method, path, body, headers["saga-step"]) == ("POST", "/charges", {"amount": 3}, "charge")


def test_a_compensation_undoes_by_the_key_of_the_action_and_keeps_a_late_action_out(bank):
    assert call(bank.url, "compensation", key="saga-1/charge/compensation").status_code == 204
    late = call(bank.url)
    assert late.status_code == 409
    assert "undone already" in late.json()["error"]
    assert bank.recorder.standing == []


def test_a_probe_says_what_is_there(bank):
    assert call(bank.url, "probe").status_code == 404
    call(bank.url)
    found = call(bank.url, "probe")
    assert (found.status_code, found.json()) == (200, {"id": "1"})


def test_a_request_without_a_key_is_told_what_to_send(bank):
    refused = httpx2.post(bank.url)
    assert (refused.status_code, refused.json()) == (
        400, {"error": "no Idempotency-Key: send ctx.headers() with the request"},
    )  # fmt: skip


LOST: list[tuple[object, type[Exception], bool]] = [
    (apply_then_reset(), httpx2.TransportError, True),
    (resets(), httpx2.TransportError, False),
    (never_answers(), httpx2.ReadTimeout, False),
    (never_answers(applied=True), httpx2.ReadTimeout, True),
    (answers_late("5s"), httpx2.ReadTimeout, True),
    (cuts_the_answer(), httpx2.RemoteProtocolError, True),
]


@pytest.mark.parametrize(("answer", "error", "applied"), LOST)
def test_an_answer_that_is_lost(bank, answer, error, applied):
    bank.next_calls("charge", answer)
    with pytest.raises(error):
        call(bank.url)
    assert (bank.recorder.standing == ["charge"]) is applied
    assert call(bank.url).status_code == 200  # the next one goes well
    assert bank.recorder.applied == ["charge"]
    assert bank.unused == []


ANSWERED = [
    (apply_then_500(), 500, True),
    (lies_done({"id": "9"}), 200, False),
    (lies_refused(), 409, True),
    (refuses(), 409, False),
    (refuses(422), 422, False),
    (busy(7), 503, False),
    (answers_nonsense(), 200, True),
    (dribbles("5ms"), 200, True),
]


@pytest.mark.parametrize(("answer", "status", "applied"), ANSWERED)
def test_an_answer_that_comes(bank, answer, status, applied):
    bank.next_calls("charge", answer)
    response = call(bank.url)
    assert response.status_code == status
    assert (bank.recorder.standing == ["charge"]) is applied
    if status == 503:
        assert response.headers["Retry-After"] == "7"
    if answer == answers_nonsense():
        with pytest.raises(ValueError):
            response.json()


def test_a_reset_is_a_reset(bank):
    bank.next_calls("charge", resets())
    with pytest.raises(httpx2.ReadError) as raised:
        call(bank.url)
    assert isinstance(
        raised.value.__context__.__context__ or raised.value.__context__, (ConnectionResetError, Exception)
    )


def test_what_is_down_refuses_connections_and_comes_back_with_its_ledger(bank):
    call(bank.url)
    url = bank.url
    with bank.down(), pytest.raises(httpx2.ConnectError):
        call(url)
    assert call(url).json() == {"id": "1"}
    assert bank.recorder.applied == ["charge"]


def test_undos_are_scripted_apart(bank):
    bank.next_undos("charge", apply_then_500())
    assert call(bank.url).status_code == 200
    assert call(bank.url, "compensation").status_code == 500
    assert bank.recorder.standing == []


def test_a_script_that_nobody_met_is_told(bank):
    bank.next_calls("chrage", refuses())
    call(bank.url)
    assert bank.unused == ["chrage"]


def test_its_results_are_the_tests_own():
    with Participant(lambda body: {"charged": body["amount"]}) as bank:
        assert call(bank.url).json() == {"charged": 3}


def test_it_has_no_address_before_it_is_started():
    with pytest.raises(UsageError, match="AM2580"):
        _ = Participant().url


def test_many_callers_at_once_get_one_effect_each(bank):
    def one(number: int) -> None:
        for _ in range(3):
            call(bank.url, key=f"saga-{number}/charge/action", timeout=5)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(bank.recorder.applied) == 20


def test_the_fixture_is_one_that_runs(participant):
    assert call(participant.url).status_code == 200


# --- a saga that calls it ----------------------------------------------------------------------------


@dataclass
class Order:
    id: str


@dataclass
class Receipt:
    id: str


class Client:
    """A client as a good author writes it: what each status means is said, and all else is unknown."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def send(self, ctx: Context) -> httpx2.Response:
        async with httpx2.AsyncClient(timeout=0.2) as client:
            try:
                response = await client.post(self.url, json={}, headers=ctx.headers())
            except httpx2.ConnectError as error:
                raise NotSent(str(error)) from error
        if response.status_code == 409:
            raise Rejected("refused")
        response.raise_for_status()
        return response


FAST = Retry(attempts=2, base="10ms", cap="20ms")


@step(timeout=2, retry=FAST)
async def charge(order: Order, client: Client, ctx: Context) -> Receipt:
    return Receipt((await client.send(ctx)).json()["id"])


@charge.compensation(timeout=2)
async def refund(client: Client, ctx: Context) -> None:
    await client.send(ctx)


@step(timeout=2, retry=FAST, pivot=True)
async def ship(order: Order, client: Client, ctx: Context) -> str:
    return str((await client.send(ctx)).json()["id"])


sell = Saga("sell", charge, ship, input=Order, resources=[Client], result=charge)
TWICE = {
    "500": apply_then_500(),
    "reset": apply_then_reset(),
    "lost": resets(),
    "hangs": never_answers(applied=True),
    "silent": never_answers(),
    "half": cuts_the_answer(),
    "nonsense": answers_nonsense(),
    "busy": busy(),
}


@pytest.mark.parametrize("kind", TWICE)
def test_a_saga_ends_right_however_its_participant_misbehaves(bank, kind):
    async def run() -> SagaStatus:
        async with Orchestrator("sqlite://", sagas=[sell], resources=[Client(bank.url)]) as orchestrator:
            saga = await orchestrator.start(sell, Order("o"))
            with pytest.raises(Exception, match="charge unknown"):
                await saga.result()
            return await saga.status()

    bank.next_calls(charge, TWICE[kind], TWICE[kind])
    assert asyncio.run(run()) == SagaStatus.COMPENSATED
    assert bank.recorder.standing == []
    assert bank.recorder.of(charge).undo_calls == 1


def test_a_saga_goes_on_when_its_participant_recovers(bank):
    async def run() -> Receipt:
        async with Orchestrator("sqlite://", sagas=[sell], resources=[Client(bank.url)]) as orchestrator:
            return await (await orchestrator.start(sell, Order("o"))).result()

    bank.next_calls(charge, apply_then_reset())
    bank.next_calls(ship, apply_then_500())
    assert asyncio.run(run()) == Receipt("1")
    assert bank.recorder.applied == ["charge", "ship"]


def test_a_refused_connection_is_not_sent_and_nothing_is_undone(bank):
    async def run() -> SagaStatus:
        async with Orchestrator("sqlite://", sagas=[sell], resources=[Client(bank.url)]) as orchestrator:
            saga = await orchestrator.start(sell, Order("o"))
            with pytest.raises(Exception, match="charge"):
                await saga.result()
            return await saga.status()

    with bank.down():
        assert asyncio.run(run()) == SagaStatus.COMPENSATED
    assert bank.requests == []
