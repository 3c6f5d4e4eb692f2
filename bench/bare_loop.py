"""The ceiling: a loop that only group-commits frames and resolves futures. No saga, no feature.

One asyncio task per saga in flight encodes its frames and awaits them, one after the other; a writer
thread commits whatever gathered with `synchronous=FULL`: the same journal rows and the same set of open
sagas that the orchestrator writes, in as few statements as SQLite takes. What it does per second is what
the machine allows for this shape of work; the orchestrator is measured against it.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

SCHEMA = """
PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
CREATE TABLE journal (position INTEGER PRIMARY KEY, saga_id TEXT NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL,
                      UNIQUE (saga_id, seq));
CREATE TABLE open (number INTEGER PRIMARY KEY, saga_id TEXT NOT NULL UNIQUE, due INTEGER NOT NULL DEFAULT 0);
"""
CHUNK = 512
encode = msgspec.json.Encoder().encode


class Gathered:
    """What the next transaction writes, and who waits for it."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.opened: list[str] = []
        self.closed: list[str] = []
        self.futures: list[asyncio.Future[None]] = []


class BareLoop:
    """Group commit and nothing else."""

    def __init__(self, path: Path) -> None:
        self._loop = asyncio.get_running_loop()
        self._gathered = Gathered()
        self._flushing = False
        self._work: queue.SimpleQueue[Gathered | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, args=(path,))
        self._thread.start()

    def append(self, saga_id: str, seq: int, body: bytes, *, last: bool) -> asyncio.Future[None]:
        """A future that is done when the frame is durable."""
        gathered = self._gathered
        future: asyncio.Future[None] = self._loop.create_future()
        gathered.rows += (saga_id, seq, body)
        if seq == 1:
            gathered.opened.append(saga_id)
        if last:
            gathered.closed.append(saga_id)
        gathered.futures.append(future)
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)
        return future

    def close(self) -> None:
        self._work.put(None)
        self._thread.join()

    def _flush(self) -> None:
        self._work.put(self._gathered)
        self._gathered = Gathered()

    def _done(self, futures: list[asyncio.Future[None]]) -> None:
        for future in futures:
            future.set_result(None)
        if self._gathered.rows:
            self._loop.call_soon(self._flush)
        else:
            self._flushing = False

    def _write(self, path: Path) -> None:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.executescript(SCHEMA)
        while (work := self._work.get()) is not None:
            connection.execute("BEGIN IMMEDIATE")
            _insert(connection, "INSERT INTO journal (saga_id, seq, body) VALUES ", "(?,?,?)", work.rows, 3 * CHUNK)
            _insert(connection, "INSERT INTO open (saga_id) VALUES ", "(?)", work.opened, CHUNK)
            for start in range(0, len(work.closed), CHUNK):
                ids = work.closed[start : start + CHUNK]
                connection.execute(f"DELETE FROM open WHERE saga_id IN ({','.join('?' * len(ids))})", ids)
            connection.execute("COMMIT")
            self._loop.call_soon_threadsafe(self._done, work.futures)
        connection.close()


def _insert(connection: sqlite3.Connection, verb: str, row: str, values: Sequence[Any], chunk: int) -> None:
    width = row.count("?")
    for start in range(0, len(values), chunk):
        part = values[start : start + chunk]
        connection.execute(verb + ",".join([row] * (len(part) // width)), part)


async def run(path: Path, frames: list[Any], sagas: int, in_flight: int) -> float:
    """Sagas per second when each encodes and commits `frames` one after the other."""
    bare = BareLoop(path)
    numbers = iter(range(sagas))

    async def client() -> None:
        for number in numbers:
            saga_id = f"{number:026d}"
            for seq, frame in enumerate(frames, 1):
                await bare.append(saga_id, seq, encode(frame), last=seq == len(frames))

    started = asyncio.get_running_loop().time()
    await asyncio.gather(*(client() for _ in range(in_flight)))
    elapsed = asyncio.get_running_loop().time() - started
    bare.close()
    return sagas / elapsed
