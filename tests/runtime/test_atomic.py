"""Atomic steps: their writes and their frame are one transaction, and nothing about them is ever unknown."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

from amends import (
    Conflict,
    Context,
    Rejected,
    Retry,
    Saga,
    SagaCompensated,
    SagaRequiresManual,
    UsageError,
    call,
    each,
    parallel,
    start_in_transaction,
    step,
)
from amends.crypto import KeyRing
from amends.errors import StoreUnavailable
from amends.limits import ATOMIC_MS_MAX
from tests.runtime.stage import FaultyStore, Ground, HandClock, events_of, kill, scene, until

QUICK = Retry(attempts=3, base="1ms", cap="1ms")


@dataclass
class Transfer:
    source: str = "ann"
    target: str = "bob"
    amount: int = 10


@dataclass
class Receipt:
    number: int


def move(db: sqlite3.Connection, account: str, amount: int) -> int:
    return db.execute("INSERT INTO moves (account, amount) VALUES (?, ?)", (account, amount)).lastrowid or 0


@step(atomic=True, retry=QUICK)
def debit(transfer: Transfer, db: sqlite3.Connection) -> Receipt:
    return Receipt(move(db, transfer.source, -transfer.amount))


@debit.compensation(retry=QUICK)
def undo_debit(transfer: Transfer, receipt: Receipt, db: sqlite3.Connection) -> None:
    move(db, transfer.source, transfer.amount)


@step(atomic=True, retry=QUICK)
def credit(transfer: Transfer, db: sqlite3.Connection) -> Receipt:
    if transfer.target == "nobody":
        raise Rejected("no such account")
    return Receipt(move(db, transfer.target, transfer.amount))


@credit.compensation
def undo_credit(transfer: Transfer, db: sqlite3.Connection) -> None:
    move(db, transfer.target, -transfer.amount)


transfers = Saga("transfer", debit, credit)


@pytest.fixture
def bank(file_ground: Ground) -> Ground:
    with closing(sqlite3.connect(file_ground.path)) as db:
        db.execute("CREATE TABLE moves (number INTEGER PRIMARY KEY, account TEXT, amount INTEGER)")
    return file_ground


def moves(bank: Ground) -> list[tuple[str, int]]:
    with closing(sqlite3.connect(bank.path)) as db:
        return db.execute("SELECT account, amount FROM moves ORDER BY number").fetchall()


def one(function: Any, **options: Any) -> Saga[Any, Any]:
    options.setdefault("retry", QUICK)
    return Saga("one", step(atomic=True, name="work", **options)(function), input=int)


# --- what they do ----------------------------------------------------------------------------------


@scene
async def test_the_writes_and_the_results_are_there_and_each_success_is_a_frame_of_its_own(bank):
    async with bank.orchestrator(transfers) as orchestrator:
        saga = await orchestrator.start(transfers, Transfer())
        assert await saga.result() == Receipt(2)
        history = await orchestrator.history(saga.id)
    assert moves(bank) == [("ann", -10), ("bob", 10)]
    frames = {entry.seq for entry in history}
    alone = [[entry.event for entry in history if entry.seq == seq] for seq in sorted(frames)]
    assert alone.count(["ActionSucceeded"]) == 2


@scene
async def test_a_compensation_that_takes_the_connection_is_atomic_too(bank):
    async with bank.orchestrator(transfers) as orchestrator:
        saga = await orchestrator.start(transfers, Transfer(target="nobody"))
        with pytest.raises(SagaCompensated, match="no such account"):
            await saga.result()
    assert moves(bank) == [("ann", -10), ("ann", 10)]


@scene
async def test_atomic_steps_of_many_sagas_and_of_one_saga_run_beside_each_other(bank):
    both = Saga("both", parallel(debit, credit))
    async with bank.orchestrator(both) as orchestrator:
        sagas = [await orchestrator.start(both, Transfer(amount=number)) for number in range(20)]
        await asyncio.gather(*(saga.result() for saga in sagas))
    written = moves(bank)
    assert len(written) == 40
    assert {amount for account, amount in written if account == "bob"} == set(range(20))


@scene
async def test_atomic_steps_stand_in_each_and_in_call_as_other_steps_do(bank):
    @step(atomic=True)
    def pay_in(item: int, db: sqlite3.Connection) -> int:
        return move(db, "item", item)

    @pay_in.compensation
    def take_out(item: int, db: sqlite3.Connection) -> None:
        move(db, "item", -item)

    def amounts(transfer: Transfer) -> list[int]:
        return list(range(1, transfer.amount + 1))

    def whole(it: Transfer) -> Transfer:
        return it

    saga = Saga("many", each(amounts, pay_in, item=int, limit=3), call(transfers, input=whole))
    async with bank.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Transfer(target="nobody", amount=5))
        with pytest.raises(SagaCompensated, match="no such account"):
            await handle.result()
    written = moves(bank)
    assert sorted(amount for account, amount in written if account == "item") == [-5, -4, -3, -2, -1, 1, 2, 3, 4, 5]
    assert [amount for account, amount in written if account == "ann"] == [-5, 5]


@scene
async def test_an_atomic_step_may_start_another_saga_in_its_own_transaction(bank):
    attempts = []

    def begin(number: int, db: sqlite3.Connection, ctx: Context) -> str:
        started = start_in_transaction(db, transfers, Transfer(), key=ctx.idempotency_key)
        attempts.append(started)
        if len(attempts) == 1:
            raise LookupError("after the start")
        return started

    parent = one(begin)
    async with bank.orchestrator(parent, transfers) as orchestrator:
        saga_id = await (await orchestrator.start(parent, 1)).result()
        assert await orchestrator.handle(saga_id).result() == Receipt(2)
        assert [view.id async for view in orchestrator.list(name="transfer")] == [attempts[1]]


@scene
async def test_the_work_is_not_done_in_the_loops_thread(bank):
    seen = []

    def look(number: int, db: sqlite3.Connection) -> None:
        seen.append(threading.current_thread())

    saga = one(look)
    async with bank.orchestrator(saga) as orchestrator:
        await (await orchestrator.start(saga, 1)).result()
    assert seen[0] is not threading.current_thread()


@scene
async def test_the_result_of_an_atomic_step_is_encrypted_as_any_other(bank):
    ring = KeyRing({"k": bytes(32)}, active="k")

    def work(number: int, db: sqlite3.Connection) -> str:
        return "4111-canary"

    saga = one(work)
    async with bank.orchestrator(saga, encryption=ring) as orchestrator:
        handle = await orchestrator.start(saga, 1)
        assert await handle.result() == "4111-canary"
        assert (await orchestrator.get(handle.id))["work"].result == "4111-canary"
    for file in bank.path.parent.glob("sagas.db*"):
        assert b"canary" not in file.read_bytes()


# --- what can go wrong -----------------------------------------------------------------------------


@scene
async def test_a_body_that_raises_is_retried_without_effect_and_then_turns_the_saga_back_without_its_undo(bank):
    ran = []

    @step(atomic=True, retry=QUICK)
    def work(transfer: Transfer, db: sqlite3.Connection) -> None:
        ran.append(1)
        move(db, "work", 1)
        raise LookupError("gone wrong")

    @work.compensation
    def undo(transfer: Transfer, db: sqlite3.Connection) -> None:
        move(db, "undone", 1)

    saga = Saga("s", debit, work)
    async with bank.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Transfer())
        with pytest.raises(SagaCompensated, match="gone wrong"):
            await handle.result()
        assert (await events_of(orchestrator, handle.id, "work")).count("ActionNotSent") == len(ran) == 3
        assert (await orchestrator.get(handle.id))["work"].status == "failed"
    assert moves(bank) == [("ann", -10), ("ann", 10)]


@scene
async def test_a_result_that_cannot_be_stored_takes_the_writes_back(bank):
    def work(number: int, db: sqlite3.Connection) -> int:
        move(db, "work", 1)
        return "no number"  # type: ignore[return-value]

    saga = one(work, retry=Retry(attempts=1))
    async with bank.orchestrator(saga) as orchestrator:
        with pytest.raises(SagaCompensated, match="AM2107"):
            await (await orchestrator.start(saga, 1)).result()
    assert moves(bank) == []


@scene
async def test_a_body_that_commits_by_itself_is_refused_in_clear_words(bank):
    def work(number: int, db: sqlite3.Connection) -> None:
        move(db, "work", 1)
        db.commit()

    saga = one(work, retry=Retry(attempts=1))
    async with bank.orchestrator(saga) as orchestrator:
        with pytest.raises(SagaCompensated, match=r"AM2240.*leave out commit\(\)"):
            await (await orchestrator.start(saga, 1)).result()
    assert moves(bank) == []


def closing_it(number: int, db: sqlite3.Connection) -> None:
    with closing(db):
        move(db, "work", 1)


def unguarding_it(number: int, db: sqlite3.Connection) -> None:
    move(db, "work", 1)
    db.set_authorizer(None)
    db.commit()


def hurrying_it(number: int, db: sqlite3.Connection) -> None:
    move(db, "work", 1)
    db.set_progress_handler(None, 0)


@pytest.mark.parametrize("work", [closing_it, unguarding_it, hurrying_it])
@scene
async def test_a_body_that_takes_the_connection_from_its_owner_fails_alone_and_the_store_goes_on(bank, work):
    saga = one(work, retry=Retry(attempts=1))
    async with bank.orchestrator(saga, transfers) as orchestrator:
        with pytest.raises(SagaCompensated, match=r"AM2243.*leave out close\(\)"):
            await (await orchestrator.start(saga, 1)).result()
        assert moves(bank) == []
        await (await orchestrator.start(transfers, Transfer())).result()
    assert moves(bank) == [("ann", -10), ("bob", 10)]


@scene
async def test_rejects_and_rejected_are_refusals_and_are_not_retried(bank):
    ran = []

    def work(number: int, db: sqlite3.Connection) -> None:
        ran.append(number)
        move(db, "work", 1)
        raise ZeroDivisionError if number else Rejected("no")

    saga = one(work, rejects=(ZeroDivisionError,))
    async with bank.orchestrator(saga) as orchestrator:
        for number in (0, 1):
            handle = await orchestrator.start(saga, number)
            with pytest.raises(SagaCompensated):
                await handle.result()
            assert "ActionRejected" in await events_of(orchestrator, handle.id)
    assert ran == [0, 1]
    assert moves(bank) == []


@scene
async def test_a_body_over_its_timeout_failed_without_effect(bank):
    def work(number: int, db: sqlite3.Connection) -> None:
        move(db, "work", 1)
        db.execute("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n")

    saga = one(work, timeout="50ms", retry=Retry(attempts=1))
    async with bank.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, 1)
        with pytest.raises(SagaCompensated, match="no answer within 50ms"):
            await handle.result()
        assert "ActionNotSent" in await events_of(orchestrator, handle.id)
    assert moves(bank) == []


@scene
async def test_however_long_its_timeout_a_body_is_told_that_it_will_be_cut_sooner(bank):
    seen = []

    def work(number: int, db: sqlite3.Connection, ctx: Context) -> None:
        seen.append(ctx.remaining())

    saga = one(work, timeout="1h")
    async with bank.orchestrator(saga) as orchestrator:
        await (await orchestrator.start(saga, 1)).result()
    assert 0 < seen[0] <= ATOMIC_MS_MAX / 1000


@scene
async def test_a_failing_atomic_compensation_is_retried_and_then_owed(bank):
    undone = []

    @step(atomic=True)
    def work(transfer: Transfer, db: sqlite3.Connection) -> None:
        move(db, "work", 1)

    @work.compensation(retry=QUICK)
    def undo(transfer: Transfer, db: sqlite3.Connection) -> None:
        move(db, "undone", 1)
        undone.append(1)
        if len(undone) <= 3:
            raise LookupError("not yet")

    saga = Saga("s", work, credit)
    async with bank.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Transfer(target="nobody"))
        with pytest.raises(SagaRequiresManual, match="work"):
            await handle.result()
        assert moves(bank) == [("work", 1)]
        await orchestrator.retry(handle.id, reason="it can be undone now")
        with pytest.raises(SagaCompensated):
            await handle.result()
    assert moves(bank) == [("work", 1), ("undone", 1)]


# --- crashes, leases, deadlines ----------------------------------------------------------------------


class Gate:
    """A body that can be held in the writer's thread."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()
        self.runs = 0

    def work(self, number: int, db: sqlite3.Connection) -> int:
        self.runs += 1
        move(db, "work", number)
        self.entered.set()
        assert self.open.wait(ATOMIC_MS_MAX / 1000)
        return number

    async def is_entered(self) -> None:
        assert await asyncio.to_thread(self.entered.wait, 5)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@scene
