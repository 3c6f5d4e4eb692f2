"""The conformance suite of stores, as far as being told goes: bells, and the frames behind a seq.

Rules of this file: those of `store_suite`. A ring is looked for without waiting for it: within one store it is there
when the verb returns.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import get_args

from ..errors import StoreFailed
from ..stores.base import Batch, Bell, FrameRow, KeyRow, Ring, Store
from .journals import NOW
from .store_stage import EVERYTHING, TTL, StoreStage, leading, refused


class BellSuite(StoreStage):
    """What every store's bells must do. Override `make`."""

    def test_bells_ring_for_what_they_were_hung_for_and_for_nothing_else(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            bells = {what: store.bell(what) for what in get_args(Ring)}

            async def rung() -> list[str]:
                return [what for what, bell in bells.items() if await bell.wait(0)]

            lease = await leading(store)
            assert await rung() == []
            await store.start(FrameRow("a", 1, b""), KeyRow("trip", "k", "a", "h"))
            assert await rung() == ["work"]
            assert await rung() == []
            await store.post("a", b"{}", now=NOW)
            assert await rung() == ["work"]
            await store.commit(lease, Batch(1, closed=["a"]))
            assert await rung() == ["news"]
            await store.commit(lease, Batch(2, answered={1: ""}))
            assert await rung() == ["news"]
            await store.renew(lease, ttl_ms=TTL, now=NOW)
            await store.summaries(EVERYTHING, before="", limit=1)
            assert await rung() == []
            await store.release(lease)
            assert await rung() == ["lease"]

        self.run(tmp_path, body)

    def test_a_bell_wakes_who_waits_and_keeps_one_ring_for_who_comes_later(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            bell = store.bell("work")
            waiting = asyncio.ensure_future(bell.wait(60))
            await asyncio.sleep(0)
            for saga_id in ("a", "b", "c"):
                await store.start(FrameRow(saga_id, 1, b""), None)
            assert await waiting
            await bell.wait(0)
            assert not await bell.wait(0.001)
            bell.ring()
            bell.ring()
            assert await bell.wait(60)
            assert not await bell.wait(0)

        self.run(tmp_path, body)

    def test_whoever_waits_is_woken_when_the_bell_or_the_store_is_closed(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            first, second = store.bell("news"), store.bell("news")
            waiting = [asyncio.ensure_future(bell.wait(60)) for bell in (first, second)]
            await asyncio.sleep(0)
            first.close()
            first.close()
            store.close()
            for each in waiting:
                await asyncio.wait_for(each, 5)
            await refused(StoreFailed, _hang(store))

        self.run(tmp_path, body)

    def test_frames_behind_a_seq_are_read_without_those_before_it(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            rows = [FrameRow(saga_id, seq, b"%d" % seq) for saga_id in ("a", "b") for seq in range(1, 5)]
            await store.commit(await leading(store), Batch(1, frames=rows))
            assert await store.later_frames({"a": 2, "b": 4, "nobody": 0}) == {"a": rows[2:4]}
            assert await store.later_frames({"b": 0}) == {"b": rows[4:]}
            assert await store.later_frames({}) == {}

        self.run(tmp_path, body)


async def _hang(store: Store) -> Bell:
    return store.bell("news")
