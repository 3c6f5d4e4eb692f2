"""Several workers on one store, in one process: how shards are divided, moved and recovered, and by which clock."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from amends import Context, Orchestrator, Saga, step, wait_for
from amends.core.shards import SHARDS, shard_of
from amends.errors import StoreUnavailable
from amends.runtime.clock import StoreTime, SystemClock
from amends.stores.base import Batch, FrameRow, Lease
from amends.stores.owner import this_process
from amends.stores.postgres import PostgresStore
from tests.runtime.stage import until
from tests.servers.postgres import Databases


@dataclass
class Go:
    by: str = "ann"


def saga(calls: list[str], tag: str, *, pause: float = 0.0) -> Saga[Any, Any]:
    @step(name="work")
    async def work(order: dict, ctx: Context) -> str:
        calls.append(f"{tag} {ctx.attempt}")
        await asyncio.sleep(pause)
        return tag

    @work.compensation
    async def undo(order: dict) -> None: ...

    return Saga("shared", work, input=dict)


def shards(orchestrator: Orchestrator) -> int:
    engine = orchestrator._leader.engine
    return 0 if engine is None else len(engine.shards)


@pytest.fixture
def address(postgres: Databases) -> str:
    return postgres.new()


def test_shares_follow_who_comes_and_goes_and_their_sum_is_always_all(address):
    async def main() -> None:
        async with Orchestrator(address, sagas=[saga([], "a")]) as one:
            assert shards(one) == SHARDS
            async with Orchestrator(address, sagas=[saga([], "b")]) as two:
                await until(lambda: (shards(one), shards(two)) == (32, 32))
                async with Orchestrator(address, sagas=[saga([], "c")]) as three:
                    await until(lambda: sorted(map(shards, (one, two, three))) == [20, 22, 22])
                await until(lambda: (shards(one), shards(two)) == (32, 32))
            await until(lambda: shards(one) == SHARDS)

    asyncio.run(main())


def test_shards_move_while_there_is_never_a_moment_of_rest(address):
    async def main() -> None:
        here = saga([], "one")
        async with Orchestrator(address, sagas=[here]) as one:

            async def client() -> None:
                while True:
                    handle = await one.start(here, {})
                    await handle.result()

            async with asyncio.timeout(20):
                clients = [asyncio.ensure_future(client()) for _ in range(300)]
                await asyncio.sleep(0.3)
                async with Orchestrator(address, sagas=[saga([], "two")]) as two:
                    await until(lambda: (shards(one), shards(two)) == (32, 32))
                    assert not one._leader.engine.committer.idle
                    for task in clients:
                        task.cancel()
                    await asyncio.gather(*clients, return_exceptions=True)
            assert one._leader.engine.lease.epoch == 1  # nothing was written where another writes

    asyncio.run(main())


def test_a_worker_starts_sagas_where_it_already_writes(address):
    async def main() -> None:
        calls: list[str] = []
        here = saga(calls, "one")
        async with (
            Orchestrator(address, sagas=[here]) as one,
            Orchestrator(address, sagas=[saga(calls, "two")]) as two,
        ):
            await until(lambda: (shards(one), shards(two)) == (32, 32))
            handles = [await one.start(here, {}) for _ in range(80)]
            assert {await handle.result() for handle in handles} == {"one"}
            mine = set(one._leader.engine.shards)
            assert {shard_of(handle.id) for handle in handles} == mine
        assert set(calls) == {"one 1"}

    asyncio.run(main())


def test_a_verb_reaches_the_worker_that_runs_the_saga_whoever_is_asked(address):
    waits = Saga("waits", wait_for("go", Go), input=dict)

    async def main() -> None:
        async with Orchestrator(address, sagas=[waits]) as one, Orchestrator(address, sagas=[waits]) as two:
            await until(lambda: (shards(one), shards(two)) == (32, 32))
            for asked, other in ((one, two), (two, one)):
                handle = await other.start(waits, {})
                assert await asked.signal(handle.id, "go", Go("bob")) is True
                assert await asyncio.wait_for(asked.handle(handle.id).result(), 5) == Go("bob")

    asyncio.run(main())


def test_calls_of_shards_that_move_may_end_and_those_that_do_not_are_repeated_elsewhere(address):
    async def main() -> None:
        calls: list[str] = []
        slow = saga(calls, "one", pause=0.4)
        async with Orchestrator(address, sagas=[slow], lease="9s") as one:
            handles = [await one.start(slow, {}) for _ in range(64)]
            await until(lambda: len(calls) == 64)
            async with Orchestrator(address, sagas=[saga(calls, "two")]) as two:
                await until(lambda: shards(two) == 32)
                for handle in handles:
                    assert await asyncio.wait_for(two.handle(handle.id).result(), 5) == "one"
        assert calls == ["one 1"] * 64  # all had their time

        calls.clear()
        stuck = saga(calls, "one", pause=60)
        async with Orchestrator(address, sagas=[stuck], lease="900ms", grace="0s") as one:
            handles = [await one.start(stuck, {}) for _ in range(64)]
            await until(lambda: len(calls) == 64)
            async with Orchestrator(address, sagas=[saga(calls, "two")], lease="900ms") as two:
                await until(lambda: shards(two) == 32)
                moved = [each for each in handles if two._leader.engine.runs(each.id)]
                for handle in moved:
                    assert await asyncio.wait_for(one.handle(handle.id).result(), 5) == "two"
        assert len(moved) > 10
        assert calls.count("two 2") >= len(moved)  # under the same key, as the second attempt

    asyncio.run(main())


def test_what_others_start_while_a_transaction_is_open_is_taken_up_and_so_is_that_one(address):
    async def main() -> None:
        here = saga([], "one")
        async with (
            Orchestrator(address, sagas=[here]) as one,
            Orchestrator(address, sagas=[here], worker=False) as other,
        ):
            with psycopg.connect(address) as db:
                late = await other.start(here, {}, transaction=db)
                for _ in range(5):
                    handle = await other.start(here, {})
                    assert await asyncio.wait_for(handle.result(), 5) == "one"
            assert await asyncio.wait_for(late.result(), 5) == "one"
        assert one.failed is None

    asyncio.run(main())


def test_a_reader_in_order_of_positions_misses_nothing_that_commits_late(address):
    """Two writers: the one that got its place first commits last."""

    async def main() -> None:
        store = PostgresStore(address)
        await store.open()
        try:
            lease = await store.acquire(this_process(), ttl_ms=60_000, now=1_000)
            assert isinstance(lease, Lease)
            await store.commit(lease, Batch(1, frames=[FrameRow("a", 1, b"")]))
            with psycopg.connect(address) as slow:
                slow.execute(
                    "SELECT amends_append_1('{late}', '{1}', '{0}', '{x}', '{}', '{}', true, '{}', '{}', '{}', '{}')"
                )
                await store.commit(lease, Batch(2, frames=[FrameRow("b", 1, b"")]))
                assert [row.saga_id for row in await store.journal(after=0, limit=9)] == ["a"]
                settled = await store.settled()
            rows = await store.journal(after=0, limit=9)
            assert [row.saga_id for row in rows] == ["a", "late", "b"]
            assert rows[1].position >= settled
        finally:
            store.close()

    asyncio.run(main())


class Ticking(SystemClock):
    def __init__(self, ahead_ms: int) -> None:
        self.ahead_ms = ahead_ms

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms


def test_the_stores_time_is_followed_but_for_what_the_answer_itself_may_have_taken():
    clock = StoreTime(Ticking(600_000))
    real = time.time_ns() // 1_000_000
    assert abs(clock.now_ms() - real - 600_000) < 1_000
    clock.told(clock.now_ms() + 15, took_ms=15)  # less than the answer took, and a little
    assert clock.ahead_ms == 0
    clock.told(real, took_ms=15)
    assert abs(clock.now_ms() - real) < 1_000
    clock.told(clock.now_ms() - 7_000, took_ms=8_000)  # stamped at any moment of those: it says nothing
    assert abs(clock.now_ms() - real) < 1_000


def test_frames_are_dated_by_the_servers_clock(address, caplog):
    async def main() -> None:
        caplog.set_level(logging.INFO)
        wrong = Ticking(-3_600_000)
        async with Orchestrator(address, sagas=[here := saga([], "one")], clock=wrong) as one:
            handle = await one.start(here, {})
            await handle.result()
            started = (await one.get(handle.id)).started_at.timestamp()
        assert abs(started - time.time()) < 60

    asyncio.run(main())


def test_shards_go_to_the_worker_that_has_their_sagas_definitions_while_it_lives(address):
    old = Saga("waits", wait_for("go", Go), input=dict, version=1)
    new = Saga("waits", wait_for("go", Go), wait_for("then", Go), input=dict, version=2)

    async def main() -> None:
        async with Orchestrator(address, sagas=[old, new], lease="2s") as able:
            handles = [await able.start(new, {}) for _ in range(10)]
            theirs = {shard_of(handle.id) for handle in handles}
            assert len(theirs) == 10
            async with Orchestrator(address, sagas=[old], lease="2s") as lacking:
                await until(lambda: shards(lacking) > 0)

                async def settled() -> bool:
                    held = [view async for view in able.list(hold="version")]
                    return not held and theirs <= set(able._leader.engine.shards)

                await until(settled, limit_s=10)
                await until(lambda: (shards(able), shards(lacking)) == (32, 32))
                assert not theirs & set(lacking._leader.engine.shards)
                for handle in handles:
                    assert await lacking.signal(handle.id, "go", Go()) is True
            await until(lambda: shards(able) == SHARDS)
        async with Orchestrator(address, sagas=[old], lease="1s") as lacking:  # nobody else is there: it says so

            async def on_hold() -> bool:
                return await lacking.count(hold="version") == 10

            await until(on_hold, limit_s=10)
            assert shards(lacking) == SHARDS
            async with Orchestrator(address, sagas=[old, new], lease="1s") as able:
                await until(lambda: theirs <= set(able._leader.engine.shards if able.leading else ()), limit_s=10)
                for handle in handles:
                    assert await able.signal(handle.id, "then", Go("ann")) is True
                    assert await asyncio.wait_for(able.handle(handle.id).result(), 5) == Go("ann")

    asyncio.run(main())


@pytest.mark.parametrize("verb", ["give", "take", "acquire"])
@pytest.mark.parametrize("landed", [True, False], ids=["answer lost", "not done"])
def test_no_shard_is_left_without_a_worker_when_the_answer_to_a_move_is_lost(address, monkeypatch, verb, landed):
    real, failed = getattr(PostgresStore, verb), []

    async def failing(store: PostgresStore, *given: Any, **more: Any) -> Any:
        if len(failed) < 2 and (verb != "acquire" or armed):
            failed.append(verb)
            if landed:
                await real(store, *given, **more)
            raise StoreUnavailable("the answer is lost")
        return await real(store, *given, **more)

    armed: list[bool] = []
    monkeypatch.setattr(PostgresStore, verb, failing)

    async def main() -> None:
        here = saga([], "any")
        async with Orchestrator(address, sagas=[here], lease="2s") as one:
            if verb == "acquire":
                armed.append(True)
                with pytest.raises(StoreUnavailable):
                    async with Orchestrator(address, sagas=[here], lease="2s"):
                        pass
                armed.clear()
            async with Orchestrator(address, sagas=[here], lease="2s") as two:
                await until(lambda: (shards(one), shards(two)) == (32, 32), limit_s=10)
                handles = [await one.start(here, {}) for _ in range(40)]
                for handle in handles:
                    assert await asyncio.wait_for(handle.result(), 5) == "any"
            await until(lambda: shards(one) == SHARDS, limit_s=10)
            with psycopg.connect(address) as db:
                assert db.execute("SELECT count(*) FROM amends_shards WHERE epoch = 0").fetchone() == (0,)
                assert db.execute("SELECT count(*) FROM amends_workers").fetchone() == (1,)
            assert one.failed is None

    asyncio.run(main())
    assert failed
