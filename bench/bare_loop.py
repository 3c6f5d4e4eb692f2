"""The ceiling: a loop that only group-commits frames and resolves futures. No saga, no feature.

One asyncio task per "saga" awaits its frames one after the other; a writer thread commits whatever
gathered, with `synchronous=FULL`, in one INSERT per chunk. What it does per second is what SQLite and
the machine allow for this shape of work; the orchestrator is measured against it.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from pathlib import Path

SCHEMA = """
CREATE TABLE journal (position INTEGER PRIMARY KEY, saga_id TEXT NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL);
CREATE UNIQUE INDEX journal_frame ON journal (saga_id, seq);
"""
CHUNK = 512
Row = tuple[str, int, bytes]


class BareLoop:
    """Group commit and nothing else."""

    def __init__(self, path: Path) -> None:
        self._loop = asyncio.get_running_loop()
        self._rows: list[Row] = []
        self._futures: list[asyncio.Future[None]] = []
        self._flushing = False
        self._work: queue.SimpleQueue[tuple[list[Row], list[asyncio.Future[None]]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, args=(path,))
        self._thread.start()

    def append(self, row: Row) -> asyncio.Future[None]:
        """A future that is done when the row is durable."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._rows.append(row)
        self._futures.append(future)
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)
        return future

    def close(self) -> None:
        self._work.put(None)
        self._thread.join()

    def _flush(self) -> None:
        rows, futures = self._rows, self._futures
        self._rows, self._futures = [], []
        self._work.put((rows, futures))

    def _done(self, futures: list[asyncio.Future[None]]) -> None:
        for future in futures:
            future.set_result(None)
        if self._rows:
            self._loop.call_soon(self._flush)
        else:
            self._flushing = False

    def _write(self, path: Path) -> None:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + SCHEMA)
        while (work := self._work.get()) is not None:
            rows, futures = work
            connection.execute("BEGIN IMMEDIATE")
            for start in range(0, len(rows), CHUNK):
                chunk = rows[start : start + CHUNK]
                values = ",".join(["(?,?,?)"] * len(chunk))
                flat = [value for row in chunk for value in row]
                connection.execute(f"INSERT INTO journal (saga_id, seq, body) VALUES {values}", flat)  # noqa: S608
            connection.execute("COMMIT")
            self._loop.call_soon_threadsafe(self._done, futures)
        connection.close()


async def run(path: Path, frames: list[bytes], sagas: int, in_flight: int) -> float:
    """Sagas per second when each commits `frames` one after the other."""
    bare = BareLoop(path)
    numbers = iter(range(sagas))

    async def client() -> None:
        for number in numbers:
            saga_id = f"{number:026d}"
            for seq, body in enumerate(frames, 1):
                await bare.append((saga_id, seq, body))

    started = asyncio.get_running_loop().time()
    await asyncio.gather(*(client() for _ in range(in_flight)))
    elapsed = asyncio.get_running_loop().time() - started
    bare.close()
    return sagas / elapsed
