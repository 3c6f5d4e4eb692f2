"""A saga over 1,000 items: a company sends each of its people a voucher, or nobody gets one.

    approve the list → for each person, fifty at a time: reserve a voucher → activate it → book the sum (the pivot)

`each` runs its nodes once per item, and every item's steps have keys of their own (`activate[637]`). A list is as good
as its worst line: in the second batch the bank refuses one person, when some hundreds of vouchers are active already.
The saga turns back, and each of those is voided; those that had not begun never do. One answer in twenty is lost, so
some outcomes may be unknown when the saga turns back: they are voided by their key.

    python examples/thousand.py              # leaves thousand.db and thousand.jsonl where it runs
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass
from pathlib import Path

from amends import Context, Orchestrator, Rejected, Retry, Saga, SagaCompensated, each, step

PEOPLE = 1_000
AT_A_TIME = 50
LOST = 0.05  # the share of answers that are lost
BOOKS = Path("thousand.jsonl")  # what the bank did, a line each

# --- the bank ------------------------------------------------------------------------------------


class Bank:
    """Vouchers by the key of the step that made them; it loses answers by a seeded die."""

    def __init__(self, seed: int) -> None:
        self.reserved: set[str] = set()
        self.active: set[str] = set()
        self.barred: set[str] = set()
        self.die = random.Random(seed)
        self.books = BOOKS.open("a", encoding="utf-8")

    def _write(self, what: str, key: str) -> None:
        self.books.write(json.dumps({"what": what, "key": key}) + "\n")
        self.books.flush()

    def reserve(self, key: str) -> None:
        if key not in self.reserved | self.barred:
            self.reserved.add(key)
        self._maybe_lose()

    def release(self, key: str) -> None:
        self.reserved.discard(key)
        self.barred.add(key)

    def activate(self, key: str, person: str) -> None:
        if person == "nobody":
            raise Rejected("the bank knows no such person")
        if key not in self.active | self.barred:
            self.active.add(key)
            self._write("activated", key)
        self._maybe_lose()

    def void(self, key: str) -> None:
        if key in self.active:
            self.active.remove(key)
            self._write("voided", key)
        self.barred.add(key)

    def _maybe_lose(self) -> None:
        if self.die.random() < LOST:
            raise ConnectionError("no answer")


# --- the saga ------------------------------------------------------------------------------------


@dataclass
class Batch:
    occasion: str
    people: list[str]


@dataclass
class Voucher:
    person: str
    key: str


quick = Retry(attempts=4, base="5ms", cap="20ms")


@step(read_only=True)
async def approve(batch: Batch) -> None:
    if not batch.people:
        raise Rejected("there is nobody on the list")


def people(batch: Batch) -> list[str]:
    return batch.people


@step(retry=quick)
async def reserve(item: str, bank: Bank, ctx: Context) -> str:
    bank.reserve(ctx.idempotency_key)
    return ctx.idempotency_key


@reserve.compensation
async def release(bank: Bank, ctx: Context) -> None:
    bank.release(ctx.action_key)


@step(retry=quick)
async def activate(item: str, bank: Bank, ctx: Context) -> Voucher:
    bank.activate(ctx.idempotency_key, item)
    return Voucher(item, ctx.idempotency_key)


@activate.compensation
async def void(bank: Bank, ctx: Context) -> None:
    bank.void(ctx.action_key)


@step(pivot=True)
async def book(activate: list[Voucher]) -> int:
    return len(activate)


thank_everybody = Saga(
    "thank_everybody",
    approve,
    each(people, reserve, activate, item=str, limit=AT_A_TIME),
    book,
    resources=[Bank],
)

# --- running it ----------------------------------------------------------------------------------


async def main() -> None:
    bank = Bank(seed=3)
    everybody = [f"person-{number:04}" for number in range(PEOPLE)]
    with_a_mistake = [*everybody[:637], "nobody", *everybody[638:]]
    async with Orchestrator("sqlite:///thousand.db", sagas=[thank_everybody], resources=[bank]) as orchestrator:
        for occasion, names in (("anniversary", everybody), ("midsummer", with_a_mistake)):
            began = time.perf_counter()
            before = len(bank.active)
            saga = await orchestrator.start(thank_everybody, Batch(occasion, names), key=occasion)
            try:
                print(f"{occasion}: {await saga.result()} vouchers")
            except SagaCompensated as end:
                print(f"{occasion}: nobody, for {end.cause}")
            seconds = time.perf_counter() - began
            print(f"  {len(bank.active) - before:+} active, {seconds:.2f} s")
    bank.books.close()


if __name__ == "__main__":
    asyncio.run(main())
