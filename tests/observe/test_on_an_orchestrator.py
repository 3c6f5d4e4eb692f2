"""What a subscriber hears of a real run, in which order."""

import asyncio
import contextlib
from dataclasses import dataclass

import pytest

from amends import Orchestrator, Rejected, Saga, SagaCompensated, step
from amends.observe import LoggingSubscriber, Notice


@dataclass
class Trip:
    city: str


@step
async def book(trip: Trip) -> str:
    return trip.city


@book.compensation
async def unbook(trip: Trip) -> None: ...


@step(read_only=True)
async def check(trip: Trip) -> None:
    if trip.city == "Venice":
        raise Rejected("no cars")


saga = Saga("trip", book, check, version=2)


def hear(city: str, *patterns: str) -> list[Notice]:
    told: list[Notice] = []

    async def run() -> None:
        orchestrator = Orchestrator("sqlite://", sagas=[saga])
        orchestrator.subscribe(told.append, *patterns)
        async with orchestrator:
            handle = await orchestrator.start(saga, Trip(city), correlation={"customer": "ada"})
            with contextlib.suppress(SagaCompensated):
                await handle.result()

    asyncio.run(run())
    return told


def test_a_saga_that_completes_is_heard_from_its_start_to_its_end():
    told = hear("Lisbon")
    assert [it.event for it in told] == [
        "lease.acquired",
        "orchestrator.started",
        "saga.started",
        "saga.began",
        "step.started",
        "step.succeeded",
        "step.started",
        "step.succeeded",
        "saga.ended",
        "lease.released",
        "orchestrator.stopped",
    ]
    assert {(it.name, it.version, it.correlation["customer"]) for it in told if it.saga_id} == {("trip", 2, "ada")}
    assert told[-3].details == {"status": "completed"}


def test_a_saga_that_turns_back_says_why_and_what_it_made_good():
    told = hear("Venice", "saga.*", "step.rejected", "compensation.*")
    assert [(it.event, it.step, it.error) for it in told][2:] == [
        ("step.rejected", "check", "no cars"),
        ("saga.turned_back", "check", "no cars"),
        ("compensation.started", "book", ""),
        ("compensation.succeeded", "book", ""),
        ("saga.ended", "", ""),
    ]
    assert told[-1].details == {"status": "compensated"}


def test_the_log_of_a_run_can_be_filtered_by_saga_and_step(caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO", logger="amends")

    async def run() -> str:
        orchestrator = Orchestrator("sqlite://", sagas=[saga])
        orchestrator.subscribe(LoggingSubscriber())
        async with orchestrator:
            handle = await orchestrator.start(saga, Trip("Lisbon"))
            await handle.result()
            return handle.id

    saga_id = asyncio.run(run())
    about = [record for record in caplog.records if getattr(record, "saga", "") == saga_id]
    assert [(record.event, record.step) for record in about] == [
        ("saga.started", ""),
        ("step.succeeded", "book"),
        ("step.succeeded", "check"),
        ("saga.ended", ""),
    ]
