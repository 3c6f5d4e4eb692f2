"""Where functions run that use real sockets: an asyncio loop of their own, in a thread, in real time.

Rules of this file: one loop for all runs, because clients keep their connections, and these belong to a loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from typing import Any


class Network:
    """A loop with sockets, begun when it is first asked for."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def run(self, function: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """What a coroutine function gives, in the context of who asks; called in a thread that may wait."""
        loop, context = self._begun(), contextvars.copy_context()

        async def make() -> asyncio.Task[Any]:
            return loop.create_task(function(), context=context)

        task = asyncio.run_coroutine_threadsafe(make(), loop).result()

        async def end() -> Any:
            return await task

        return asyncio.run_coroutine_threadsafe(end(), loop).result()

    def _begun(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = loop = asyncio.new_event_loop()
                threading.Thread(target=loop.run_forever, name="amends-network", daemon=True).start()
            return self._loop
