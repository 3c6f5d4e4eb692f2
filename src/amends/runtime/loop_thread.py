"""An event loop in a thread of its own, and questions to it from threads that wait for the answer.

Rules of this file:
  * **No lock is shared with who asks.** An interrupt from the keyboard may strike inside any Python function, so also
    inside a `Condition` of `concurrent.futures`, right after it took its lock. The loop would wait for that lock for
    ever when it has the answer. A `SimpleQueue` is one C function on either side, and cannot be struck inside.
  * **Every question is answered,** also one that arrives while the loop ends.
  * What is asked begins in the loop, in an empty context: it outlives the request that asked.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextvars import Context
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class LoopEnded(Exception):
    """The loop ended before the answer was there."""


class LoopToAsk(Protocol):
    """What a `LoopThread` is for who asks; the test kit has one without a thread."""

    def ask(self, begin: Callable[[], Awaitable[T]], timeout: float | None = None) -> T:
        """What `begin()` gives when it is awaited in the loop. Raises TimeoutError, LoopEnded."""

    def call(self, function: Callable[[], None]) -> None:
        """Call it in the loop. Raises LoopEnded."""

    def stop(self) -> None:
        """End it."""


class LoopThread:
    """An event loop in a daemon thread.

    Parameters:
        name: the thread's name.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._unanswered: set[_Question[Any]] = set()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def ask(self, begin: Callable[[], Awaitable[T]], timeout: float | None = None) -> T:
        """What `begin()` gives when it is awaited in the loop.

        A timeout, or an interrupt of the waiting thread, cancels it there.

        Parameters:
            timeout: how long to wait, in seconds; None for as long as it takes.

        Raises:
            TimeoutError: there is no answer by then.
            LoopEnded: the loop ended in the middle of it, or before.
        """
        question = _Question(begin)
        self._unanswered.add(question)
        try:
            self.call(lambda: question.end() if self._ending else question.begin(self._loop))
            return question.wait(timeout)
        except BaseException:  # a timeout or an interrupt, or the answer itself
            if question in self._unanswered:
                self.call(question.drop)
            raise
        finally:
            self._unanswered.discard(question)

    def call(self, function: Callable[[], None]) -> None:
        """Call it in the loop, and do not wait. Raises LoopEnded."""
        try:
            self._loop.call_soon_threadsafe(function, context=Context())
        except RuntimeError as error:  # it is closed
            raise LoopEnded from error

    def stop(self) -> None:
        """End the loop and the thread, with whatever still waits there."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._ending = True
            waiting = asyncio.all_tasks(self._loop)
            for task in waiting:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()
            for question in list(self._unanswered):  # what came too late to begin; later ones find the loop closed
                question.end()


class _Question(Generic[T]):
    def __init__(self, begin: Callable[[], Awaitable[T]]) -> None:
        self._begin = begin
        self._answers: SimpleQueue[asyncio.Task[T] | None] = SimpleQueue()
        self._task: asyncio.Task[T] | None = None
        self._dropped = False

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._dropped:
            self._task = loop.create_task(self._asked())
            self._task.add_done_callback(self._answer)

    def drop(self) -> None:
        self._dropped = True
        if self._task is not None:
            self._task.cancel()

    def end(self) -> None:
        self._answers.put(None)

    def wait(self, timeout: float | None) -> T:
        try:
            task = self._answers.get(timeout=timeout)
        except Empty:
            raise TimeoutError from None
        if task is None or task.cancelled():
            raise LoopEnded
        return task.result()

    async def _asked(self) -> T:
        return await self._begin()

    def _answer(self, task: asyncio.Task[T]) -> None:
        if not task.cancelled():
            task.exception()  # it counts as seen, also when nobody waits any more
        self._answers.put(task)