async def test_a_crash_before_the_commit_leaves_nothing_and_the_step_is_repeated_and_not_unknown(bank):
    saga = Saga("one", debit)
    store = FaultyStore(bank.store())
    stuck = asyncio.Event()

    async def wait(*_: Any, **__: Any) -> None:
        stuck.set()
        await asyncio.Event().wait()

    store.faults["transact"] = wait
    first = await bank.orchestrator(saga, store=store).__aenter__()
    handle = await first.start(saga, Transfer())
    await stuck.wait()
    await kill(first)
    assert moves(bank) == []
    async with bank.orchestrator(saga) as second:
        assert await second.handle(handle.id).result() == Receipt(1)
        assert "ActionCut" in await events_of(second, handle.id)
        assert not (await second.get(handle.id))["debit"].unknown
    assert moves(bank) == [("ann", -10)]


@scene
async def test_a_saga_that_turned_back_while_its_atomic_step_was_cut_off_has_nothing_to_undo(bank):
    undone = []

    @step(atomic=True)
    def work(number: int, db: sqlite3.Connection) -> None:
        move(db, "work", 1)

    @work.compensation
    async def undo(number: int) -> None:
        undone.append(number)

    saga = Saga("s", work, input=int, deadline="1m")
    clock, store, stuck = HandClock(), FaultyStore(bank.store()), asyncio.Event()

    async def wait(*_: Any, **__: Any) -> None:
        stuck.set()
        await asyncio.Event().wait()

    store.faults["transact"] = wait
    first = await bank.orchestrator(saga, store=store, clock=clock).__aenter__()
    handle = await first.start(saga, 1)
    await stuck.wait()
    await kill(first)
    clock.ahead_ms = 61_000
    async with bank.orchestrator(saga, clock=clock) as second:
        with pytest.raises(SagaCompensated):
            await second.handle(handle.id).result()
    assert not undone and moves(bank) == []


