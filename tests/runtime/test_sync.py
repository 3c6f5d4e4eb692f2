"""The orchestrator for code that does not await: the same verbs, from any thread, in any process."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from amends import (
    Context,
    DefinitionError,
    KeyConflict,
    NotFound,
    Orchestrator,
    Rejected,
    Retry,
    Saga,
    SagaCompensated,
    SagaRequiresManual,
    SyncHandle,
    SyncOrchestrator,
    UsageError,
    start_in_transaction,
    step,
    wait_for,
)
from amends.runtime.handle import Handle
from amends.stores.memory import MemoryStore
from amends.stores.sqlite import SQLiteStore, forking
from tests.runtime.stage import FORKS

ROOT = Path(__file__).parents[2]
LIMIT_S = 20


@dataclass
class Order:
    number: int = 1


@step
async def note(order: Order) -> int:
    if order.number < 0:
        raise Rejected("no such number")
    return order.number


@step
async def pay(order: Order) -> None: ...


orders = Saga("orders", note, result=note)
waiting = Saga("waiting", note, wait_for("go", int))
owing = Saga("owing", pay, note.named("refuses"), input=Order)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sync.db"


@pytest.fixture
def orchestrator(path: Path) -> Iterator[SyncOrchestrator]:
    with SyncOrchestrator(f"sqlite:///{path}", sagas=[orders, waiting, owing], poll="5ms", grace=0) as orchestrator:
        yield orchestrator


# --- the same as the async one ----------------------------------------------------------------------

OWN = {"open": "entering the `async with`"}  # what only the sync one needs


def public(kind: type) -> dict[str, Any]:
    return {name: member for name, member in vars(kind).items() if not name.startswith("_") or name == "__init__"}


def parameters(function: Any) -> list[inspect.Parameter]:
    return list(inspect.signature(function).parameters.values())


def test_it_has_every_public_name_of_the_async_orchestrator_with_the_same_parameters():
    theirs, ours = public(Orchestrator), public(SyncOrchestrator)
    missing = theirs.keys() - ours.keys() - {"bus"}  # an attribute there, a property here
    assert not missing, "add a line to SyncOrchestrator for each: `name = _blocking(Orchestrator.name)`"
    assert ours.keys() - theirs.keys() == {*OWN, "bus"}
    for name, function in theirs.items():
        assert isinstance(function, property) == isinstance(ours[name], property), name
        if not isinstance(function, property):
            assert parameters(ours[name]) == parameters(function), name
            assert not inspect.iscoroutinefunction(ours[name]) and not inspect.isasyncgenfunction(ours[name]), name


def test_a_sync_handle_has_every_public_name_of_a_handle_and_a_timeout_besides():
    assert public(SyncHandle).keys() == public(Handle).keys()
    assert [parameter.name for parameter in parameters(SyncHandle.result)] == ["self", "timeout"]


# --- the verbs ------------------------------------------------------------------------------------------


def test_a_saga_is_started_waited_for_and_looked_at(orchestrator):
    saga = orchestrator.start(orders, Order(7), key="k", correlation={"customer": "ann"})
    assert saga.result(timeout=LIMIT_S) == 7
    assert saga.status() == "completed"
    view = orchestrator.get(saga.id)
    assert (view.key, view.correlation, view["note"].result) == ("k", {"customer": "ann"}, 7)
    assert [entry.event for entry in orchestrator.history(saga.id)][-1] == "Completed"
    assert [each.id for each in orchestrator.list(name="orders")] == [saga.id]
    assert orchestrator.count("customer:ann") == 1
    assert next(orchestrator.follow(saga.id)).event == "Started"
    assert orchestrator.start(orders, Order(7), key="k").id == saga.id
    assert orchestrator.handle(saga.id).result() == 7
    assert orchestrator.leading and orchestrator.failed is None


def test_errors_come_as_they_are(orchestrator):
    with pytest.raises(SagaCompensated, match="no such number"):
        orchestrator.start(orders, Order(-1)).result()
    orchestrator.start(orders, Order(1), key="k")
    with pytest.raises(KeyConflict):
        orchestrator.start(orders, Order(2), key="k")
    with pytest.raises(NotFound):
        orchestrator.get("nobody")
    with pytest.raises(NotFound):
        list(orchestrator.follow("nobody"))


def test_people_act_through_it(orchestrator):
    saga = orchestrator.start(waiting, Order())
    assert orchestrator.signal(saga.id, "go", 5)
    assert saga.result(timeout=LIMIT_S) == 5
    saga = orchestrator.start(waiting, Order())
    assert orchestrator.pause(saga.id, reason="to see")
    assert orchestrator.get(saga.id).paused
    assert orchestrator.resume(saga.id, reason="seen")
    assert orchestrator.cancel(saga.id, reason="enough")
    with pytest.raises(SagaRequiresManual):  # `note` has no compensation
        saga.result(timeout=LIMIT_S)
    assert orchestrator.resolve(saga.id, "note", outcome="done", reason="by hand")
    with pytest.raises(SagaCompensated):
        saga.result(timeout=LIMIT_S)
    other = orchestrator.start(owing, Order(-1))
    with pytest.raises(SagaRequiresManual):
        other.result(timeout=LIMIT_S)
    with pytest.raises(UsageError):
        orchestrator.skip(other.id, "pay", reason="")
    assert orchestrator.skip(other.id, "pay", reason="it may stay")
    third = orchestrator.start(waiting, Order())
    assert [done.id for done in orchestrator.bulk("cancel", "name:waiting status:running", reason="all")] == [third.id]
    orchestrator.drain()
    assert other.status() == "closed"


def test_a_timeout_ends_the_waiting_and_never_the_saga(orchestrator):
    saga = orchestrator.start(waiting, Order())
    with pytest.raises(TimeoutError):
        saga.result(timeout=0.01)
    loop = orchestrator._loop._loop
    limit = time.monotonic() + LIMIT_S
    while any("_wait" in repr(task) for task in asyncio.all_tasks(loop)):  # soon, nobody waits on in the loop
        assert time.monotonic() < limit
        time.sleep(0.002)
    orchestrator.signal(saga.id, "go", 1)
    assert saga.result(timeout=LIMIT_S) == 1


def test_a_subscriber_is_told(orchestrator):
    told = []
    orchestrator.subscribe(lambda notice: told.append((notice.event, threading.current_thread().name)), "saga.started")
    orchestrator.start(orders, Order()).result()
    assert told == [("saga.started", "amends-loop")]
    assert orchestrator.bus.active


def test_many_threads_call_it_at_once(orchestrator):
    with ThreadPoolExecutor(16) as threads:
        sagas = list(
            threads.map(lambda number: orchestrator.start(orders, Order(number), key=str(number % 50)), range(50))
        )
        assert sorted(threads.map(lambda saga: saga.result(timeout=LIMIT_S), sagas)) == list(range(50))


def test_a_start_joins_the_transaction_of_the_calling_thread(orchestrator, path):
    def work() -> SyncHandle[int]:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            gone = orchestrator.start(orders, Order(1), transaction=db)
            db.execute("ROLLBACK")
            db.execute("BEGIN IMMEDIATE")
            saga = orchestrator.start(orders, Order(2), transaction=db)
            db.execute("COMMIT")
            orchestrator.look()
            with pytest.raises(NotFound):
                gone.status()
            return saga

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(work).result().result(timeout=LIMIT_S) == 2


def test_a_start_in_a_transaction_opens_nothing_and_look_behind_the_commit_does(path):
    SyncOrchestrator(f"sqlite:///{path}", sagas=[orders]).open().close()  # the tables are there
    orchestrator = SyncOrchestrator(f"sqlite:///{path}", sagas=[orders], poll="5ms")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")  # while it holds the write lock, nobody could open the file
        saga = orchestrator.start(orders, Order(2), transaction=db)
        assert orchestrator._loop is None
        db.execute("COMMIT")
    orchestrator.look()
    assert orchestrator.leading
    assert saga.result(timeout=LIMIT_S) == 2
    orchestrator.close()
    with pytest.raises(UsageError, match="closed"):
        orchestrator.start(orders, Order(2), transaction=db)


def test_what_a_request_has_in_its_context_reaches_no_step(path):
    request: ContextVar[str] = ContextVar("request", default="none")
    seen = []

    @step
    async def look(order: Order) -> None:
        seen.append(request.get())

    saga = Saga("looks", look)
    request.set("the first request, which opens the orchestrator")
    with SyncOrchestrator(f"sqlite:///{path}", sagas=[saga], poll="5ms") as orchestrator:
        for _ in range(2):
            orchestrator.start(saga, Order()).result(timeout=LIMIT_S)
    assert seen == ["none", "none"]


# --- its life -------------------------------------------------------------------------------------------


def test_it_is_opened_when_it_is_first_used_and_by_one_thread_only(path):
    orchestrator = SyncOrchestrator(f"sqlite:///{path}", sagas=[orders], poll="5ms")
    assert not path.exists() and not orchestrator.leading
    names = []
    with ThreadPoolExecutor(8) as threads:
        sagas = list(threads.map(lambda number: orchestrator.start(orders, Order(number)), range(8)))
        names = [thread.name for thread in threading.enumerate()]
    assert names.count("amends-loop") == 1
    assert sorted(saga.result(timeout=LIMIT_S) for saga in sagas) == list(range(8))
    orchestrator.close()
    orchestrator.close()
    assert "amends-loop" not in [thread.name for thread in threading.enumerate()]
    with pytest.raises(UsageError, match="closed"):
        orchestrator.start(orders, Order())
    with pytest.raises(UsageError, match="closed"):
        sagas[0].result()


def test_mistakes_are_told_where_it_is_made_and_a_store_that_cannot_be_opened_can_be_tried_again(tmp_path):
    with pytest.raises(DefinitionError):
        SyncOrchestrator(sagas=[orders, Saga("orders", pay)])
    with pytest.raises(UsageError):
        SyncOrchestrator("mysql://x")
    orchestrator = SyncOrchestrator(f"sqlite:///{tmp_path / 'not-there' / 'x.db'}", sagas=[orders])
    with pytest.raises(Exception, match="AM6034"):
        orchestrator.open()
    (tmp_path / "not-there").mkdir()
    assert orchestrator.start(orders, Order(3)).result(timeout=LIMIT_S) == 3
    orchestrator.close()


def test_whoever_waits_when_it_is_closed_is_told_so(orchestrator):
    saga = orchestrator.start(waiting, Order())
    with ThreadPoolExecutor(1) as thread:
        waits = thread.submit(saga.result)
        while not orchestrator._inner._leader.engine.actors.get(saga.id):
            pass
        orchestrator.close()
        with pytest.raises(UsageError, match="AM2021"):
            waits.result(LIMIT_S)


def test_a_verb_that_is_under_way_when_it_is_closed_is_told_so_too(orchestrator):
    orchestrator.open()
    begun = threading.Event()

    async def for_ever(_: Orchestrator) -> None:
        begun.set()
        await asyncio.Event().wait()

    with ThreadPoolExecutor(1) as thread:
        waits = thread.submit(orchestrator._wait, for_ever)
        assert begun.wait(LIMIT_S)
        orchestrator.close()
        with pytest.raises(UsageError, match="AM2021"):
            waits.result(LIMIT_S)


def test_in_a_thread_with_a_running_loop_it_refuses_and_says_what_to_use(orchestrator):
    async def ask() -> None:
        orchestrator.start(orders, Order())

    with pytest.raises(UsageError, match=r"AM2090.*asyncio.to_thread"):
        asyncio.run(ask())

    async def ask_beside() -> int:
        saga = await asyncio.to_thread(orchestrator.start, orders, Order(4))
        return await asyncio.to_thread(saga.result)

    assert asyncio.run(ask_beside()) == 4


def test_a_sync_step_may_call_its_own_orchestrator_and_an_atomic_one_is_told_what_to_do_instead(path):
    @step
    def parent(order: Order) -> int:
        return orchestrator.start(orders, order, key="child").result(timeout=LIMIT_S)

    @step(atomic=True)
    def within(order: Order, db: sqlite3.Connection) -> None:
        orchestrator.start(orders, order)

    outer, inner = Saga("outer", parent), Saga("inner", within)
    with SyncOrchestrator(f"sqlite:///{path}", sagas=[orders, outer, inner], poll="5ms") as orchestrator:
        assert orchestrator.start(outer, Order(6)).result(timeout=LIMIT_S) == 6
        with pytest.raises(SagaCompensated, match=r"AM2091.*start_in_transaction"):
            orchestrator.start(inner, Order()).result(timeout=LIMIT_S)


# --- processes --------------------------------------------------------------------------------------------


def script(path: Path, text: str) -> subprocess.Popen[str]:
    head = f"""
