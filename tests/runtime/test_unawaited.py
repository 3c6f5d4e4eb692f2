"""A function that is no `async def` and returns a coroutine has done nothing: a decorator around one does that."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import pytest

from amends import Accepted, Context, Rejected, Retry, Saga, SagaCompensated, SagaRequiresManual, choose, step, when
from tests.runtime.stage import scene, until

ONCE = Retry(attempts=1)


@dataclass
class Order:
    number: int = 1


def logged(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@step
async def turn_back(order: Order) -> None:
    raise Rejected("turn back")


@scene
async def test_a_compensation_that_nobody_awaits_is_owed_and_never_acknowledged(ground):
    @step
    async def work(order: Order) -> None: ...

    @work.compensation(retry=ONCE)
    @logged
    async def undo(order: Order) -> None: ...

    saga = Saga("unawaited", work, turn_back)
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        with pytest.raises(SagaRequiresManual):
            await handle.result()
        assert "AM2008" in str((await orchestrator.get(handle.id)).errors)


@scene
async def test_a_poll_of_a_compensation_that_nobody_awaits_does_not_say_that_it_is_done(ground):
    @logged
    async def is_back(ctx: Context) -> bool:
        return True

    def poll(ctx: Context) -> Any:
        return is_back(ctx)

    @step
    async def work(order: Order) -> None: ...

    @work.compensation
    async def undo(order: Order) -> Accepted | None:
        return Accepted(poll=poll, every="1ms", until="1d")

    saga = Saga("unawaited", work, turn_back)
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order())

        async def told() -> bool:
            return "AM2008" in str((await orchestrator.get(handle.id)).errors)

        await until(told)
        assert await handle.status() == "compensating"


@scene
async def test_a_predicate_that_nobody_awaits_takes_no_branch(ground):
    @logged
    async def is_large(order: Order) -> bool:
        return False

    taken = []

    @step
    async def large(order: Order) -> None:
        taken.append(order)

    saga = Saga("unawaited", choose(when(is_large, large)), input=Order)
    async with ground.orchestrator(saga) as orchestrator:
        with pytest.raises(SagaRequiresManual, match="poison"):
            await (await orchestrator.start(saga, Order())).result()
    assert not taken


@scene
async def test_an_action_that_nobody_awaits_is_told_what_is_wrong_with_it(ground):
    @step(retry=ONCE)
    @logged
    async def work(order: Order) -> None: ...

    @work.compensation
    async def undo(order: Order) -> None: ...

    saga = Saga("unawaited", work)
    async with ground.orchestrator(saga) as orchestrator:
        with pytest.raises(SagaCompensated, match=r"AM2008.*make it an `async def`"):
            await (await orchestrator.start(saga, Order())).result()
