"""One thread that owns one connection, and takes work from event loops.

Rules of this file: a connection is made, used and closed in its own thread only. A job is handed
over through one queue and answered with `call_soon_threadsafe`; both ends wait for the interpreter's
lock once, and that is all that the hand-over costs.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

C = TypeVar("C")  # the connection
T = TypeVar("T")
_Job = tuple[Callable[[], Any], asyncio.AbstractEventLoop, "asyncio.Future[Any]"]


class ConnectionThread(Generic[C]):
    """Runs jobs one after the other on its own connection.

    Parameters:
        name: the thread's name.
        connect: makes the connection, in the thread.
        disconnect: closes it, there too.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], C],
        disconnect: Callable[[C], None],
    ) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._connect = connect
        self._disconnect = disconnect
        self._db: C | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def open(self) -> None:
        """Connect. Raises whatever `connect` raises."""
        await self._hand_over(self._open)

    async def run(self, job: Callable[[C], T]) -> T:
        """The job's answer. When the caller is cancelled the job is still done, and its answer dropped."""

        def on_connection() -> T:
            assert self._db is not None
            return job(self._db)

        return await self._hand_over(on_connection)

    def close(self) -> None:
        """End after the jobs that were handed over; waits for them. May be called twice."""
        self._jobs.put(None)
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _open(self) -> None:
        self._db = self._connect()

    async def _hand_over(self, job: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put((job, loop, future))
        return await future

    def _run(self) -> None:
        while (task := self._jobs.get()) is not None:
            job, loop, future = task
            try:
                answer, error = job(), None
            except BaseException as raised:
                answer, error = None, raised
            with suppress(RuntimeError):  # the loop was closed meanwhile, and nobody waits for this any more
                loop.call_soon_threadsafe(_answer, future, answer, error)
            del task, job, future, answer, error
        if self._db is not None:
            self._disconnect(self._db)


def _answer(future: asyncio.Future[Any], answer: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(answer)
    else:
        future.set_exception(error)
