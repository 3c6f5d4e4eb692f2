"""The person who ends what no program may decide: with the real verbs, and with real hands in the services.

For each saga in `requires_manual` the back office looks at what is parked and does first, in the service,
what the verb will vouch for:

    a courier who has left   called back, then `retry`: the compensation is asked again and succeeds
                             or the place is freed by hand, then `resolve` as done
                             or the place is written off, then `skip`: the saga ends `closed`
    an unknown capture       sealed at the payment service, which settles what became of it:
                             captured: `resolve` as done, with the result; never captured: as not done
    anything else            `retry`: the service that failed so often is well again
"""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx2

from amends import Orchestrator, SagaStatus, StepStatus

MOVING = frozenset({SagaStatus.SCHEDULED, SagaStatus.RUNNING, SagaStatus.COMPENSATING})
ROUNDS_MAX = 10  # one saga may need a person twice: for its capture, and then for its courier
ACTOR = "back office"


class BackOffice:
    """Ends sagas by hand.

    Parameters:
        orchestrator: one that looks and posts verbs (`worker=False`), beside a worker that applies them.
        urls: service -> its address.
        client: what to call the services' desks with.

    Attributes:
        acts: how often each verb was used, and for what.
    """

    def __init__(self, orchestrator: Orchestrator, urls: dict[str, str], client: httpx2.AsyncClient) -> None:
        self.orchestrator = orchestrator
        self.urls = urls
        self.client = client
        self.acts: Counter[str] = Counter()
        self._couriers = 0

    async def end_all(self) -> dict[str, str]:
        """End every saga that stands in `requires_manual`; order id -> the status it ended with."""
        found = [
            (view.id, view.correlation["order"])
            async for view in self.orchestrator.list(status=SagaStatus.REQUIRES_MANUAL, name="place_order")
        ]
        return {
            order_id: await self.end(saga_id, order_id) for saga_id, order_id in sorted(found, key=lambda pair: pair[1])
        }

    async def end(self, saga_id: str, order_id: str) -> str:
        """End one saga; the status it ended with, or still has when nothing helped."""
        for _ in range(ROUNDS_MAX):
            view = await self.orchestrator.get(saga_id)
            while view.status in MOVING:
                await asyncio.sleep(0.05)
                view = await self.orchestrator.get(saga_id)
            if view.status is not SagaStatus.REQUIRES_MANUAL:
                return str(view.status)
            parked = {step.path for step in view.steps if step.status in (StepStatus.PARKED, StepStatus.OWED)}
            if "capture_payment" in parked:
                await self._settle_capture(saga_id)
            elif "reserve_courier" in parked:
                await self._settle_courier(saga_id, order_id)
            else:
                self.acts[f"retry: {', '.join(sorted(parked))}"] += 1
                _applied(await self.orchestrator.retry(saga_id, reason="the service is well again", actor=ACTOR))
        return str(view.status)

    async def _settle_capture(self, saga_id: str) -> None:
        answer = await self._desk("payment", "seal", {"saga_id": saga_id, "step": "capture_payment"})
        captured = answer.status_code == 200
        self.acts[f"resolve: the capture was {'done' if captured else 'never done'}"] += 1
        _applied(
            await self.orchestrator.resolve(
                saga_id,
                "capture_payment",
                outcome="done" if captured else "not_done",
                result=answer.json() if captured else None,
                reason="the payment service was asked, and sealed",
                actor=ACTOR,
            )
        )

    async def _settle_courier(self, saga_id: str, order_id: str) -> None:
        self._couriers += 1
        step, verbs = "reserve_courier", self.orchestrator
        match self._couriers % 3:
            case 1:
                self.acts["retry: the courier was called back"] += 1
                await self._must("recall", order_id)
                applied = await verbs.retry(saga_id, reason="the courier was called back", actor=ACTOR)
            case 2:
                self.acts["resolve: the courier's place was freed by hand"] += 1
                await self._must("free", order_id)
                applied = await verbs.resolve(saga_id, step, outcome="done", reason="freed by hand", actor=ACTOR)
            case _:
                self.acts["skip: the courier's place was written off"] += 1
                await self._must("write_off", order_id)
                applied = await verbs.skip(saga_id, step, reason="the place was written off", actor=ACTOR)
        _applied(applied)

    async def _must(self, act: str, order_id: str) -> None:
        (await self._desk("shipping", act, {"order_id": order_id})).raise_for_status()

    async def _desk(self, service: str, url: str, body: object) -> httpx2.Response:
        return await self.client.post(f"{self.urls[service]}/desk/{url}", json=body)


def _applied(applied: bool) -> None:
    """A verb that was only queued: the worker is not there, and nothing after it would be true."""
    if not applied:
        raise RuntimeError("no worker applied the verb")
