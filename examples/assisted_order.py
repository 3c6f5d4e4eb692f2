"""An order that a model helps with: validate, recommend, reserve, pay, deliver.

    validate (read-only) → recommend (best effort) → reserve stock → pay (the pivot) → deliver (retriable)

Each step is of another kind, and each service fails in the way in which such services fail:

  * **The model** is slow. It opens a tracking session as soon as it is asked, and answers later, or never. A
    recommendation is no reason to lose an order, so the step is `best_effort`: without an answer in time the saga
    passes it, its result None. It has a compensation all the same: an order that turns back leaves no session open,
    not even one of which nobody knows whether it was opened.
  * **The stock** is reserved under the step's key and released by it.
  * **The bank** may charge and lose the answer. Paying is the pivot: it is asked again under the same key until it is
    certain. When it declines, the stock is released and the tracking cancelled.
  * **The courier** hangs up. Delivery comes after the pivot, so it is repeated until it succeeds.

Run it twice: the second time nothing happens, for each order has its key.

    python examples/assisted_order.py        # leaves assisted_order.db and assisted_order.jsonl where it runs
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from amends import Context, Orchestrator, Rejected, Retry, Saga, SagaCompensated, step

BOOKS = Path("assisted_order.jsonl")  # what the services did, a line each

# --- the services --------------------------------------------------------------------------------


class Service:
    """What all of them do: recognise a key, and write each effect into the books. It stands in for their databases."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.calls: Counter[str] = Counter()

    def once(self, key: str, what: str) -> bool:
        """Whether `what` is new under this key; it is in the books then."""
        if key in self.known:
            return False
        self.known[key] = what
        write(key, what)
        return True

    def undo(self, key: str, what: str) -> None:
        """Undo what was done under the key, if anything was, and bar the key for good."""
        done = self.known.get(key)
        self.known[key] = "barred"
        if done not in (None, "barred"):
            write(key, what)


def write(key: str, what: str) -> None:
    with BOOKS.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"what": what, "key": key}) + "\n")


class Model(Service):
    async def recommend(self, key: str, buyer: str) -> str:
        self.once(key, "tracking opened")
        self.calls[buyer] += 1
        # Ada's first question is answered too late; Cleo's and Eve's never.
        slow = buyer in {"cleo", "eve"} or (buyer == "ada" and self.calls[buyer] == 1)
        await asyncio.sleep(60 if slow else 0.01)
        return "a case for it"


class Stock(Service):
    def reserve(self, key: str, items: int) -> None:
        self.once(key, f"reserved {items}")


class Bank(Service):
    def charge(self, key: str, buyer: str, cents: int) -> None:
        if buyer in {"bob", "eve"}:
            raise Rejected("card declined")
        self.once(key, f"charged {cents}")
        self.calls[buyer] += 1
        if buyer == "dan" and self.calls[buyer] <= 2:
            raise ConnectionResetError("no answer")  # charged, but who is to know?


class Courier(Service):
    def deliver(self, key: str, buyer: str) -> str:
        self.calls[buyer] += 1
        if buyer == "dan" and self.calls[buyer] <= 6:
            raise ConnectionRefusedError("nobody picks up")
        self.once(key, "delivered")
        return f"parcel-{buyer}"


# --- the saga ------------------------------------------------------------------------------------


@dataclass
class Order:
    buyer: str
    sku: str
    cents: int


@dataclass
class Recommendation:
    item: str


quick = Retry(attempts=2, base="10ms")


@step(read_only=True)
async def validate(order: Order) -> None:
    if order.cents <= 0:
        raise Rejected("an order has a price")


@step(best_effort=True, timeout="250ms", retry=quick)
async def recommend(order: Order, model: Model, ctx: Context) -> Recommendation:
    return Recommendation(await model.recommend(ctx.idempotency_key, order.buyer))


@recommend.compensation
async def cancel_tracking(model: Model, ctx: Context) -> None:
    # By the key: the recommendation may never have come, and its session be open nevertheless.
    model.undo(ctx.action_key, "tracking cancelled")


@step(retry=quick)
async def reserve_stock(order: Order, recommendation: Recommendation | None, stock: Stock, ctx: Context) -> int:
    items = 2 if recommendation else 1
    stock.reserve(ctx.idempotency_key, items)
    return items


@reserve_stock.compensation
async def release_stock(stock: Stock, ctx: Context) -> None:
    stock.undo(ctx.action_key, "released")


@step(pivot=True, retry=quick)
async def pay(order: Order, bank: Bank, ctx: Context) -> None:
    bank.charge(ctx.idempotency_key, order.buyer, order.cents)


@step(retriable=True, retry=quick)
async def deliver(order: Order, courier: Courier, ctx: Context) -> str:
    return courier.deliver(ctx.idempotency_key, order.buyer)


assisted_order = Saga(
    "assisted_order",
    validate,
    recommend,
    reserve_stock,
    pay,
    deliver,
    deadline="1h",
    resources=[Model, Stock, Bank, Courier],
)

# --- running it ----------------------------------------------------------------------------------

ORDERS = {
    "ada": "all goes well, though the model's first answer is late",
    "bob": "the card is declined",
    "cleo": "the model never answers",
    "dan": "the bank loses two answers, the courier hangs up six times",
    "eve": "the model never answers, and the card is declined",
}


def books() -> dict[str, list[str]]:
    """What the services did, by saga."""
    found: dict[str, list[str]] = {}
    for line in BOOKS.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found.setdefault(row["key"].partition("/")[0], []).append(row["what"])
    return found


async def main() -> None:
    services = [Model(), Stock(), Bank(), Courier()]
    async with Orchestrator("sqlite:///assisted_order.db", sagas=[assisted_order], resources=services) as orchestrator:
        for buyer, story in ORDERS.items():
            saga = await orchestrator.start(assisted_order, Order(buyer, "phone", 300_00), key=f"order-{buyer}")
            try:
                end = f"delivered as {await saga.result()}"
            except SagaCompensated as error:
                end = f"not delivered, nothing left behind: {error.cause}"
            print(f"{buyer}: {story}")
            print(f"  {', '.join(books()[saga.id])}")
            print(f"  {end}")


if __name__ == "__main__":
    asyncio.run(main())
