"""Commands of one process, gathered: while one transaction is being flushed, the next fills.

Every post is a transaction with an fsync, and waits for its turn at the file's one write lock. A verb
for a thousand sagas would do that a thousand times; gathered, it does it a few times.

Rules of this file: no command is lost or written twice, also when whoever posted it no longer waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

Post = tuple[str, bytes, int]  # the saga, the command, when
_TOGETHER_MAX = 512  # commands of one transaction


class Posting:
    """Writes commands together.

    Parameters:
        write: writes some in one transaction; their numbers, in order.
    """

    def __init__(self, write: Callable[[Sequence[Post]], Awaitable[Sequence[int]]]) -> None:
        self._write = write
        self._waiting: list[tuple[Post, asyncio.Future[int]]] = []
        self._task: asyncio.Task[None] | None = None

    async def post(self, post: Post) -> int:
        """The command's number. When the caller is cancelled the command is written all the same."""
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((post, answer))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="amends-posts")
        return await answer

    async def _run(self) -> None:
        while self._waiting:
            together, self._waiting = self._waiting[:_TOGETHER_MAX], self._waiting[_TOGETHER_MAX:]
            try:
                numbers = await self._write([post for post, _ in together])
            except BaseException as error:
                for _, answer in together:
                    if not answer.done():
                        answer.set_exception(error)
                if not isinstance(error, Exception):
                    raise  # this task is being cancelled: the loop is at its end
            else:
                for number, (_, answer) in zip(numbers, together, strict=True):
                    if not answer.done():
                        answer.set_result(number)
