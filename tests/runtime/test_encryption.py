"""Encrypted payloads in whole sagas: sealed on disk, plain for functions; keys that come, go and are missing."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import msgspec
import pytest

from amends import KeyConflict, Orchestrator, PayloadError, Rejected, Saga, SagaCompensated, step, wait_for
from amends.crypto import KeyRing
from amends.errors import Conflict
from amends.runtime.beginning import start_in_transaction
from amends.stores.sqlite import SQLiteStore
from tests.runtime.stage import events_of, kill, scene, until

NEW, OLD = bytes(range(32)), bytes(range(1, 33))
RING = KeyRing({"new": NEW, "old": OLD}, active="new")
OLD_RING = KeyRing({"old": OLD}, active="old")
OTHER_RING = KeyRing({"new": OLD}, active="new")
CANARY = "4111-canary"


@dataclass
class Order:
    card: str
    refuse: bool = False


@dataclass
class Approval:
    by: str


@dataclass
class Payment:
    receipt: str


@step
async def pay(order: Order) -> Payment:
    return Payment(f"paid with {order.card}")


@pay.compensation
async def refund(order: Order, payment: Payment | None) -> None:
    assert payment is not None and CANARY in payment.receipt


@step
async def ship(order: Order, payment: Payment) -> str:
    assert CANARY in payment.receipt
    if order.refuse:
        raise Rejected("not today")
    return payment.receipt


quick = Saga("quick", pay, ship, result=ship)
patient = Saga("patient", pay, wait_for("approval", Approval), ship, result=ship)
plain = Saga("plain", pay)


async def bodies(ground) -> bytes:
    """Every byte of every journal row and command."""
    store = ground.store()
    await store.open()
    try:
        rows = [*await store.journal(after=0, limit=1_000), *await store.commands(limit=100)]
    finally:
        if ground.memory is None:
            store.close()
    return b"\n".join(row.body for row in rows)


@scene
async def test_a_saga_runs_to_its_end_and_nothing_of_it_is_readable_on_disk(ground):
    async with ground.orchestrator(quick, patient, encryption=RING) as orchestrator:
        done = await orchestrator.start(quick, Order(CANARY), key="k")
        assert await done.result() == f"paid with {CANARY}"
        back = await orchestrator.start(quick, Order(CANARY, refuse=True))
        with pytest.raises(SagaCompensated):
            await back.result()
        waits = await orchestrator.start(patient, Order(CANARY))
        await orchestrator.signal(waits.id, "approval", Approval(CANARY))
        assert await waits.result() == f"paid with {CANARY}"
        view = await orchestrator.get(done.id)
        assert view.input["card"] == CANARY and view["pay"].result == {"receipt": f"paid with {CANARY}"}
        stored = await bodies(ground)
        assert CANARY.encode() not in stored and stored.count(b"$sealed") >= 8


@scene
async def test_a_recovery_opens_what_an_earlier_process_sealed_and_old_keys_still_open(ground):
    first = await ground.orchestrator(patient, encryption=OLD_RING).__aenter__()
    handle = await first.start(patient, Order(CANARY))
    await until(lambda: _waits(first, handle.id))
    await kill(first)
    async with ground.orchestrator(patient, encryption=RING) as second:
        await second.signal(handle.id, "approval", Approval(CANARY))
        assert await second.handle(handle.id).result() == f"paid with {CANARY}"
        stored = await bodies(ground)
        assert b'["old",' in stored and b'["new",' in stored and CANARY.encode() not in stored


async def _waits(orchestrator, saga_id) -> bool:
    return "WaitStarted" in await events_of(orchestrator, saga_id)


@scene
async def test_sagas_of_before_the_encryption_go_on_and_what_they_write_is_sealed(ground):
    first = await ground.orchestrator(patient).__aenter__()
    handle = await first.start(patient, Order(CANARY))
    await until(lambda: _waits(first, handle.id))
    await kill(first)
    async with ground.orchestrator(patient, encryption=RING) as second:
        before = (await bodies(ground)).count(CANARY.encode())
        await second.signal(handle.id, "approval", Approval(CANARY))
        assert await second.handle(handle.id).result() == f"paid with {CANARY}"
        assert (await bodies(ground)).count(CANARY.encode()) == before > 0


@pytest.mark.parametrize("ring", [None, OLD_RING, OTHER_RING], ids=["no keys", "missing", "another key"])
@scene
async def test_without_the_right_key_a_saga_is_held_visibly_the_others_run_and_it_goes_on_with_the_key(ground, ring):
    first = await ground.orchestrator(patient, plain, encryption=RING).__aenter__()
    handle = await first.start(patient, Order(CANARY))
    await until(lambda: _waits(first, handle.id))
    await kill(first)
    async with ground.orchestrator(patient, plain, encryption=ring) as without:
        other = await without.start(plain, Order(CANARY))
        assert await other.result() == Payment(f"paid with {CANARY}")
        with pytest.raises(Conflict, match=r'on hold: .*AM211[23].*the key "new"'):
            await without.signal(handle.id, "approval", Approval(CANARY))
        await until(lambda: _held(without, handle.id))
        (held,) = [entry for entry in await without.history(handle.id) if entry.event == "Held"]
        assert "key" in held.details["message"] and CANARY not in str(held.details)
        view = await without.get(handle.id)
        assert view.input.startswith("<sealed: key new") and CANARY not in str(view)
        assert [each.id async for each in without.list(hold="poison")] == [handle.id]
    async with ground.orchestrator(patient, plain, encryption=RING) as again:
        await until(lambda: _released(again, handle.id))  # by itself, though it rests until it is signalled
        assert [each.id async for each in again.list(hold="poison")] == []
        await again.signal(handle.id, "approval", Approval(CANARY))
        assert await again.handle(handle.id).result() == f"paid with {CANARY}"


async def _released(orchestrator, saga_id) -> bool:
    return "Released" in await events_of(orchestrator, saga_id)


async def _held(orchestrator, saga_id) -> bool:
    return "Held" in await events_of(orchestrator, saga_id)


@scene
async def test_a_result_cannot_be_had_without_the_key_but_its_end_can(ground):
    async with ground.orchestrator(quick, encryption=RING) as orchestrator:
        done = await orchestrator.start(quick, Order(CANARY))
        await done.result()
        back = await orchestrator.start(quick, Order(CANARY, refuse=True))
        with pytest.raises(SagaCompensated):
            await back.result()
    for ring in (None, OLD_RING):
        async with ground.orchestrator(quick, worker=False, encryption=ring) as looker:
            with pytest.raises(PayloadError, match='AM2112.*"new"'):
                await looker.handle(done.id).result()
            with pytest.raises(SagaCompensated):
                await looker.handle(back.id).result()


@scene
async def test_what_crosses_the_inbox_is_sealed_there(ground):
    async with ground.orchestrator(patient, worker=False, encryption=OLD_RING) as outside:
        handle = await outside.start(patient, Order(CANARY))
        assert await outside.signal(handle.id, "approval", Approval(CANARY)) is False
        stored = await bodies(ground)
        assert CANARY.encode() not in stored and stored.count(b'"$sealed":["old"') == 2
    async with ground.orchestrator(patient, encryption=RING) as worker:
        assert await worker.handle(handle.id).result() == f"paid with {CANARY}"


@scene
async def test_a_worker_without_the_key_refuses_a_signal_in_words(ground):
    async with ground.orchestrator(patient) as worker:
        handle = await worker.start(patient, Order(CANARY))
        async with ground.orchestrator(patient, worker=False, encryption=RING) as outside:
            with pytest.raises(PayloadError, match='AM2112.*"new"'):
                await outside.signal(handle.id, "approval", Approval(CANARY))
            await outside.cancel(handle.id, reason="it goes on all the same")


@scene
async def test_a_command_moved_to_another_saga_is_refused(ground):
    async with ground.orchestrator(patient, worker=False, encryption=RING) as outside:
        one, other = [await outside.start(patient, Order(CANARY)) for _ in range(2)]
        await outside.signal(one.id, "approval", Approval(CANARY))
        store = outside._store
        (row,) = await store.commands(limit=1)
        moved = await store.post(other.id, row.body, now=0)
        async with ground.orchestrator(patient, encryption=RING) as worker:
            await worker.handle(one.id).result()
            answer = await store.command(moved)
            assert answer.done and "AM2113" in answer.error
            assert (await worker.get(other.id)).status == "running"


@scene
async def test_start_keys_find_equal_inputs_under_every_key_and_tell_nothing(ground):
    async with ground.orchestrator(quick, encryption=OLD_RING) as old:
        first = await old.start(quick, Order(CANARY), key="k")
        row = await old._store.key("quick", "k")
        assert row.input_hash.startswith("old:") and len(row.input_hash) == 4 + 64
        await first.result()
    async with ground.orchestrator(quick, encryption=RING) as new:
        assert (await new.start(quick, Order(CANARY), key="k")).id == first.id
        with pytest.raises(KeyConflict):
            await new.start(quick, Order("another"), key="k")
    async with ground.orchestrator(quick) as without:
        with pytest.raises(PayloadError, match="AM2112"):
            await without.start(quick, Order(CANARY), key="k")


@scene
async def test_a_start_in_a_transaction_is_sealed_and_finds_its_key(tmp_path):
    path = tmp_path / "orders.db"
    async with Orchestrator(SQLiteStore(path), sagas=[quick], encryption=RING, poll="5ms") as orchestrator:
        with sqlite3.connect(path, isolation_level=None) as connection:
            connection.execute("BEGIN IMMEDIATE")
            saga_id = start_in_transaction(connection, quick, Order(CANARY), key="k", encryption=RING)
            handle = await orchestrator.start(quick, Order(CANARY), key="k", transaction=connection)
            assert handle.id == saga_id
            with pytest.raises(KeyConflict):
                start_in_transaction(connection, quick, Order("another"), key="k", encryption=RING)
            connection.execute("COMMIT")
        connection.close()
        assert await handle.result() == f"paid with {CANARY}"
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and CANARY.encode() in file.read_bytes()]


@scene
async def test_a_swapped_result_is_caught_when_the_saga_is_taken_up(tmp_path):
    path = tmp_path / "orders.db"
    first = await Orchestrator(SQLiteStore(path), sagas=[patient], encryption=RING).__aenter__()
    ids = [(await first.start(patient, Order(card))).id for card in (CANARY, f"{CANARY}-other")]
    for saga_id in ids:
        await until(lambda saga_id=saga_id: _waits(first, saga_id))
    await kill(first)
    with sqlite3.connect(path) as db:
        db.execute("DROP TRIGGER amends_journal_is_never_updated")
        found = "SELECT seq, body FROM amends_journal WHERE saga_id = ? AND CAST(body AS TEXT) LIKE '%\"ok\"%'"
        seq, body = db.execute(found, ids[:1]).fetchone()
        db.execute("UPDATE amends_journal SET body = ? WHERE saga_id = ? AND seq = ?", (body, ids[1], seq))
    db.close()
    async with Orchestrator(SQLiteStore(path), sagas=[patient], encryption=RING, poll="5ms") as second:
        with pytest.raises(Conflict, match="AM2113"):
            await second.signal(ids[1], "approval", Approval(CANARY))
        await second.signal(ids[0], "approval", Approval(CANARY))
        assert await second.handle(ids[0]).result() == f"paid with {CANARY}"


@scene
async def test_without_a_ring_nothing_is_sealed(ground):
    async with ground.orchestrator(quick) as orchestrator:
        await (await orchestrator.start(quick, Order(CANARY))).result()
        stored = await bodies(ground)
        assert b"$sealed" not in stored and CANARY.encode() in stored
        assert msgspec.json.decode(stored.split(b"\n")[0])[0] == 1
