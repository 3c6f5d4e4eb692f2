"""The fixture `orchestrator`: plain tests of whole sagas, in virtual time."""

import asyncio
import subprocess
import sys
import time as real_time
from dataclasses import dataclass

import pytest

from amends import Retry, Saga, SagaCompensated, SagaStatus, StepStatus, UsageError, step, wait_for
from amends.testing import Orchestrators


@dataclass
class Order:
    number: int


@dataclass
class Approval:
    by: str


class Notes:
    def __init__(self) -> None:
        self.said: list[str] = []


@step
async def reserve(order: Order, notes: Notes) -> str:
    notes.said.append("reserve")
    return f"r-{order.number}"


@reserve.compensation
async def release(order: Order, notes: Notes) -> None:
    notes.said.append("release")


@step(read_only=True)
async def confirm(order: Order, reserve: str) -> str:
    return f"confirmed {reserve}"


approved = Saga(
    "approved", reserve, wait_for("approval", Approval, timeout="24h"), confirm, resources=[Notes], result=confirm
)


def test_a_saga_runs_to_its_result_in_a_plain_test(orchestrator: Orchestrators):
    amends = orchestrator(approved, resources=[Notes()])
    saga = amends.start(approved, Order(7))
    assert amends.get(saga.id)["approval"].status == StepStatus.WAITING  # all happened that needs no time
    assert amends.signal(saga.id, "approval", Approval("ann"))
    assert saga.status() == SagaStatus.COMPLETED
    assert saga.result() == "confirmed r-7"


def test_a_verb_returns_when_only_time_could_bring_more(orchestrator: Orchestrators):
    reached = []

    @step(read_only=True)
    async def work(order: Order) -> None:
        for _ in range(50):
            await asyncio.sleep(0)
        reached.append(order.number)

    saga = Saga("long", work, work.named("again"), work.named("once_more"))
    amends = orchestrator(saga)
    began = orchestrator.time.now
    amends.start(saga, Order(1))
    assert reached == [1, 1, 1]
    assert (orchestrator.time.now - began).total_seconds() < 1


def test_time_that_is_advanced_ends_a_wait_and_not_a_moment_earlier(orchestrator: Orchestrators):
    amends = orchestrator(approved, resources=[notes := Notes()])
    saga = amends.start(approved, Order(7))
    began = orchestrator.time.now
    orchestrator.time.advance("23h")
    assert saga.status() == SagaStatus.RUNNING
    orchestrator.time.advance("1h")
    assert saga.status() == SagaStatus.COMPENSATED
    assert notes.said == ["reserve", "release"]
    assert round((orchestrator.time.now - began).total_seconds()) == 24 * 3600


def test_result_lets_the_time_pass_that_it_needs(orchestrator: Orchestrators):
    saga = orchestrator(approved, resources=[Notes()]).start(approved, Order(7))
    began = orchestrator.time.now
    with pytest.raises(SagaCompensated):
        saga.result()
    assert round((orchestrator.time.now - began).total_seconds()) == 24 * 3600


def test_backoffs_timeouts_and_sleeps_pass_at_once(orchestrator: Orchestrators):
    calls = []

    @step(read_only=True, timeout=30, retry=Retry(attempts=3, base="1h", cap="2h"))
    async def flaky(order: Order) -> int:
        calls.append(orchestrator.time.now)
        if len(calls) == 1:
            await asyncio.sleep(3600)  # past its timeout
        if len(calls) == 2:
            raise ConnectionError
        return len(calls)

    saga = Saga("flaky", flaky)
    assert orchestrator(saga).start(saga, Order(1)).result() == 3
    assert (calls[1] - calls[0]).total_seconds() >= 30


def test_a_saga_that_nobody_signals_is_told_and_does_not_hang(orchestrator: Orchestrators):
    patient = Saga("patient", wait_for("approval", Approval), input=Order)
    saga = orchestrator(patient).start(patient, Order(1))
    with pytest.raises(TimeoutError, match="366 days of virtual time: does the saga wait for a signal"):
        saga.result()
    with pytest.raises(TimeoutError, match="within 60 s"):
        saga.result(timeout="1m")


def test_sync_functions_run_in_threads_and_time_stands_still_meanwhile(orchestrator: Orchestrators):
    @step(read_only=True, timeout="1ms")
    def plain(order: Order) -> int:
        real_time.sleep(0.05)
        return order.number

    @step(read_only=True, timeout="1ms")
    async def to_thread(order: Order) -> int:
        await asyncio.to_thread(real_time.sleep, 0.05)
        return order.number + 1

    saga = Saga("threads", plain, to_thread)
    assert orchestrator(saga).start(saga, Order(1)).result() == 2


def test_cancel_meets_a_step_that_runs(orchestrator: Orchestrators):
    undone = []

    @step(timeout="1h", retry=Retry(attempts=1))
    async def slow(order: Order) -> None:
        await asyncio.sleep(1800)

    @slow.compensation
    async def undo(order: Order) -> None:
        undone.append(order.number)

    saga = Saga("slow", slow)
    amends = orchestrator(saga)
    running = amends.start(saga, Order(3))
    assert amends.cancel(running.id, reason="customer")
    assert undone == []
    orchestrator.time.advance("30m")
    assert undone == [3] and running.status() == SagaStatus.COMPENSATED


def test_several_orchestrators_of_a_test_share_its_time_and_nothing_else(orchestrator: Orchestrators):
    one, other = (orchestrator(approved, resources=[Notes()]) for _ in range(2))
    saga = one.start(approved, Order(1))
    assert one.time is other.time is orchestrator.time
    assert other.count() == 0 and one.count() == 1
    assert one.signal(saga.id, "approval", Approval("ann"))
    assert [view.status for view in one.list()] == [SagaStatus.COMPLETED]


def test_ids_are_the_same_in_each_run():
    def first_id() -> str:
        orchestrators = Orchestrators()
        saga = orchestrators(approved, resources=[Notes()]).start(approved, Order(1))
        orchestrators.close()
        return saga.id

    assert first_id() == first_id()


def test_what_is_open_at_the_end_of_a_test_is_closed():
    orchestrators = Orchestrators()
    amends = orchestrators(approved, resources=[Notes()])
    amends.start(approved, Order(1))
    orchestrators.close()
    with pytest.raises(UsageError, match="closed"):
        amends.count()


def test_a_mistake_in_the_length_is_told(orchestrator: Orchestrators):
    with pytest.raises(UsageError, match="advance"):
        orchestrator.time.advance("a while")


def test_pytest_loads_the_plugin_by_itself_and_nothing_of_the_runtime_with_it(tmp_path):
    (tmp_path / "test_loaded.py").write_text(
        "import sys\n"
        "def test_loaded(pytestconfig):\n"
        "    assert pytestconfig.pluginmanager.has_plugin('amends')\n"
        "    loaded = sorted(name for name in sys.modules if name.startswith(('amends.', 'msgspec')))\n"
        "    assert loaded == ['amends.testing', 'amends.testing.plugin']\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path], cwd=tmp_path, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