import os, signal, sys, time
from amends import SyncOrchestrator
from tests.runtime.test_sync import Order, note, orders, waiting
signal.signal(signal.SIGINT, signal.default_int_handler)  # the background of a shell has it ignored
def make(**more):
    return SyncOrchestrator("sqlite:///{path}", sagas=[orders, waiting], poll="5ms", **more)
def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())  # in one piece, whoever else writes
"""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", head + text],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_admission_never_keeps_a_sync_step_from_starting_a_saga(path):
    @step(timeout="5s", retry=Retry(attempts=1))
    def start_child(order: Order, ctx: Context) -> str:
        return orchestrator.start(orders, order, key=ctx.idempotency_key).id

    parent = Saga("parent", start_child)
    with SyncOrchestrator(f"sqlite:///{path}", sagas=[parent, orders], admission=1) as orchestrator:
        child = orchestrator.start(parent, Order(3)).result(timeout=10)
        assert orchestrator.handle(child).result(timeout=10) == 3


def test_a_process_that_ends_without_closing_gives_its_lease_back(path):
    with script(path, "orchestrator = make(lease='1h').open()\nsay(orchestrator.leading)") as process:
        out, err = process.communicate(timeout=LIMIT_S)
    assert (out, err, process.returncode) == ("True\n", "", 0)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT owner, expires FROM amends_lease").fetchone() == ("", 0)


def test_one_that_nobody_keeps_is_closed_at_the_end_all_the_same(path):
    with script(path, "make(lease='1h').open()\nimport gc; gc.collect()") as process:
        out, err = process.communicate(timeout=LIMIT_S)
    assert (out, err, process.returncode) == ("", "", 0)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT owner, expires FROM amends_lease").fetchone() == ("", 0)


def test_an_interrupt_from_the_keyboard_leaves_the_saga_alone(path):
    text = """
