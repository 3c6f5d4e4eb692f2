"""The memory store, held to the suite, and what only it promises."""

from __future__ import annotations

import asyncio

from amends.stores.base import FrameRow
from amends.stores.memory import MemoryStore
from amends.testing.store_suite import StoreSuite


class TestMemoryStore(StoreSuite):
    async def make(self, tmp_path):
        store = MemoryStore()
        await store.open()
        return store


def test_a_memory_store_that_is_opened_again_has_all_it_had():
    async def main():
        store = MemoryStore()
        await store.open()
        await store.start(FrameRow("a", 1, b"in"), None)
        store.close()
        await store.open()
        assert await store.frames(["a"]) == {"a": [FrameRow("a", 1, b"in")]}

    asyncio.run(main())


def test_a_memory_store_tells_once_that_somebody_started_or_posted():
    async def main():
        store = MemoryStore()
        await store.open()
        assert not await store.changed()
        await store.start(FrameRow("a", 1, b"in"), None)
        assert await store.changed()
        assert not await store.changed()
        await store.post("a", b"{}", now=1)
        assert await store.changed()

    asyncio.run(main())
