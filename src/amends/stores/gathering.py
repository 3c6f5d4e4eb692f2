"""Starts of one process, gathered: while one transaction is being flushed, the next fills.

Every process that starts sagas on a file that another holds writes with a transaction and an fsync of
its own, and waits for its turn at the one write lock. So what it starts meanwhile goes together: it
asks for the lock once, and flushes once. With four such processes beside a runner that is worth a
factor of four (bench/many_processes.py).

Rules of this file: each start has its own answer, and one that is refused takes no other with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from ..errors import Conflict
from .base import FrameRow, KeyRow

Start = tuple[FrameRow, KeyRow | None]
_Asked = tuple[Start, "asyncio.Future[str]"]
_TOGETHER_MAX = 256  # starts of one transaction


class Gathering:
    """Writes starts together.

    Parameters:
        write: writes some in one transaction, or none of them; saga id -> the id that has its key.
    """

    def __init__(self, write: Callable[[Sequence[Start]], Awaitable[dict[str, str]]]) -> None:
        self._write = write
        self._waiting: list[_Asked] = []
        self._task: asyncio.Task[None] | None = None

    async def start(self, frame: FrameRow, key: KeyRow | None) -> str:
        """See Store.start. When the caller is cancelled the start is written all the same."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str] = loop.create_future()
        self._waiting.append(((frame, key), answer))
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._run(), name="amends-starts")
        return await answer

    async def _run(self) -> None:
        while self._waiting:
            together, self._waiting = self._waiting[:_TOGETHER_MAX], self._waiting[_TOGETHER_MAX:]
            if await self._refused(together):
                for each in together:
                    await self._refused([each])

    async def _refused(self, together: list[_Asked]) -> bool:
        """Write some and answer them; True when one of several was refused, and so none was written."""
        try:
            taken = await self._write([start for start, _ in together])
        except Exception as error:
            if isinstance(error, Conflict) and len(together) > 1:
                return True
            for _, answer in together:
                if not answer.done():
                    answer.set_exception(error)
        else:
            for (frame, _), answer in together:
                if not answer.done():
                    answer.set_result(taken.get(frame.saga_id, ""))
        return False
