"""Canaries: secret values that go through whole sagas, and whatever people see of these."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from dataclasses import dataclass
from typing import Annotated

import attrs
import msgspec
import pydantic
import pytest

from amends import Orchestrator, Redacted, Rejected, Retry, Saga, SagaCompensated, SagaRequiresManual, step, wait_for
from amends.crypto import KeyRing
from amends.observe import LoggingSubscriber
from amends.stores.sqlite import SQLiteStore

CANARY = "canary-4111"
KEY = KeyRing.generate()
RING = KeyRing({"k1": KEY}, active="k1")
LOOKS = (
    ["list"], ["show", "{id}"], ["history", "{id}"], ["why", "{id}"], ["tail", "-n", "1000"], ["export", "{id}"],
)  # fmt: skip


@dataclass
class Order:
    item: str
    card: Annotated[str, Redacted]


class Payment(pydantic.BaseModel):
    receipt: pydantic.SecretStr
    cents: int


@attrs.define
class Code:
    text: Annotated[str, Redacted]


class Parcel(msgspec.Struct):
    labels: list[Annotated[str, Redacted]]


@step
async def pay(order: Order) -> Payment:
    return Payment(receipt=f"{CANARY} {order.card}", cents=7)


@pay.compensation(retry=Retry(attempts=1))
async def refund(order: Order, payment: Payment | None) -> None:
    assert payment is not None and CANARY in payment.receipt.get_secret_value()
    if order.item == "stuck":
        raise Rejected("dispatched")


@step
async def pack(order: Order) -> Parcel:
    return Parcel([CANARY, CANARY])


@pack.compensation
async def unpack(pack: Parcel | None) -> None: ...


@step(retry=Retry(attempts=1))
async def ship(order: Order, code: Code, payment: Payment) -> Annotated[str, Redacted]:
    assert code.text == order.card == CANARY
    if order.item != "book":
        raise Rejected("no such item")
    return f"shipped {CANARY}"


@step(read_only=True, retry=Retry(attempts=1))
async def wrong(order: Order) -> Payment:
    return Payment.model_construct(receipt=[CANARY], cents="many")


buy = Saga("buy", pay, pack, wait_for("code", Code), ship, result=ship)
broken = Saga("broken", wrong.named("first"))


def leaks(directory) -> list[str]:
    """The files of databases, their logs and whatever stands beside them that hold the canary."""
    files = [file for found in directory.glob("*.db*") for file in (found, *found.rglob("*")) if file.is_file()]
    assert files
    return [str(file) for file in files if CANARY.encode() in file.read_bytes()]


async def _run(path, ring, heard) -> list[str]:
    """Sagas that complete, turn back, need a person, and break; their ids."""
    store = SQLiteStore(path)
    async with Orchestrator(store, sagas=[buy, broken], encryption=ring, poll="5ms") as orchestrator:
        orchestrator.subscribe(LoggingSubscriber())
        orchestrator.subscribe(heard.append)
        done, back, stuck = [
            await orchestrator.start(buy, Order(item, CANARY), correlation={"item": item})
            for item in ("book", "ghost", "stuck")
        ]
        for handle in (done, back, stuck):
            await orchestrator.signal(handle.id, "code", Code(CANARY))
        assert CANARY in await done.result()
        with pytest.raises(SagaCompensated) as compensated:
            await back.result()
        with pytest.raises(SagaRequiresManual) as manual:
            await stuck.result()
        bad = await orchestrator.start(broken, Order("book", CANARY))
        with pytest.raises(SagaCompensated) as unstorable:
            await bad.result()
        with pytest.raises(Exception) as unfit:
            await orchestrator.signal(stuck.id, "code", {"text": [CANARY]})
        heard += [traceback.format_exception(each.value) for each in (compensated, manual, unstorable, unfit)]
        views = [await orchestrator.get(handle.id) for handle in (done, back, stuck, bad)]
        heard += views
        assert views[0].input == {"item": "book", "card": "[redacted]"}
        assert views[0]["pay"].result == {"receipt": "[redacted]", "cents": 7}
        assert views[0]["pack"].result == {"labels": ["[redacted]", "[redacted]"]}
        assert views[0]["code"].result == {"text": "[redacted]"}
        assert views[0].result == views[0]["ship"].result == "[redacted]"
        heard += [await orchestrator.history(view.id) for view in views]
        if ring is not None:  # the log of the open database is beside it
            assert {file.suffix for file in path.parent.iterdir()} >= {".db", ".db-wal"}
            assert not leaks(path.parent)
    return [view.id for view in views]


@pytest.mark.parametrize("keys", ["none", "sealed", "opened"])
def test_no_canary_is_seen_by_anybody(keys, place, call, caplog, monkeypatch):
    """Redaction holds with and without encryption, and whether or not who looks has the keys."""
    caplog.set_level(logging.DEBUG)
    heard = []
    path = place / "sagas.db"
    ids = asyncio.run(_run(path, None if keys == "none" else RING, heard))
    assert CANARY not in str(heard) and len(heard) > 50
    if keys == "opened":
        monkeypatch.setenv("AMENDS_KEYS", f"k1={KEY}")
    seen = ""
    for saga_id in ids:
        for look in LOOKS:
            words = [word.replace("{id}", saga_id) for word in look]
            forms = [[]] if "export" in look else [[], ["-o", "json"], ["-o", "jsonl"]]
            for form in forms:
                answer = call(*words, *form, "--store", f"sqlite:///{path}")
                assert answer.code == 0, answer.err
                seen += answer.out + answer.err
    assert CANARY not in seen and CANARY not in caplog.text
    assert caplog.text.count("saga.ended") == 3
    assert keys == "sealed" or "[redacted]" in seen
    assert ("<sealed: key k1>" in seen) == (keys == "sealed")
    if keys == "none":  # what was not marked is shown
        assert '"cents": 7' in seen


def test_a_bundle_shows_elsewhere_what_its_store_showed(place, call, monkeypatch):
    path = place / "sagas.db"
    done, *_ = asyncio.run(_run(path, RING, []))
    assert call("export", done, "--out", "bundle.json", "--store", f"sqlite:///{path}").code == 0
    path.unlink()
    assert CANARY not in (place / "bundle.json").read_text()
    sealed = json.loads(call("show", "bundle.json", "-o", "json").out)
    assert sealed["input"] == "<sealed: key k1>"
    monkeypatch.setenv("AMENDS_KEYS", f"k1={KEY}")
    opened = json.loads(call("show", "bundle.json", "-o", "json").out)
    assert opened["input"] == {"item": "book", "card": "[redacted]"}


def test_a_mark_that_comes_later_hides_what_was_stored_before(place, call):
    @step
    async def take(order: dict) -> str:
        return f"took {order['card']}"

    @step
    async def marked(order: dict) -> Annotated[str, Redacted]: ...

    path = place / "sagas.db"
    address = f"sqlite:///{path}"

    async def run(saga, start) -> str:
        async with Orchestrator(address, sagas=[saga]) as orchestrator:
            if start:
                handle = await orchestrator.start(saga, {"card": CANARY})
                await handle.result()
                return handle.id
        return ""

    saga_id = asyncio.run(run(Saga("later", take), start=True))
    assert CANARY in call("show", saga_id, "-o", "json", "--store", address).out
    asyncio.run(run(Saga("later", marked.named("take"), input=Annotated[dict, Redacted]), start=False))
    assert CANARY not in call("show", saga_id, "-o", "json", "--store", address).out


def test_the_command_line_seals_what_it_starts_and_signals(place, call, monkeypatch):
    monkeypatch.setenv("AMENDS_KEYS", f"k1={KEY}")
    monkeypatch.setenv("AMENDS_APP", "cli_app:sagas")
    started = call("start", "patient", json.dumps({"item": CANARY}), "-o", "json")
    saga_id = json.loads(started.out)["id"]
    assert call("signal", saga_id, "go", json.dumps({"by": CANARY})).code == 0
    assert not leaks(place)

    async def work() -> None:
        from cli_app import sagas

        async with Orchestrator("sqlite:///amends.db", sagas=sagas, encryption=RING, poll="5ms") as orchestrator:
            await orchestrator.handle(saga_id).result()

    asyncio.run(work())
    shown = json.loads(call("show", saga_id, "-o", "json").out)
    assert shown["status"] == "completed" and shown["input"] == {"item": CANARY}
    assert not leaks(place)
    monkeypatch.delenv("AMENDS_KEYS")
    assert json.loads(call("show", saga_id, "-o", "json").out)["input"] == "<sealed: key k1>"


def test_keys_that_cannot_be_are_refused_by_name(call, monkeypatch):
    for said in ("k1", "k1=short", f"k 1={KEY}"):
        monkeypatch.setenv("AMENDS_KEYS", said)
        answer = call("start", "quick", '{"item":"x"}', "--app", "cli_app:sagas")
        assert answer.code == 2 and "AM2114" in answer.err and KEY not in answer.err


def test_keys_without_the_package_say_what_to_install(call, monkeypatch):
    import sys

    monkeypatch.setenv("AMENDS_KEYS", f"k1={KEY}")
    monkeypatch.setitem(sys.modules, "amends.crypto", None)
    answer = call("start", "quick", '{"item":"x"}', "--app", "cli_app:sagas")
    assert answer.code == 2 and "AM2115" in answer.err