@scene
async def test_a_lease_that_is_another_holders_when_the_body_would_begin_lets_nothing_of_it_land(bank, gate):
    saga = one(gate.work)
    gate.open.set()
    store = FaultyStore(bank.store())
    waits, goes = asyncio.Event(), asyncio.Event()

    async def pause(*_: Any, **__: Any) -> None:
        waits.set()
        await goes.wait()

    store.faults["transact"] = pause
    paused = await bank.orchestrator(saga, store=store).__aenter__()
    handle = await paused.start(saga, 5)
    await waits.wait()
    with closing(sqlite3.connect(bank.path)) as db, db:  # another one has taken the lease meanwhile
        db.execute("UPDATE amends_lease SET epoch = epoch + 1, batch = 0, owner = 'other', pid = 0, expires = 1 << 60")
    store.faults.clear()
    goes.set()
    await until(lambda: not paused.leading)
    assert gate.runs == 0 and moves(bank) == []
    await paused.close()
    with closing(sqlite3.connect(bank.path)) as db, db:
        db.execute("UPDATE amends_lease SET owner = ''")
    async with bank.orchestrator(saga) as second:
        assert await second.handle(handle.id).result() == 5
    assert moves(bank) == [("work", 5)]


@scene
async def test_a_store_that_is_busy_makes_the_body_wait_and_run_once(bank, gate):
    saga = one(gate.work)
    gate.open.set()
    store, refusals = FaultyStore(bank.store()), []

    def busy(*_: Any, **__: Any) -> None:
        if len(refusals) < 3:
            refusals.append(1)
            raise StoreUnavailable("busy")

    store.faults["transact"] = busy
    async with bank.orchestrator(saga, store=store) as orchestrator:
        assert await (await orchestrator.start(saga, 5)).result() == 5
    assert len(refusals) == 3 and moves(bank) == [("work", 5)]


