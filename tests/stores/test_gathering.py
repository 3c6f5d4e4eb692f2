"""Starts of one process that are written together: each has its own answer, whatever befalls the others."""

from __future__ import annotations

import asyncio

import pytest

from amends.errors import Conflict, StoreFailed
from amends.stores import gathering
from amends.stores.base import FrameRow, KeyRow
from amends.stores.sqlite import SQLiteStore
from amends.testing.store_suite import open_ids


def play(tmp_path, body):
    async def main():
        store = SQLiteStore(tmp_path / "sagas.db")
        await store.open()
        transactions = []
        write = store._writer.start
        store._writer.start = lambda db, starts: (transactions.append(len(starts)), write(db, starts))[1]
        try:
            await body(store, transactions)
        finally:
            store.close()

    asyncio.run(asyncio.wait_for(main(), 30))


def test_what_is_started_while_a_transaction_is_under_way_goes_together(tmp_path):
    async def body(store, transactions):
        answers = await asyncio.gather(*(store.start(FrameRow(f"s{at:02}", 1, b"in"), None) for at in range(20)))
        assert answers == [""] * 20
        assert await open_ids(store) == [f"s{at:02}" for at in range(20)]
        assert transactions == [20]
        more = [asyncio.ensure_future(store.start(FrameRow(f"t{at:02}", 1, b""), None)) for at in range(3)]
        await asyncio.sleep(0)
        late = asyncio.ensure_future(store.start(FrameRow("u", 1, b""), None))
        await asyncio.gather(*more, late)
        assert sum(transactions) == 24
        assert len(transactions) <= 3

    play(tmp_path, body)


def test_two_of_one_key_in_one_transaction_are_one_saga(tmp_path):
    async def body(store, transactions):
        await store.start(FrameRow("before", 1, b""), KeyRow("trip", "old", "before", "h"))
        answers = await asyncio.gather(
            store.start(FrameRow("a", 1, b""), KeyRow("trip", "k", "a", "h")),
            store.start(FrameRow("b", 1, b""), KeyRow("trip", "k", "b", "h")),
            store.start(FrameRow("c", 1, b""), KeyRow("trip", "old", "c", "h")),
            store.start(FrameRow("d", 1, b""), None),
        )
        assert answers == ["", "a", "before", ""]
        assert transactions == [1, 4]
        assert sorted(await store.frames(["a", "b", "c", "d"])) == ["a", "d"]

    play(tmp_path, body)


def test_one_that_is_refused_takes_no_other_with_it_and_one_sent_again_is_the_same(tmp_path):
    async def body(store, transactions):
        await store.start(FrameRow("known", 1, b"in"), None)
        answers = await asyncio.gather(
            store.start(FrameRow("a", 1, b""), None),
            store.start(FrameRow("known", 1, b"other"), None),
            store.start(FrameRow("known", 1, b"in"), None),
            store.start(FrameRow("b", 1, b""), None),
            return_exceptions=True,
        )
        assert isinstance(answers[1], Conflict)
        assert answers[1].code == "AM4101"
        assert [answers[0], answers[2], answers[3]] == ["", "", ""]
        assert await open_ids(store) == ["known", "a", "b"]

    play(tmp_path, body)


def test_a_store_that_failed_fails_each_of_them(tmp_path):
    async def body(store, transactions):
        def full(db, starts):
            raise StoreFailed("full", code="AM6021")

        store._writer.start = full
        answers = await asyncio.gather(
            *(store.start(FrameRow(f"s{at}", 1, b""), None) for at in range(3)), return_exceptions=True
        )
        assert [each.code for each in answers] == ["AM6021"] * 3

    play(tmp_path, body)


def test_a_caller_that_is_cancelled_harms_nobody(tmp_path):
    async def body(store, transactions):
        impatient = asyncio.ensure_future(store.start(FrameRow("a", 1, b""), None))
        other = asyncio.ensure_future(store.start(FrameRow("b", 1, b""), None))
        await asyncio.sleep(0)
        impatient.cancel()
        assert await other == ""
        with pytest.raises(asyncio.CancelledError):
            await impatient
        assert await store.start(FrameRow("c", 1, b""), None) == ""
        assert await open_ids(store) == ["a", "b", "c"]

    play(tmp_path, body)


def test_one_transaction_holds_no_more_than_its_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(gathering, "_TOGETHER_MAX", 4)

    async def body(store, transactions):
        await asyncio.gather(*(store.start(FrameRow(f"s{at:02}", 1, b""), None) for at in range(10)))
        assert transactions == [4, 4, 2]

    play(tmp_path, body)
