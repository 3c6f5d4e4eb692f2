"""The result of a saga that ends with a wait."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from amends import Orchestrator, Saga, step, wait_for


@dataclass
class Approval:
    """Who approved."""

    by: str


@step(read_only=True)
async def ask(order: dict[str, int]) -> None:
    """Nothing to do."""


@step(read_only=True)
async def give_up(order: dict[str, int]) -> int:
    """What runs when nobody answers."""
    return 7


def test_a_saga_that_ends_with_a_wait_has_the_value_of_its_timeouts_nodes_when_nobody_answered() -> None:
    saga = Saga(
        "asking", ask, wait_for("approval", Approval, timeout="20ms", on_timeout=[give_up]), input=dict[str, int]
    )

    async def run() -> object:
        async with Orchestrator("sqlite://", sagas=[saga]) as orchestrator:
            handle = await orchestrator.start(saga, {"n": 1})
            return await handle.result()

    assert asyncio.run(run()) == 7
