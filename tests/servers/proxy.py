"""A TCP proxy on loopback, to be the network between a worker and its server, and to fail.

    cut()            every connection is closed; new ones pass
    silence()        nothing passes any more, in either direction, and nobody is told: a partition
    heal()           all is as it was; what was silenced is closed
    lose_answers(n)  of the next n statements the answer is lost: the server has done it, the connection is closed

Rules of this file: one thread with a loop of its own; each verb returns when it is in force.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Proxy:
    """Parameters: port: of the server, on loopback."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._silent = asyncio.Event()
        self._losing = 0
        self._of = b""
        self.lost = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._call(self._listen).result(10)

    def cut(self) -> None:
        self._now(self._cut)

    def silence(self) -> None:
        self._now(self._silent.set)

    def heal(self) -> None:
        self._now(self._heal)

    def lose_answers(self, count: int, of: bytes = b"") -> None:
        """Parameters: of: only of statements whose message holds these bytes."""
        self._now(lambda: self._lose(count, of))

    def close(self) -> None:
        self._call(self._end).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    # -- in the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    async def _end(self) -> None:
        assert self._server is not None
        self._server.close()
        self._cut()
        me = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not me]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _call(self, make: Callable[[], Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(make(), self._loop)

    def _now(self, act: Callable[[], None]) -> None:
        async def acting() -> None:
            act()

        self._call(acting).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def _heal(self) -> None:
        self._cut()
        self._silent.clear()
        self._losing = 0

    def _lose(self, count: int, of: bytes) -> None:
        self._losing, self._of = count, of

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._silent.is_set():
            self._writers.add(writer)
            return  # accepted by the kernel, and never answered
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, to_writer}
        self._writers |= pair
        asked = asyncio.Event()
        await asyncio.gather(
            self._pump(reader, to_writer, pair, asked, to_server=True),
            self._pump(to_reader, writer, pair, asked, to_server=False),
            return_exceptions=True,
        )
        self._writers -= pair

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pair: set[asyncio.StreamWriter],
        asked: asyncio.Event, *, to_server: bool,
    ) -> None:  # fmt: skip
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                if self._silent.is_set():
                    continue
                if to_server and self._losing and self._of in data:
                    self._losing -= 1
                    asked.set()
                elif not to_server and asked.is_set():
                    self.lost += 1  # the server has answered, and so it has committed
                    break
                writer.write(data)
                await writer.drain()
        if not self._silent.is_set():
            for each in pair:
                each.transport.abort()
