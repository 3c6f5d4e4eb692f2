"""The store of one sandbox: in memory, it tells what lands, and dead processes do not reach it.

Rules of this file: what is written is told before anybody may go on, so that a process can die of it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from ...stores.base import Batch, FrameRow, KeyRow, Lease
from ...stores.memory import MemoryStore
from ..simulation.loop import this_machine
from .staging import Death

Tell = Callable[[Sequence[FrameRow], bool], None]  # frames, and whether each was decided to its end


class SandboxStore(MemoryStore):
    """A store in memory that tells what lands, and that dead processes do not reach."""

    def __init__(self, tell: Tell) -> None:
        super().__init__()
        self._tell = tell
        self._decided = True

    async def commit(self, lease: Lease, batch: Batch) -> dict[str, str]:
        await _alive()
        before = len(self._log)
        taken = await super().commit(lease, batch)
        self._tell([row for row in self._log[before:] if row is not None], self._decided)
        await _alive()  # it may die of what has landed, and then nobody is told
        return taken

    async def start(self, frame: FrameRow, key: KeyRow | None) -> str:
        await _alive()
        before = len(self._log)
        holder = await super().start(frame, key)
        self._tell([row for row in self._log[before:] if row is not None], self._decided)
        return holder

    def let_go(self) -> None:
        """Who held the lease is dead, and known to be."""
        self._expires = 0


class SandboxDatabase(SandboxStore):
    """One with a database, which atomic functions write to."""

    def __init__(self, tell: Tell, connection: sqlite3.Connection) -> None:
        super().__init__(tell)
        self._connection = connection

    driver = "sqlite3"

    async def transact(
        self, lease: Lease, batch: Batch, body: Callable[[Any], FrameRow], *, limit_ms: int
    ) -> tuple[dict[str, str], BaseException | None]:
        """Run `body`, and commit its writes with its frame, or neither."""
        await _alive()
        connection = self._connection
        if not connection.in_transaction:
            connection.execute("BEGIN")
        try:
            frame = body(connection)
        except Death:
            connection.rollback()
            await _alive()
            raise
        except Exception as error:  # whatever the author's function raised
            connection.rollback()
            return await self.commit(lease, batch), error
        connection.commit()
        self._decided = False  # an atomic function's frame is its success; what follows is decided afterwards
        try:
            return await self.commit(lease, dataclasses.replace(batch, frames=[*batch.frames, frame])), None
        finally:
            self._decided = True


async def _alive() -> None:
    """Never comes back for a process that is dead."""
    machine = this_machine()
    if machine is not None and machine.killed:
        await asyncio.get_running_loop().create_future()
