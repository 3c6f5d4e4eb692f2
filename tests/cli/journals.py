"""Sagas whose journals are written by hand, frame by frame, at times of our choosing.

A drawing can then be held against a golden text to the last cell: no clock and no scheduler is in it.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

from msgspec import Raw

from amends import Context, Saga, step, wait_for
from amends.core import events as ev
from amends.core.events import Frame, encode_frame
from amends.core.fold import fold_frame
from amends.core.graph import structure_of
from amends.core.state import SagaState
from amends.core.summary import fold_summary
from amends.runtime.views import history_of, view_of
from amends.stores.base import DefinitionRow, FrameRow, KeyRow
from amends.stores.sqlite import SQLiteStore

T0 = int(datetime(2026, 11, 2, 10, tzinfo=UTC).timestamp() * 1000)
DAY = 24 * 3_600_000
SECOND = 1_000


@dataclass
class Trip:
    city: str


@dataclass
class Approval:
    by: str


@step
async def book_flight(trip: Trip, ctx: Context) -> dict: ...


@book_flight.compensation
async def cancel_flight(trip: Trip, book_flight: dict | None) -> None: ...


@step
async def book_hotel(trip: Trip) -> dict: ...


@book_hotel.compensation
async def cancel_hotel(trip: Trip, book_hotel: dict | None) -> None: ...


@step
async def book_car(trip: Trip) -> dict: ...


@book_car.compensation
async def cancel_car(trip: Trip) -> None: ...


book_trip = Saga(
    "book_trip", book_flight, book_hotel, wait_for("approval", Approval), book_car, result=book_car, deadline="7d"
)
FLIGHT, HOTEL, APPROVAL, CAR = (
    book_trip.graph.find(path) for path in ("book_flight", "book_hotel", "approval", "book_car")
)


def started(saga_id, **more):
    saga = book_trip
    fields = {"input": Raw(b'{"city":"Lisbon"}'), "deadline": T0 + 7 * DAY, "deadline_ms": 7 * DAY, **more}
    return ev.Started(saga_id, saga.name, saga.version, saga.fingerprint, **fields)


def _forward():
    """A flight at once, a hotel at the second attempt."""
    return [
        (5, [ev.Began(), ev.ActionStarted(FLIGHT)]),
        (1_005, [ev.ActionSucceeded(FLIGHT, Raw(b'{"seat":"12A"}')), ev.ActionStarted(HOTEL)]),
        (1_505, [ev.ActionUnknown(HOTEL, "TimeoutError", "timeout"), ev.RetryScheduled(HOTEL, T0 + 2_005, 500)]),
        (2_005, [ev.ActionStarted(HOTEL)]),
        (2_805, [ev.ActionSucceeded(HOTEL, Raw(b'{"room":4}')), ev.WaitStarted(APPROVAL)]),
    ]


def completed():
    """Approved after a day."""
    return [
        (0, [started("01COMPLETED", key="lisbon", correlation={"customer": "ada"})]),
        *_forward(),
        (
            DAY,
            [
                ev.SignalReceived("approval", Raw(b'{"by":"eve"}')),
                ev.WaitSatisfied(APPROVAL),
                ev.ActionStarted(CAR),
            ],
        ),
        (DAY + 600, [ev.ActionSucceeded(CAR, Raw(b'{"plate":"X"}')), ev.Completed()]),
    ]


def _rejected():
    """Approved after two seconds, and then there is no car."""
    return [
        *_forward(),
        (
            4_805,
            [
                ev.SignalReceived("approval", Raw(b'{"by":"eve"}')),
                ev.WaitSatisfied(APPROVAL),
                ev.ActionStarted(CAR),
            ],
        ),
        (
            5_105,
            [
                ev.ActionRejected(CAR, "no cars in Venice"),
                ev.StepRejected(CAR),
                ev.TurnedBack("rejected", CAR, "no cars in Venice"),
                ev.CompensationStarted(HOTEL),
            ],
        ),
    ]


def compensated():
    """The hotel's undo needed two attempts."""
    return [
        (0, [started("01COMPENSATED")]),
        *_rejected(),
        (
            5_405,
            [
                ev.CompensationFailed(HOTEL, "ConnectionError: gone"),
                ev.CompensationRetryScheduled(HOTEL, T0 + 5_805, 400),
            ],
        ),
        (5_805, [ev.CompensationStarted(HOTEL)]),
        (6_005, [ev.CompensationSucceeded(HOTEL), ev.CompensationStarted(FLIGHT)]),
        (6_405, [ev.CompensationSucceeded(FLIGHT), ev.Compensated()]),
    ]


def requires_manual():
    """The hotel refuses to be undone."""
    return [
        (0, [started("01MANUAL")]),
        *_rejected(),
        (
            5_405,
            [
                ev.CompensationRefused(HOTEL, "the guest has checked in"),
                ev.StepOwed(HOTEL, "refused", "the guest has checked in"),
                ev.CompensationStarted(FLIGHT),
            ],
        ),
        (5_705, [ev.CompensationSucceeded(FLIGHT), ev.RequiresManual()]),
    ]


def frames_of(journal):
    return [Frame(1, T0 + at, events) for at, events in journal]


def folded(journal):
    """(state, view, history) of a journal, through the real fold."""
    frames = frames_of(journal)
    state, summary = SagaState(book_trip.graph), None
    paths = [node.path for node in book_trip.graph.nodes]
    for seq, frame in enumerate(frames, 1):
        fold_frame(state, frame)
        summary = fold_summary(summary, frame.events[0].saga_id if seq == 1 else summary.saga_id, frame, seq, paths)
    return state, view_of(summary, state, None), history_of(state.path_of, list(enumerate(frames, 1)))


def write(path, *journals):
    """Put journals into a database file, as an orchestrator would have left them."""
    asyncio.run(_write(path, journals))


async def _write(path, journals):
    from amends.stores.base import Batch, Owner

    store = SQLiteStore(path)
    await store.open()
    saga = book_trip
    await store.register([DefinitionRow(saga.name, saga.version, saga.fingerprint, structure_of(saga.graph))])
    lease = await store.acquire(Owner("a test"), ttl_ms=10_000, now=T0)
    batch = Batch(1)
    for journal in journals:
        first = journal[0][1][0]
        batch.opened.append(first.saga_id)
        if first.key:
            batch.keys.append(KeyRow(first.name, first.key, first.saga_id, "-"))
        for seq, (at, events) in enumerate(journal, 1):
            batch.frames.append(FrameRow(first.saga_id, seq, encode_frame(T0 + at, events)))
    await store.commit(lease, batch)
    await store.release(lease)
    store.close()
