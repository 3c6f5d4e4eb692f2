"""A process that runs sagas, to be killed, stopped and cut off from its disk; and what they did, to be audited.

    python -m tests.processes.worker STORE LEDGER ACKS [--sagas 2] [--lease 10s] [--pause 0]

It starts the sagas `order-0`, `order-1`, ... one after the other (every second one is refused at its third
step), and notes in ACKS what was acknowledged: `started KEY ID`, `ended KEY STATUS`. The effects go
into LEDGER, a participant's database behind a barrier; nothing there is fsynced, for it stands for
another machine.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import sys
from dataclasses import dataclass
from typing import Any

from amends import Context, Orchestrator, Rejected, Retry, Saga, SagaFailed, StoreError, step
from amends.participant import Guard, create_schema

QUICK = Retry(attempts=50, base="5ms", cap="20ms")


@dataclass
class Order:
    number: int


class Ledger:
    """The participant: one row per effect, written in the transaction of the barrier."""

    def __init__(self, path: str) -> None:
        self.db = sqlite3.connect(path, isolation_level=None, timeout=10)
        self.db.execute("PRAGMA synchronous = OFF")
        self.db.execute("PRAGMA journal_mode = WAL")
        create_schema(self.db)
        self.db.execute("CREATE TABLE IF NOT EXISTS effects (saga_id TEXT, step TEXT, op TEXT, pid INTEGER)")

    def effect(self, ctx: Context, refuse: str = "") -> None:
        """Take effect once; `refuse` is kept as a refusal."""
        guard = Guard.from_headers(ctx.headers())
        with guard.sqlite3(self.db) as go:
            if go.run and refuse:
                go.refuse(409, {"reason": refuse})
            elif go.run:
                row = (ctx.saga_id, ctx.step, guard.op, os.getpid())
                self.db.execute("INSERT INTO effects VALUES (?, ?, ?, ?)", row)
        if go.stored.status == 409:
            raise Rejected(go.stored.body["reason"], conclusive=True)


PAUSE_S = [0.0]


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def action(name: str) -> Any:
    @step(name=name, timeout=20, retry=QUICK)
    async def act(order: Order, ctx: Context, ledger: Ledger) -> str:
        ledger.effect(ctx, refuse="odd" if name == "c" and order.number % 2 else "")
        if PAUSE_S[0]:
            say(f"in {name}")
            await asyncio.sleep(PAUSE_S[0])
        return ctx.idempotency_key

    @act.compensation(timeout=20, retry=QUICK)
    async def undo(order: Order, ctx: Context, ledger: Ledger) -> None:
        ledger.effect(ctx)

    return act


STEPS = ("a", "b", "c", "d")
saga = Saga("processes", *(action(name) for name in STEPS), input=Order, resources=[Ledger])


async def work(given: argparse.Namespace) -> None:
    acks = os.open(given.acks, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    orchestrator = Orchestrator(
        f"sqlite:///{given.store}", sagas=[saga], resources=[Ledger(given.ledger)], lease=given.lease, poll="20ms"
    )
    orchestrator.subscribe(lambda notice: say(notice.event), "lease.*")
    async with orchestrator:
        for number in range(given.sagas):
            handle = await orchestrator.start(saga, Order(number), key=f"order-{number}")
            os.write(acks, f"started order-{number} {handle.id}\n".encode())
            try:
                await handle.result()
                status = "completed"
            except SagaFailed as failed:
                status = failed.status
            os.write(acks, f"ended order-{number} {status}\n".encode())
        say("ready")
        if given.stay:
            await asyncio.to_thread(sys.stdin.readline)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("store")
    parser.add_argument("ledger")
    parser.add_argument("acks")
    parser.add_argument("--sagas", type=int, default=2)
    parser.add_argument("--lease", default="10s")
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--stay", action="store_true")
    given = parser.parse_args()
    PAUSE_S[0] = given.pause
    try:
        asyncio.run(work(given))
    except StoreError as error:
        say(f"failed {error.code}")
        sys.exit(3)


if __name__ == "__main__":
    main()