@scene
async def test_the_deadline_does_not_cut_a_body_that_has_begun_and_its_success_is_undone(bank, gate):
    @step(atomic=True)
    def work(number: int, db: sqlite3.Connection) -> int:
        return gate.work(number, db)

    @work.compensation
    def undo(number: int, db: sqlite3.Connection) -> None:
        move(db, "undone", number)

    saga = Saga("s", work, input=int, deadline="1h")
    clock = HandClock()
    async with bank.orchestrator(saga, clock=clock) as orchestrator:
        handle = await orchestrator.start(saga, 1)
        await gate.is_entered()
        clock.ahead_ms = 3_700_000
        actor = orchestrator._leader.engine.actors[handle.id]
        actor._on_due()
        for _ in range(20):
            await asyncio.sleep(0)
        gate.open.set()
        assert await handle.result() == 1  # it was done in time: a result in hand comes before the deadline
    assert moves(bank) == [("work", 1)]


@scene
async def test_the_deadline_lets_go_of_a_body_that_has_not_begun(bank, gate):
    @step
    async def slow(number: int) -> None:
        await asyncio.Event().wait()

    @step(atomic=True)
    def queued(number: int, db: sqlite3.Connection) -> None:
        move(db, "queued", number)

    blocked = step(atomic=True, name="blocks")(gate.work)
    saga = Saga("s", parallel(blocked, queued, slow), input=int, deadline="1h")
    clock = HandClock()
    async with bank.orchestrator(saga, clock=clock) as orchestrator:
        handle = await orchestrator.start(saga, 1)
        await gate.is_entered()
        engine = orchestrator._leader.engine
        await until(lambda: len(engine.committer._bodies) == 1)
        clock.ahead_ms = 3_700_000
        gate.open.set()
        # The first one's success was in hand before; then the deadline turns the saga back.
        with pytest.raises(SagaRequiresManual):
            await handle.result()
        view = await orchestrator.get(handle.id)
        assert "deadline" in view["queued"].error and view["queued"].status == "failed"
    assert moves(bank) == [("work", 1)]


