"""The committer, alone: what it does with more frames than one batch may hold."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from amends.core import events as ev
from amends.core.events import Event, encode_frame
from amends.limits import BATCH_FRAMES_MAX
from amends.runtime.committer import Committer
from amends.stores.base import ASLEEP, FrameRow
from amends.stores.memory import MemoryStore
from amends.stores.owner import this_process
from amends.stores.sqlite import SQLiteStore

SAGAS = 2_500


class _Saga:
    """Counts its frames as they land, and notes the order of all."""

    def __init__(self, saga_id: str, landed: list[tuple[str, int]]) -> None:
        self.saga_id = saga_id
        self.seq = 0
        self._landed = landed

    def durable(self, at: int, events: list[Event]) -> None:
        self.seq += 1
        self._landed.append((self.saga_id, self.seq))

    def refused(self, holder: str) -> None:
        raise AssertionError(holder)


def test_more_frames_than_a_batch_may_hold_land_in_order_with_what_belongs_to_each() -> None:
    """All first frames are handed over, then all second ones: the cut falls among the second."""

    async def run() -> None:
        store = MemoryStore()
        await store.open()
        lease = await store.acquire(this_process(), ttl_ms=10_000, now=1)
        assert lease is not None
        committer = Committer(store, lambda: lease, lambda error: None)
        landed: list[tuple[str, int]] = []
        sagas = [_Saga(f"s{number:04}", landed) for number in range(SAGAS)]
        for saga in sagas:
            batch = committer.append(saga, saga.saga_id, 1, 1, [ev.Held("version")])
            committer.open(batch, saga.saga_id, None)
        for number, saga in enumerate(sagas):
            batch = committer.append(saga, saga.saga_id, 2, 1, [ev.Released()])
            committer.answer_with_frame(number + 1, "")
            if number % 2:
                batch.closed.append(saga.saga_id)
            else:
                batch.due[saga.saga_id] = ASLEEP
        committer.answer(SAGAS + 1, "refused")
        batches = []
        commit = store.commit

        async def noted(lease, batch):
            batches.append(batch)
            return await commit(lease, batch)

        store.commit = noted
        committer.start()
        await committer.flush()
        await committer.stop()

        assert committer.batches > 2, f"{2 * SAGAS} frames fit into one batch of {BATCH_FRAMES_MAX}: nothing was cut"
        assert landed == [(saga.saga_id, seq) for seq in (1, 2) for saga in sagas]
        for batch in batches:  # a command is answered with its frame: a crash in between would apply it twice
            seconds = {row.saga_id for row in batch.frames if row.seq == 2}
            assert {f"s{command - 1:04}" for command, error in batch.answered.items() if not error} == seconds
        assert batches[-1].answered[SAGAS + 1] == "refused"
        journals = await store.frames([saga.saga_id for saga in sagas])
        assert {len(rows) for rows in journals.values()} == {2}
        still_open = await store.open_sagas(after=0, due_from=0, due_before=ASLEEP + 1, limit=SAGAS)
        assert [(row.saga_id, row.due) for row in still_open] == [(saga.saga_id, ASLEEP) for saga in sagas[::2]]

    asyncio.run(run())


class _Restless(_Saga):
    """Hands its next frame over as soon as one has landed, as sagas under load do."""

    def __init__(self, committer: Committer, saga_id: str, landed: list[tuple[str, int]]) -> None:
        super().__init__(saga_id, landed)
        self._committer = committer

    def durable(self, at: int, events: list[Event]) -> None:
        super().durable(at, events)
        self.go_on()

    def go_on(self) -> None:
        batch = self._committer.append(self, self.saga_id, self.seq + 1, 1, [ev.Held("version")])
        if not self.seq:
            self._committer.open(batch, self.saga_id, None)


class _Written:
    """An atomic call's body that writes one frame."""

    limit_ms = 1_000

    def __init__(self, saga_id: str, seq: int, landed: list[tuple[str, int]]) -> None:
        self._row = (saga_id, seq)
        self._landed = landed

    def take(self) -> bool:
        return True

    def run(self, connection: Any) -> FrameRow:
        return FrameRow(*self._row, encode_frame(1, [ev.Released()]))

    def landed(self) -> None:
        self._landed.append(self._row)

    def failed(self, error: BaseException) -> None:
        raise error


def test_a_flush_ends_under_load_that_never_does(tmp_path: Path) -> None:
    """It once waited for a moment of rest, and shards of a worker under full load never moved to another."""

    async def run() -> None:
        store = SQLiteStore(tmp_path / "sagas.db")
        await store.open()
        lease = await store.acquire(this_process(), ttl_ms=10_000, now=1)
        assert lease is not None
        landed: list[tuple[str, int]] = []
        committer = Committer(store, lambda: lease, lambda error: None)
        committer.start()
        restless = [_Restless(committer, f"r{number}", landed) for number in range(3)]
        for saga in restless:
            saga.go_on()
        await asyncio.wait_for(committer.flush(), 5)
        for number in range(20):
            once = _Saga(f"once{number}", landed)
            committer.open(committer.append(once, once.saga_id, 1, 1, [ev.Held("version")]), once.saga_id, None)
            assert once.saga_id in committer.pending()
            bodies = [(once.saga_id, seq) for seq in (2, 3, 4)] if number % 2 else []
            for row in bodies:
                committer.transact(_Written(*row, landed))
            await asyncio.wait_for(committer.flush(), 5)
            assert (once.saga_id, 1) in landed
            assert set(bodies) <= set(landed)
            assert once.saga_id not in committer.pending()
            assert not committer.idle
        await committer.stop()
        await asyncio.wait_for(committer.flush(), 5)  # nothing of it ever will be
        store.close()

    asyncio.run(run())
