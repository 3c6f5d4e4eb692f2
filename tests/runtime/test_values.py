"""What functions are given: values made anew from the journal, resources, a context of their own, a thread."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from dataclasses import dataclass, field

import pytest

from amends import (
    Context,
    Rejected,
    Retry,
    Saga,
    SagaCompensated,
    UsageError,
    choose,
    parallel,
    step,
    wait_for,
    when,
)  # fmt: skip
from tests.runtime.stage import events_of, kill, scene, until


@dataclass
class Order:
    number: int
    tags: list[str] = field(default_factory=list)


@dataclass
class Payment:
    marks: list[str]


@step
async def number_of(order: Order) -> int:
    return order.number


@step
async def nothing(order: Order) -> None: ...


@scene
async def test_no_two_functions_share_an_object_so_a_first_run_sees_what_a_recovery_would(ground):
    seen = []

    @step
    async def pay(order: Order) -> Payment:
        order.tags.append("changed by pay")
        payment = Payment(["paid"])
        seen.append(payment)
        return payment

    @pay.compensation
    async def refund(order: Order, payment: Payment | None) -> None:
        seen.append((order.tags, payment))

    @step
    async def look(order: Order, payment: Payment) -> None:
        payment.marks.append("changed by look")
        seen[0].marks.append("changed after it was returned")
        raise Rejected("turn back")

    saga = Saga("values", pay, look)
    order = Order(1, ["given"])
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, order)
        order.tags.append("changed by the caller")
        with pytest.raises(SagaCompensated):
            await handle.result()
    tags, payment = seen[1]
    assert tags == ["given"]
    assert payment == Payment(["paid"])


@scene
async def test_a_value_that_a_recovery_decodes_is_the_one_that_the_first_run_would_have_seen(ground):
    begun, seen = asyncio.Event(), []

    @step
    async def pay(order: Order) -> Payment:
        return Payment(["paid"])

    @step
    async def use(order: Order, payment: Payment) -> int:
        seen.append((order, payment))
        if not begun.is_set():
            begun.set()
            await asyncio.sleep(10)
        return len(seen)

    saga = Saga("recovered", pay, use)
    first = await ground.orchestrator(saga).__aenter__()
    handle = await first.start(saga, Order(3, ["x"]))
    await begun.wait()
    await kill(first)
    async with ground.orchestrator(saga) as second:
        assert await second.handle(handle.id).result() == 2
    assert seen[0] == seen[1] == (Order(3, ["x"]), Payment(["paid"]))
    assert seen[0][1] is not seen[1][1]


RESULTS = {
    "a step": (lambda: (number_of,), 7),
    "a step that returns nothing": (lambda: (nothing,), None),
    "the branch taken": (lambda: (choose(when(lambda order: True, number_of), otherwise=nothing),), 7),
    "otherwise": (lambda: (choose(when(lambda order: False, nothing), otherwise=number_of),), 7),
    "an empty branch": (lambda: (number_of, choose(when(lambda order: True), otherwise=nothing)), None),
    "a parallel": (lambda: (parallel(number_of, nothing),), None),
    "a sequence": (lambda: ((nothing, number_of),), 7),
}


@pytest.mark.parametrize("last", RESULTS)
@scene
async def test_the_result_of_a_saga_is_its_last_nodes(ground, last):
    nodes, expected = RESULTS[last]
    saga = Saga("result", *nodes(), input=Order)
    async with ground.orchestrator(saga) as orchestrator:
        assert await (await orchestrator.start(saga, Order(7))).result() == expected


@scene
async def test_a_waits_payload_is_the_result_when_the_wait_is_last(ground):
    saga = Saga("waits", number_of, wait_for("paid", Payment))
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order(7))
        await orchestrator.signal(handle.id, "paid", Payment(["cash"]))
        assert await handle.result() == Payment(["cash"])


@scene
async def test_a_result_step_in_a_branch_that_is_not_taken_gives_none(ground):
    saga = Saga(
        "untaken", nothing, choose(when(lambda order: order.number > 10, number_of)), input=Order, result=number_of
    )
    async with ground.orchestrator(saga) as orchestrator:
        assert await (await orchestrator.start(saga, Order(7))).result() is None
        assert await (await orchestrator.start(saga, Order(11))).result() == 11


@scene
async def test_a_best_effort_step_that_fails_is_passed_and_gives_none(ground):
    seen = []

    @step(best_effort=True, retry=Retry(attempts=2, base=0.001, cap=0.001))
    async def mail(order: Order) -> str:
        raise RuntimeError("no mail today")

    @step
    async def after(order: Order, mail: str | None) -> str:
        seen.append(mail)
        return "done"

    saga = Saga("passed", mail, after)
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order(1))
        assert await handle.result() == "done"
        assert (await orchestrator.get(handle.id))["mail"].status == "passed"
    assert seen == [None]


class Client:
    def __init__(self, name: str) -> None:
        self.name = name


@scene
async def test_a_resource_is_given_as_it_is(ground):
    class Special(Client): ...

    @step
    async def use(order: Order, client: Client) -> str:
        return client.name

    saga = Saga("resource", use, resources=[Client])
    async with ground.orchestrator(saga, resources=[Special("the one")]) as orchestrator:
        assert await (await orchestrator.start(saga, Order(1))).result() == "the one"
    with pytest.raises(UsageError, match="Client"):
        ground.orchestrator(saga)


@scene
async def test_a_sync_function_runs_in_a_thread_and_the_loop_goes_on(ground):
    begun, release = threading.Event(), threading.Event()

    @step
    def work(order: Order) -> str:
        begun.set()
        assert release.wait(5)
        return threading.current_thread().name

    saga = Saga("sync", work)
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order(1))
        await until(begun.is_set)
        release.set()
        assert (await handle.result()).startswith("amends-step")


@scene
async def test_context_variables_do_not_leak_from_one_saga_into_another(ground):
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)
    seen = []

    @step
    async def direct(order: Order) -> int:
        seen.append(variable.get())
        variable.set(order.number)
        await asyncio.sleep(0)
        return variable.get()

    @step
    def threaded(order: Order, direct: int) -> int:
        seen.append(variable.get())
        variable.set(order.number)
        return direct

    saga = Saga("context", direct, threaded)
    variable.set(99)
    async with ground.orchestrator(saga, concurrency=1, threads=1) as orchestrator:
        handles = [await orchestrator.start(saga, Order(number)) for number in range(1, 11)]
        assert [await handle.result() for handle in handles] == list(range(1, 11))
    assert set(seen) <= {0, 99} and len(set(seen)) == 1


@scene
async def test_the_context_tells_the_attempt_its_keys_and_its_remaining_time(ground):
    seen = []

    @step(timeout=5, retry=Retry(attempts=2, base=0.001, cap=0.001))
    async def pay(order: Order, ctx: Context) -> None:
        seen.append((ctx.attempt, ctx.idempotency_key, ctx.remaining(), dict(ctx.correlation), ctx.outcome))
        raise RuntimeError("no answer")

    @pay.compensation
    async def refund(order: Order, ctx: Context) -> None:
        seen.append((ctx.attempt, ctx.idempotency_key, ctx.remaining(), ctx.action_key, ctx.outcome))

    saga = Saga("context", pay)
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order(1), correlation={"customer": "ann"})
        with pytest.raises(SagaCompensated):
            await handle.result()
        assert (await events_of(orchestrator, handle.id, "pay")).count("ActionStarted") == 2
    key = f"{handle.id}/pay/action"
    assert [(line[0], line[1]) for line in seen] == [(1, key), (2, key), (1, f"{handle.id}/pay/compensation")]
    assert all(4 < line[2] <= 5 for line in seen[:2])
    assert seen[0][3] == {"customer": "ann"}
    assert (seen[2][3], seen[2][4]) == (key, "unknown")
