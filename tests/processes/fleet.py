"""One worker of several on PostgreSQL, to be killed, stopped and cut off; and what they all did, to be audited.

    python -m tests.processes.fleet ADDRESS LEDGER ACKS NAME [--sagas 0] [--lease 2s] [--pause 0.01] [--ahead 0]

It starts `--sagas` sagas, some at a time, and then runs whatever there is until its standard input ends; with
`--endless` it starts more and more until a line comes there. What was acknowledged goes into ACKS: `started KEY ID`,
`ended KEY STATUS`. Effects go into LEDGER as in `worker`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import threading
import time
from itertools import count

from amends import Orchestrator, SagaFailed, StoreError
from amends.errors import StoreUnavailable
from amends.runtime.clock import SystemClock
from tests.processes.worker import PAUSE_S, Ledger, Order, saga, say


class Shifted(SystemClock):
    """A machine's clock that is wrong by some seconds."""

    def __init__(self, ahead_s: float) -> None:
        self._ahead_ms = int(ahead_s * 1_000)

    def now_ms(self) -> int:
        return super().now_ms() + self._ahead_ms


async def work(given: argparse.Namespace) -> None:
    acks = os.open(given.acks, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    enough = threading.Event()
    numbers = count() if given.endless else iter(range(given.sagas))

    async def client(orchestrator: Orchestrator) -> None:
        for number in numbers:
            if enough.is_set():
                return
            key = f"{given.name}-{number}"
            while True:
                try:
                    handle = await orchestrator.start(saga, Order(number), key=key)
                    os.write(acks, f"started {key} {handle.id}\n".encode())
                    await handle.result()
                    status = "completed"
                except SagaFailed as failed:
                    status = failed.status
                except StoreError:
                    await asyncio.sleep(0.05)
                    continue
                break
            os.write(acks, f"ended {key} {status}\n".encode())

    orchestrator = Orchestrator(
        given.address, sagas=[saga], resources=[Ledger(given.ledger)], lease=given.lease, clock=Shifted(given.ahead),
        grace="1s",
    )  # fmt: skip
    orchestrator.subscribe(lambda notice: say(notice.event), "lease.*")
    async with orchestrator:
        say("open")
        if given.endless:  # a thread of its own, and not before it is open: `run` would wait for one of the loop's
            threading.Thread(target=lambda: sys.stdin.readline() and enough.set(), daemon=True).start()
        await asyncio.gather(*(client(orchestrator) for _ in range(given.at_a_time)))
        say("done")
        await asyncio.to_thread(sys.stdin.readline)


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("address", "ledger", "acks", "name"):
        parser.add_argument(name)
    parser.add_argument("--sagas", type=int, default=0)
    parser.add_argument("--endless", action="store_true")
    parser.add_argument("--at-a-time", type=int, default=20)
    parser.add_argument("--lease", default="2s")
    parser.add_argument("--pause", type=float, default=0.01)
    parser.add_argument("--ahead", type=float, default=0.0)
    given = parser.parse_args()
    PAUSE_S[0] = given.pause
    logging.basicConfig(level=logging.INFO, filename=f"{given.acks}.{given.name}.log")
    while True:
        try:
            asyncio.run(work(given))
        except StoreUnavailable:  # when it opened: what starts services would try again, too
            time.sleep(0.1)
        except StoreError as error:
            say(f"failed {error}")
            sys.exit(3)
        else:
            return


if __name__ == "__main__":
    main()
