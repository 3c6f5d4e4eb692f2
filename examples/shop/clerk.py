"""The clerk: a person who acts on orders without asking any saga.

    python -m examples.shop.clerk --payment URL --shipping URL --seed N

Again and again the clerk looks at what is reserved and booked right now, refunds part of some payments
and sends some couriers off early. Which orders are touched is drawn from the seed and the order's id;
when depends on what is on the desk at that moment. One line of JSON is printed for each act.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random

import httpx2

from .orphans import end_with_parent

REFUNDS = 0.10
DISPATCHES = 0.10
LOOKS_EVERY_S = 0.1


async def work(client: httpx2.AsyncClient, payment: str, shipping: str, seed: int) -> None:
    """Work until cancelled."""
    refunded: set[str] = set()
    dispatched: set[str] = set()
    while True:
        await asyncio.sleep(LOOKS_EVERY_S)
        try:
            await _refund_some(client, payment, seed, refunded)
            await _dispatch_some(client, shipping, seed, dispatched)
        except httpx2.TransportError:
            continue  # the service is down or was killed: whatever did not happen, does not happen


async def _refund_some(client: httpx2.AsyncClient, payment: str, seed: int, refunded: set[str]) -> None:
    for row in (await client.post(f"{payment}/desk/reserved", json={})).json()["payments"]:
        order_id = row["order_id"]
        draw = random.Random(f"{seed} refund {order_id}")
        if order_id in refunded or draw.random() >= REFUNDS:
            continue
        refunded.add(order_id)
        amount = max(1, int(row["amount_cents"] * draw.uniform(0.1, 0.6)))
        answer = await client.post(f"{payment}/desk/refund", json={"order_id": order_id, "amount_cents": amount})
        _tell("refund", order_id, answer)


async def _dispatch_some(client: httpx2.AsyncClient, shipping: str, seed: int, dispatched: set[str]) -> None:
    for order_id in (await client.post(f"{shipping}/desk/booked", json={})).json()["orders"]:
        if order_id in dispatched or random.Random(f"{seed} dispatch {order_id}").random() >= DISPATCHES:
            continue
        dispatched.add(order_id)
        _tell("dispatch", order_id, await client.post(f"{shipping}/desk/dispatch", json={"order_id": order_id}))


def _tell(what: str, order_id: str, answer: httpx2.Response) -> None:
    if answer.status_code == 200:
        print(json.dumps({"clerk": what, "order": order_id}), flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser(description="a clerk who acts on their own")
    parser.add_argument("--payment", required=True)
    parser.add_argument("--shipping", required=True)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    end_with_parent()
    async with httpx2.AsyncClient(timeout=5) as client:
        await work(client, given.payment, given.shipping, given.seed)


if __name__ == "__main__":
    asyncio.run(main())
