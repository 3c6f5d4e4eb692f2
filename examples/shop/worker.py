"""The orchestrator of the shop, as a process that may be killed at any moment and started again.

    python -m examples.shop.worker --store sqlite:///... --urls JSON --orders FILE [--in-flight 100]

It starts a saga for every order, under the order's id as the key, so that after a kill the same file
can simply be given again: what was started is found, what had ended is reported once more. An approver
signals, a moment after the start, those orders that are over the limit: most are approved, some are
not, and some are forgotten. When every order has ended or stands in `requires_manual`, it says so, and
goes on, sending mails and applying operators' verbs, until it is told to stop (SIGTERM).

One line of JSON is printed for each order, and one with `"ready"` when all have been reported.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
from typing import Any

from amends import Conflict, Orchestrator, SagaFailed

from .model import Approval, Order
from .orders import read_file
from .orphans import end_with_parent
from .saga import Shop, over_limit, place_order


class Approver:
    """Decides on orders over the limit, by seed and order id; a repeated signal counts once."""

    def __init__(self, orchestrator: Orchestrator, seed: int) -> None:
        self.orchestrator = orchestrator
        self.seed = seed

    async def decide(self, order: Order, saga_id: str) -> None:
        draw = random.Random(f"{self.seed} approve {order.order_id}")
        chance, delay = draw.random(), draw.uniform(0.1, 1.0)
        if chance < 0.15:
            return  # forgotten: the wait times out, and the saga turns back
        await asyncio.sleep(delay)
        approval = Approval(approved=chance >= 0.4, by="the approver")
        try:
            await self.orchestrator.signal(saga_id, "approval", approval, id=f"approval-{order.order_id}")
        except Conflict:
            return  # it ended before; a refused card needs no approval


async def run_order(orchestrator: Orchestrator, approver: Approver, order: Order) -> None:
    """One order from its start to its end, or to where a person is needed."""
    saga = await orchestrator.start(
        place_order, order, key=order.order_id, correlation={"order": order.order_id, "customer": order.customer}
    )
    approving = asyncio.create_task(approver.decide(order, saga.id)) if over_limit(order) else None
    try:
        await saga.result()
        status = "completed"
    except SagaFailed as failed:
        status = failed.status
    if approving is not None:
        await approving  # a signal that fails for another reason than coming too late must be seen
    tell(order=order.order_id, saga=saga.id, status=status)


async def run_orders(orchestrator: Orchestrator, orders: list[Order], seed: int, in_flight: int) -> None:
    """All orders, started in the file's order, `in_flight` at a time."""
    free = asyncio.Semaphore(in_flight)
    approver = Approver(orchestrator, seed)

    async def run(order: Order) -> None:
        try:
            await run_order(orchestrator, approver, order)
        finally:
            free.release()

    async with asyncio.TaskGroup() as group:
        for order in orders:
            await free.acquire()
            group.create_task(run(order))


def tell(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


async def work(given: argparse.Namespace) -> None:
    shop = Shop(json.loads(given.urls))
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    async with Orchestrator(given.store, sagas=[place_order], resources=[shop]) as orchestrator:
        await run_orders(orchestrator, read_file(given.orders).orders, given.seed, given.in_flight)
        tell(ready=True)
        await stopping.wait()
    await shop.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description="the shop's orchestrator")
    parser.add_argument("--store", required=True)
    parser.add_argument("--urls", required=True, help="JSON: service -> address")
    parser.add_argument("--orders", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--in-flight", type=int, default=100)
    given = parser.parse_args()
    end_with_parent()
    asyncio.run(work(given))


if __name__ == "__main__":
    main()
