"""What a saga was started with finds it again: in lists, logs, notices, headers and contexts, on every kind of call."""

from __future__ import annotations

import logging
from urllib.parse import unquote

from amends import Context, Orchestrator, Rejected, Retry, Saga, step
from amends.observe.logging import LoggingSubscriber
from tests.runtime.stage import Ground, scene

LABELS = {"customer": "Ännchen, 50%=halb", "order no": "a\tb"}
ONCE = Retry(attempts=1, base="1ms")


def made(seen):
    def look(what, ctx: Context):
        headers = ctx.headers()
        pairs = [pair.split("=") for pair in headers["Saga-Correlation"].split(",")]
        assert all(value.isascii() and value.isprintable() for value in headers.values())
        seen.append((what, dict(ctx.correlation), {unquote(key): unquote(value) for key, value in pairs}))
        ctx.log.warning("%s is here", what)

    @step(retry=ONCE)
    async def book(seat: str, ctx: Context) -> str:
        look("action", ctx)
        raise RuntimeError("the answer is lost")

    @book.probe
    async def find(seat: str, ctx: Context) -> str | None:
        look("probe", ctx)
        return seat

    @book.compensation
    async def unbook(seat: str, ctx: Context) -> None:
        look("compensation", ctx)

    @step(retry=ONCE)
    async def pay(seat: str) -> None:
        raise Rejected("no money")

    @step
    async def tell(seat: str, ctx: Context) -> None:
        look("follow-up", ctx)

    return Saga("trip", book, pay, on_compensated=[tell])


@scene
async def test_contexts_and_headers_of_every_call_carry_it():
    seen = []
    async with Orchestrator("sqlite://", sagas=[made(seen)]) as orchestrator:
        await orchestrator.start("trip", "12A", correlation=LABELS)
        await orchestrator.drain()
    assert seen == [(what, LABELS, LABELS) for what in ("action", "probe", "compensation", "follow-up")]


@scene
async def test_it_is_indexed_and_found_by_filters_of_every_process_also_after_a_restart(tmp_path):
    ground = Ground(tmp_path / "a.db")
    async with ground.orchestrator(made([])) as leader, ground.orchestrator(worker=False) as looker:
        found = await leader.start("trip", "12A", correlation=LABELS)
        await leader.start("trip", "12B", correlation={"customer": "Ännchen"})
        await leader.drain()
        text = 'customer:"Ännchen, 50%=halb" correlation."order no":"a\tb"'
        for each in (leader, looker):
            assert [view.id async for view in each.list(text)] == [found.id]
            assert [view.correlation async for view in each.list(correlation=LABELS)] == [LABELS]
            assert await each.count("customer:Ännchen*") == 2
    async with ground.orchestrator(worker=False) as later:
        assert [view.id async for view in later.list(text)] == [found.id]
        assert (await later.get(found.id)).correlation == LABELS


@scene
async def test_records_of_notices_and_of_ctx_log_bear_the_same_fields():
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append
    logger = logging.getLogger("amends")
    logger.addHandler(handler)
    try:
        async with Orchestrator("sqlite://", sagas=[made([])]) as orchestrator:
            orchestrator.subscribe(LoggingSubscriber())
            logger.setLevel(logging.DEBUG)
            handle = await orchestrator.start("trip", "12A", correlation=LABELS)
            await orchestrator.drain()
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    of_it = [record for record in records if getattr(record, "saga", "") == handle.id]
    assert {record.name for record in of_it} == {"amends", "amends.saga.trip"}
    assert all(record.correlation == LABELS and record.saga_name == "trip" for record in of_it)
    own = [record for record in of_it if record.name == "amends.saga.trip"]
    assert [(record.getMessage(), record.step, record.attempt) for record in own] == [
        ("action is here", "book", 1),
        ("probe is here", "book", 1),
        ("compensation is here", "book", 1),
        ("follow-up is here", "tell", 1),
    ]
