"""An experiment on 200 visitors: assign a variant, evaluate the flag, record it, all or nothing.

    assign → evaluate the flag → record for analytics

An experiment is spoilt by halves. A visitor who is assigned and never exposed, or exposed and never recorded, shifts
the result, and nobody notices. So the three belong together, though they are three services:

  * **assign** may meet a visitor who has a variant already, from another experiment run. Its result says whether *this*
    saga enrolled the visitor; only then is there anything to withdraw.
  * **evaluate** counts an exposure at the flag service, which a compensation retracts.
  * **record** is refused when the record does not fit the schema, and its answer may be lost like any other. A recorded
    event is never deleted: its compensation records a retraction, which the analysis subtracts.

Every service loses answers, before or after it did the work, by a seeded die. The audit at the end reads the services'
own tables: the visitors who are assigned, exposed and recorded must be the same.

    python examples/experiment.py            # leaves experiment.db and experiment-services.db where it runs
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from amends import Context, Orchestrator, Rejected, Retry, Saga, SagaCompensated, step

VISITORS = 200
EVERY_FOURTH = 4  # has been assigned before
EVERY_TENTH = 10  # is refused by the schema of analytics
LOST = 0.15  # the share of answers that are lost

# --- the services --------------------------------------------------------------------------------

SCHEMA = """
    CREATE TABLE IF NOT EXISTS assigned (visitor TEXT PRIMARY KEY, variant TEXT NOT NULL, key TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS exposed (key TEXT PRIMARY KEY, visitor TEXT NOT NULL, variant TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS recorded (key TEXT PRIMARY KEY, visitor TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS retracted (key TEXT PRIMARY KEY);
"""


class Services:
    """Three services in one file. Each writes in one statement, keyed; and each may lose an answer."""

    def __init__(self, path: str, seed: int) -> None:
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("PRAGMA synchronous = OFF")  # three services' disks would not share one either
        self.db.executescript(SCHEMA)
        self.die = random.Random(seed)

    @contextmanager
    def _network(self) -> Iterator[None]:
        if self.die.random() < LOST / 2:
            raise ConnectionError("the request was lost")
        yield
        if self.die.random() < LOST / 2:
            raise ConnectionError("the answer was lost")

    def assign(self, key: str, visitor: str) -> tuple[str, bool]:
        """The visitor's variant, and whether it was assigned under this key."""
        with self._network():
            variant = "AB"[sum(map(ord, visitor)) % 2]
            self.db.execute("INSERT INTO assigned VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (visitor, variant, key))
            row = self.db.execute("SELECT variant, key = ? FROM assigned WHERE visitor = ?", (key, visitor)).fetchone()
            return row[0], bool(row[1])

    def withdraw(self, key: str) -> None:
        with self._network():
            self.db.execute("DELETE FROM assigned WHERE key = ?", (key,))

    def expose(self, key: str, visitor: str, variant: str) -> bool:
        with self._network():
            self.db.execute("INSERT INTO exposed VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (key, visitor, variant))
            return variant == "B"

    def retract_exposure(self, key: str) -> None:
        with self._network():
            self.db.execute("DELETE FROM exposed WHERE key = ?", (key,))

    def record(self, key: str, visitor: str, number: int) -> None:
        with self._network():
            if number % EVERY_TENTH == 0:
                raise Rejected("the record does not fit the schema", conclusive=True)
            self.db.execute("INSERT INTO recorded VALUES (?, ?) ON CONFLICT DO NOTHING", (key, visitor))

    def retract_record(self, key: str) -> None:
        with self._network():
            self.db.execute("INSERT INTO retracted VALUES (?) ON CONFLICT DO NOTHING", (key,))

    def visitors(self, table: str) -> list[str]:
        """Who counts, by one service's own table."""
        query = {
            "assigned": "SELECT visitor FROM assigned WHERE key <> 'before' ORDER BY 1",
            "exposed": "SELECT visitor FROM exposed ORDER BY 1",
            "recorded": "SELECT visitor FROM recorded WHERE key NOT IN (SELECT key FROM retracted) ORDER BY 1",
        }[table]
        return [row[0] for row in self.db.execute(query)]


# --- the saga ------------------------------------------------------------------------------------


@dataclass
class Visit:
    visitor: str
    number: int


@dataclass
class Assignment:
    variant: str
    enrolled: bool


@dataclass
class Flag:
    on: bool


patient = Retry(attempts=6, base="5ms", cap="50ms")
stubborn = Retry(attempts=50, base="5ms", cap="50ms")


@step(retry=patient)
async def assign(visit: Visit, services: Services, ctx: Context) -> Assignment:
    return Assignment(*services.assign(ctx.idempotency_key, visit.visitor))


@assign.compensation(retry=stubborn)
async def withdraw(assignment: Assignment | None, services: Services, ctx: Context) -> None:
    if assignment is None or assignment.enrolled:  # not known, or by us: the key decides which
        services.withdraw(ctx.action_key)


@step(retry=patient)
async def evaluate(visit: Visit, assignment: Assignment, services: Services, ctx: Context) -> Flag:
    return Flag(services.expose(ctx.idempotency_key, visit.visitor, assignment.variant))


@evaluate.compensation(retry=stubborn)
async def retract_exposure(services: Services, ctx: Context) -> None:
    services.retract_exposure(ctx.action_key)


@step(retry=patient)
async def record(visit: Visit, services: Services, ctx: Context) -> None:
    services.record(ctx.idempotency_key, visit.visitor, visit.number)


@record.compensation(retry=stubborn)
async def retract_record(services: Services, ctx: Context) -> None:
    services.retract_record(ctx.action_key)


experiment = Saga("experiment", assign, evaluate, record, deadline="10m", result=evaluate, resources=[Services])

# --- running it ----------------------------------------------------------------------------------


async def visit(orchestrator: Orchestrator, number: int) -> str:
    saga = await orchestrator.start(experiment, Visit(f"visitor-{number:03}", number), key=f"visit-{number}")
    try:
        return "sees the new page" if (await saga.result()).on else "sees the old page"
    except SagaCompensated:
        return "is not part of it"


async def main() -> None:
    services = Services("experiment-services.db", seed=7)
    for number in range(0, VISITORS, EVERY_FOURTH):
        before = (f"visitor-{number:03}", "A", "before")
        services.db.execute("INSERT INTO assigned VALUES (?, ?, ?) ON CONFLICT DO NOTHING", before)
    async with Orchestrator("sqlite:///experiment.db", sagas=[experiment], resources=[services]) as orchestrator:
        ends = await asyncio.gather(*(visit(orchestrator, number) for number in range(VISITORS)))
    for end in sorted(set(ends)):
        print(f"{ends.count(end):4} {end}")
    assigned, exposed, recorded = (services.visitors(table) for table in ("assigned", "exposed", "recorded"))
    known = {f"visitor-{number:03}" for number in range(0, VISITORS, EVERY_FOURTH)}
    print(f"{len(exposed)} exposed, {len(recorded)} recorded, {len(assigned)} newly assigned")
    print("the same visitors:", exposed == recorded and set(assigned) == set(exposed) - known)
    services.db.close()


if __name__ == "__main__":
    asyncio.run(main())