# --- while a body runs --------------------------------------------------------------------------------


@scene
async def test_what_happens_to_the_saga_meanwhile_waits_its_turn_and_is_decided_behind_the_success(bank, gate):
    @step
    async def quick(number: int) -> str:
        await gate.is_entered()
        return "quick"

    work = step(atomic=True, name="work")(gate.work)
    saga = Saga("s", parallel(work, quick), input=int)
    async with bank.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, 1)
        await gate.is_entered()
        pausing = asyncio.ensure_future(orchestrator.pause(handle.id, reason="to see"))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not pausing.done()
        gate.open.set()
        with pytest.raises(Conflict, match="completed"):  # there was nothing left to pause
            await pausing
        await handle.result()
        order = [event for event in await events_of(orchestrator, handle.id) if event == "ActionSucceeded"]
        assert len(order) == 2
    assert moves(bank) == [("work", 1)]


@scene
async def test_other_sagas_go_on_once_a_body_is_done_and_a_shutdown_waits_for_it(bank, gate):
    saga = one(gate.work)
    orchestrator = await bank.orchestrator(saga, transfers, grace="5s").__aenter__()
    handle = await orchestrator.start(saga, 1)
    await gate.is_entered()
    other = asyncio.ensure_future(orchestrator.start(transfers, Transfer()))
    await asyncio.sleep(0.01)
    assert not other.done()  # the one write lock is the body's
    closing_down = asyncio.ensure_future(orchestrator.close())
    await asyncio.sleep(0.01)
    gate.open.set()
    await closing_down
    await asyncio.gather(other, return_exceptions=True)
    assert ("work", 1) in moves(bank)
    async with bank.orchestrator(saga, transfers) as second:
        assert await second.handle(handle.id).result() == 1
    assert moves(bank).count(("work", 1)) == 1


@scene
async def test_a_body_that_has_not_begun_when_the_grace_is_over_is_cut_off_and_run_by_the_next_one(bank, gate):
    @step(atomic=True)
    def queued(number: int, db: sqlite3.Connection) -> None:
        move(db, "queued", number)

    saga = Saga("s", parallel(step(atomic=True, name="first")(gate.work), queued), input=int)
    orchestrator = await bank.orchestrator(saga, grace=0).__aenter__()
    handle = await orchestrator.start(saga, 1)
    engine = orchestrator._leader.engine
    await gate.is_entered()
    await until(lambda: len(engine.committer._bodies) == 1)
    closing_down = asyncio.ensure_future(orchestrator.close())
    await asyncio.sleep(0.01)
    gate.open.set()
    await closing_down
    assert moves(bank) == [("work", 1)]
    async with bank.orchestrator(saga) as second:
        await second.handle(handle.id).result()
        assert (await events_of(second, handle.id)).count("ActionCut") == 1
        assert (await second.get(handle.id))["queued"].attempts == 2
    assert moves(bank) == [("work", 1), ("queued", 1)]


# --- where they cannot be -----------------------------------------------------------------------------


def test_a_store_without_a_database_is_refused_when_the_orchestrator_is_made():
    with pytest.raises(UsageError, match=r"AM2028.*transfer.*\(debit, credit\)"):
        Ground(None).orchestrator(transfers)
    Ground(None).orchestrator(transfers, worker=False)  # it runs nothing
