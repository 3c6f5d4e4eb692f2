"""A process whose steps are atomic: each inserts a row into the store's own file, and could not tell a repetition.

    python -m tests.processes.banking FILE [--transfers 2]

Every second transfer is refused at its last step, so that both of its rows are taken back by further rows.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sqlite3
from dataclasses import dataclass

from amends import Context, Orchestrator, Rejected, Retry, Saga, SagaFailed, step

QUICK = Retry(attempts=50, base="5ms", cap="20ms")


@dataclass
class Transfer:
    number: int


def insert(db: sqlite3.Connection, transfer: Transfer, what: str) -> None:
    db.execute("INSERT INTO moves (transfer, what) VALUES (?, ?)", (transfer.number, what))


@step(atomic=True, retry=QUICK)
def debit(transfer: Transfer, db: sqlite3.Connection) -> None:
    insert(db, transfer, "debit")


@debit.compensation(retry=QUICK)
def undo_debit(transfer: Transfer, db: sqlite3.Connection) -> None:
    insert(db, transfer, "undo debit")


@step(atomic=True, retry=QUICK)
def credit(transfer: Transfer, db: sqlite3.Connection, ctx: Context) -> None:
    insert(db, transfer, "credit")
    if ctx.attempt == 1:
        raise LookupError("the first attempt of each always fails, and must leave nothing")


@credit.compensation(retry=QUICK)
def undo_credit(transfer: Transfer, db: sqlite3.Connection) -> None:
    insert(db, transfer, "undo credit")


@step(atomic=True, retry=QUICK)
def book(transfer: Transfer, db: sqlite3.Connection) -> None:
    insert(db, transfer, "booked")
    if transfer.number % 2:
        raise Rejected("odd transfers are not booked")


transfers = Saga("transfer", debit, credit, book, input=Transfer)


async def work(path: str, count: int) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE IF NOT EXISTS moves (transfer INTEGER, what TEXT)")
    async with Orchestrator(f"sqlite:///{path}", sagas=[transfers], poll="20ms") as orchestrator:
        for number in range(count):
            saga = await orchestrator.start(transfers, Transfer(number), key=str(number))
            with contextlib.suppress(SagaFailed):
                await saga.result()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    parser.add_argument("--transfers", type=int, default=2)
    given = parser.parse_args()
    asyncio.run(work(given.path, given.transfers))


if __name__ == "__main__":
    main()
