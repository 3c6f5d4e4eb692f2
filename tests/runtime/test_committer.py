"""The committer, alone: what it does with more frames than one batch may hold."""

from __future__ import annotations

import asyncio

from amends.core import events as ev
from amends.core.events import Event
from amends.limits import BATCH_FRAMES_MAX
from amends.runtime.committer import Committer
from amends.stores.base import ASLEEP
from amends.stores.memory import MemoryStore
from amends.stores.owner import this_process

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