orchestrator = make()
saga = orchestrator.start(waiting, Order(2))
try:
    say(saga.id)
    saga.result()
except KeyboardInterrupt:
    say("interrupted", orchestrator.get(saga.id).status)
    orchestrator.signal(saga.id, "go", 9)
    say(saga.result(timeout=10))
"""
    with script(path, text) as process:
        assert process.stdout.readline()
        time.sleep(0.2)  # until it waits for the result: only there is the interrupt what this test is about
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=LIMIT_S)
    assert (out, err) == ("interrupted running\n9\n", "")


@FORKS
def test_a_process_that_was_forked_off_an_open_one_is_refused_and_the_parents_goes_on(path):
    text = """
from amends import UsageError
orchestrator = make()
first = orchestrator.start(orders, Order(1))
say(first.result(timeout=10))
child = os.fork()
if child == 0:
    for attempt in (
        lambda: orchestrator.start(orders, Order(2)),  # the one that was open
        lambda: first.result(timeout=10),
        lambda: make().start(orders, Order(2)),  # and any other on SQLite
    ):
        try:
            say("no error:", attempt())
        except UsageError as error:
            say(error.code, orchestrator.leading)
    orchestrator.close()
    sys.exit(0)  # with all that is done at a process's end
assert os.waitpid(child, 0)[1] == 0
say("parent", orchestrator.leading, orchestrator.start(orders, Order(3)).result(timeout=10))
"""
    with script(path, text) as process:
        out, err = process.communicate(timeout=LIMIT_S)
    refused = "AM2092 False\nAM2092 False\nAM2204 False\n"
    assert (out, err, process.returncode) == (f"1\n{refused}parent True 3\n", "", 0)


def test_a_start_in_a_transaction_is_refused_behind_such_a_fork_too(monkeypatch):
    # Not in a child: there SQLite alone, in the test's own hands, hangs now and then.
    monkeypatch.setattr(forking, "_inherited", [SQLiteStore("parent.db")])
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db, pytest.raises(UsageError) as refused:
        db.execute("BEGIN")
        start_in_transaction(db, orders, Order(2))
    assert refused.value.code == "AM2204" and "sqlite:///parent.db" in str(refused.value)


@FORKS
def test_one_that_was_made_but_not_opened_or_closed_again_before_the_fork_is_opened_behind_it(path):
    text = """
orchestrator = make()
with make() as other:
    say(other.start(orders, Order(1)).result(timeout=10))
child = os.fork()
say("child" if child == 0 else "parent", orchestrator.start(orders, Order(2), key="k").result(timeout=10))
if child:
    assert os.waitpid(child, 0)[1] == 0
"""
    with script(path, text) as process:
        out, err = process.communicate(timeout=LIMIT_S)
    assert (sorted(out.split("\n")), err, process.returncode) == (["", "1", "child 2", "parent 2"], "", 0)


def test_a_memory_store_serves_too():
    with SyncOrchestrator(MemoryStore(), sagas=[orders]) as orchestrator:
        assert orchestrator.start("orders", Order(5)).result(timeout=LIMIT_S) == 5
