"""A queued verb must not change its meaning because the saga turned back meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

from amends import Context, Orchestrator, Retry, Saga, SagaStatus, step


@step(on_unknown="park", retry=Retry(attempts=1))
async def charge(order: dict[str, int], ctx: Context) -> None:
    """Its outcome is unknown at once."""
    raise ConnectionError("lost")


@charge.compensation
async def refund(order: dict[str, int], ctx: Context) -> None:
    """Never called here: an unknown step that is parked stays owed."""


def test_a_done_that_was_queued_going_forward_is_refused_once_the_saga_has_turned_back(tmp_path: Path) -> None:
    """Applied as it stands it would say "refunded by hand", of money that was only said to be charged."""
    saga = Saga("charging", charge, input=dict[str, int])
    address = f"sqlite:///{tmp_path / 'sagas.db'}"

    async def run() -> None:
        async with Orchestrator(address, sagas=[saga]) as first:
            handle = await first.start(saga, {"n": 1})
            while await handle.status() is not SagaStatus.REQUIRES_MANUAL:  # noqa: ASYNC110 -- another process has no event for it
                await asyncio.sleep(0.01)
        async with Orchestrator(address, worker=False) as desk:  # nobody leads: both verbs are queued
            assert await desk.cancel(handle.id, reason="customer") is False
            assert await desk.resolve(handle.id, "charge", outcome="done", reason="saw it in the ledger") is False
        async with Orchestrator(address, sagas=[saga]) as second:
            while (await second.get(handle.id))["charge"].status == "parked":  # noqa: ASYNC110 -- likewise
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)  # the second verb was queued right behind the first
            view = await second.get(handle.id)
            assert (view.status, view["charge"].status) == (SagaStatus.REQUIRES_MANUAL, "owed")

    asyncio.run(run())
