"""Waiting for what another process does: one look at the store for all who wait here.

A process that does not lead learns of an end, or of the answer to a verb, from the store. Five hundred
tasks that await `result()` must not mean five hundred readers, so one task of the process waits for the
store's "news" bell and then asks once, for everybody, which frames are new.

Rules of this file: the bell is a hint, so there is a look every so often without it. Whoever is woken
looks by itself at what it waited for, and comes back if that was not it. Nothing is held while nobody
waits but the bell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Set
from typing import Any

from ..core import events as ev
from ..core.events import decode_frame
from ..errors import StoreError, StoreUnavailable
from ..stores.base import Bell, FrameRow, Store

_NEWS = (ev.Completed, ev.Compensated, ev.Closed, ev.RequiresManual, ev.Held)
_GAP_S = 0.002  # between two looks, however often it rings
_SOON_S = 0.05  # the pause before a look without a ring: at first, and after one that found something;
_POLL_S = 2.0  # it doubles up to this,
_POLL_UNTOLD_S = 0.5  # or to this where bells do not work
_PAGE = 500  # sagas asked for at a time


class Watch:
    """Parameters: store: what is looked at."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sagas: dict[asyncio.Future[None], tuple[str, int]] = {}  # who waits -> the saga and the seq it has seen
        self._commands: dict[asyncio.Future[None], int] = {}
        self._pruned_at = 0.0  # when to look next, on the loop's clock, for sagas that were pruned
        self._bell: Bell | None = None
        self._task: asyncio.Task[None] | None = None

    async def saga(self, saga_id: str, seq: int) -> None:
        """Until a frame behind `seq` ends or parks the saga; or sooner, when there may be something to see."""
        await self._wait(self._sagas, (saga_id, seq))

    async def command(self, command_id: int) -> None:
        """Until a command of the inbox is answered; or sooner."""
        await self._wait(self._commands, command_id)

    async def _wait(self, waiting: dict[asyncio.Future[None], Any], what: Any) -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        waiting[future] = what
        if self._bell is None:
            self._bell = self._store.bell("news")
        self._bell.ring()  # what landed between our caller's look and now, nobody rings for again
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._run(), name="amends-watch")
        try:
            await future
        finally:
            waiting.pop(future, None)

    def wake_all(self) -> None:
        """Have everybody look by themselves: the lease changed hands, or the store failed."""
        for future in (*self._sagas, *self._commands):
            _wake(future)

    async def stop(self) -> None:
        """Wake everybody, and end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.wake_all()
        if self._bell is not None:
            self._bell.close()

    async def _run(self) -> None:
        assert self._bell is not None
        pause_s = _SOON_S
        while self._sagas or self._commands:
            rung = await self._bell.wait(pause_s)
            try:
                found = await self._look()
            except StoreUnavailable:
                found = False
            except StoreError:
                self.wake_all()
                found = True
            if found and not rung:
                pause_s = _SOON_S  # something goes on here that nobody rings for
            else:
                pause_s = min(pause_s * 2, _POLL_S if self._bell.works else _POLL_UNTOLD_S)
            await asyncio.sleep(_GAP_S)

    async def _look(self) -> bool:
        """Wake those whose saga has news, or whose command is answered; whether there was anything new."""
        found = False
        if commands := list(self._commands.items()):
            waiting = await self._store.unanswered([command_id for _, command_id in commands])
            for future in [future for future, command_id in commands if command_id not in waiting]:
                found = True
                _wake(future)
        after: dict[str, int] = {}
        for saga_id, seq in self._sagas.values():
            after[saga_id] = min(seq, after.get(saga_id, seq))
        now = asyncio.get_running_loop().time()
        # Now and then the last frame that is known, too: of a saga that was pruned nothing new would ever come.
        known = int(now >= self._pruned_at)
        if known:
            self._pruned_at = now + _POLL_S
        wanted = list(after.items())
        for at in range(0, len(wanted), _PAGE):
            part = dict(wanted[at : at + _PAGE])
            rows = await self._store.later_frames({saga_id: seq - known for saga_id, seq in part.items()})
            found = found or any(journal[-1].seq > part[saga_id] for saga_id, journal in rows.items())
            self._tell(rows)
            if known:
                self._wake_waiting_for(part.keys() - rows.keys())
        return found

    def _wake_waiting_for(self, gone: Set[str]) -> None:
        for future, (saga_id, _) in self._sagas.items():
            if saga_id in gone:
                _wake(future)

    def _tell(self, journals: dict[str, list[FrameRow]]) -> None:
        news = {
            saga_id: max((row.seq for row in rows if _is_news(row)), default=0) for saga_id, rows in journals.items()
        }
        for future, (saga_id, seq) in list(self._sagas.items()):
            if news.get(saga_id, 0) > seq:
                _wake(future)
            elif saga_id in journals:
                self._sagas[future] = (saga_id, max(seq, journals[saga_id][-1].seq))


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _is_news(row: FrameRow) -> bool:
    try:
        return any(isinstance(event, _NEWS) for event in decode_frame(row.body).events)
    except ValueError:
        return True  # who waits will be told that it cannot be read
