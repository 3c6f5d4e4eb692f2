"""The ceiling on PostgreSQL: a loop that only group-commits frames and resolves futures. No saga, no feature.

As `bare_loop.py`: one task per saga in flight encodes its frames and awaits them, one after the other. Two connections,
each with a thread, commit whatever gathered: the same journal rows and the same open sagas that the orchestrator
writes, with the same indexes, as one statement.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from typing import Any

import msgspec
import psycopg

SCHEMA = """
CREATE TABLE bare_journal (position bigint NOT NULL, seq integer NOT NULL, shard smallint NOT NULL,
                           saga_id text COLLATE "C" NOT NULL, body bytea NOT NULL, PRIMARY KEY (saga_id, seq));
CREATE INDEX ON bare_journal (shard, position);
CREATE SEQUENCE bare_position;
CREATE TABLE bare_open (number bigint NOT NULL, saga_id text COLLATE "C" PRIMARY KEY);
"""
COMMIT = """
WITH frames AS (
    INSERT INTO bare_journal
    SELECT first + place, seq, 0, saga_id, body
    FROM (SELECT nextval('bare_position') << 16 AS first) AS one,
         unnest(%b::text[], %b::integer[], %b::bytea[]) WITH ORDINALITY AS row (saga_id, seq, body, place)
), opened AS (
    INSERT INTO bare_open SELECT 0, saga_id FROM unnest(%b::text[]) AS row (saga_id)
)
DELETE FROM bare_open WHERE saga_id = ANY (%b::text[])
"""
LANES = 2
encode = msgspec.json.Encoder().encode


class Lane:
    """One connection: what its next transaction writes, and who waits for it."""

    def __init__(self, address: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._work: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._flushing = False
        self._fresh()
        self._thread = threading.Thread(target=self._write, args=(address,))
        self._thread.start()

    def _fresh(self) -> None:
        self._rows: tuple[list[str], list[int], list[bytes], list[str], list[str]] = ([], [], [], [], [])
        self._futures: list[asyncio.Future[None]] = []

    def append(self, saga_id: str, seq: int, body: bytes, *, last: bool) -> asyncio.Future[None]:
        """A future that is done when the frame is durable."""
        future: asyncio.Future[None] = self._loop.create_future()
        ids, seqs, bodies, opened, closed = self._rows
        ids.append(saga_id)
        seqs.append(seq)
        bodies.append(body)
        if seq == 1:
            opened.append(saga_id)
        if last:
            closed.append(saga_id)
        self._futures.append(future)
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)
        return future

    def close(self) -> None:
        self._work.put(None)
        self._thread.join()

    def _flush(self) -> None:
        self._work.put((self._rows, self._futures))
        self._fresh()

    def _done(self, futures: list[asyncio.Future[None]]) -> None:
        for future in futures:
            future.set_result(None)
        if self._futures:
            self._loop.call_soon(self._flush)
        else:
            self._flushing = False

    def _write(self, address: str) -> None:
        with psycopg.connect(address, autocommit=True, prepare_threshold=0) as connection:
            while (work := self._work.get()) is not None:
                rows, futures = work
                connection.execute(COMMIT, rows)
                self._loop.call_soon_threadsafe(self._done, futures)


async def run(address: str, frames: list[Any], sagas: int, in_flight: int) -> float:
    """Sagas per second when each encodes and commits `frames` one after the other."""
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(SCHEMA)
    lanes = [Lane(address) for _ in range(LANES)]
    numbers = iter(range(sagas))

    async def client() -> None:
        for number in numbers:
            saga_id, lane = f"{number:026d}", lanes[number % LANES]
            for seq, frame in enumerate(frames, 1):
                await lane.append(saga_id, seq, encode(frame), last=seq == len(frames))

    started = asyncio.get_running_loop().time()
    await asyncio.gather(*(client() for _ in range(in_flight)))
    elapsed = asyncio.get_running_loop().time() - started
    for lane in lanes:
        lane.close()
    return sagas / elapsed
