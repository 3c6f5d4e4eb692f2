"""Which way to write the journal into SQLite is fastest beside a busy event loop?

    python bench/store_layout.py [batches] [frames per batch]

It compares journal layouts (a rowid table with a UNIQUE index; a WITHOUT ROWID table with one list row
per batch) and ways to hand over a batch (one statement with many VALUES; json_each over one bound
parameter; a TEMP trigger that makes the whole transaction *one* call; executemany) in three
surroundings: alone, beside a group-commit loop of 1,000 waiting tasks, and beside callbacks that burn
the interpreter. `stores/sqlite` was built on its figures; a SQLite call waits up to the interpreter's
switch interval (5 ms) for the GIL each time it returns, so the *number* of calls is what counts.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from amends.stores.base import Batch, FrameRow, Lease, Owner
from amends.stores.sqlite.writer import Writer

Row = tuple[str, int, bytes]
BODY = b'[1,1790000000000,[["ok",3,{"payment_id":"p-000000000000","amount":1999,"note":"%s"}],["a",4]]]'
BODY = BODY % (b"x" * (150 - len(BODY) + 2))
IN_FLIGHT, FRAMES_EACH = 1_000, 5

HEAD = """
PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000;
CREATE TABLE lease (one INTEGER PRIMARY KEY, epoch INTEGER, batch INTEGER);
INSERT INTO lease VALUES (1, 1, 0);
CREATE TABLE open_sagas (number INTEGER PRIMARY KEY, saga_id TEXT NOT NULL UNIQUE, due INTEGER NOT NULL DEFAULT 0);
"""
ROWID = """
CREATE TABLE journal (position INTEGER PRIMARY KEY, saga_id TEXT NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL,
                      UNIQUE (saga_id, seq));
"""
KEYED = """
CREATE TABLE journal (saga_id TEXT NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL,
                      PRIMARY KEY (saga_id, seq)) WITHOUT ROWID;
CREATE TABLE batches (number INTEGER PRIMARY KEY, rows TEXT NOT NULL);
"""
GUARD = """
CREATE TRIGGER journal_is_append_only BEFORE UPDATE ON journal BEGIN SELECT raise(ABORT, 'append only'); END;
CREATE TRIGGER journal_keeps BEFORE DELETE ON journal BEGIN SELECT raise(ABORT, 'append only'); END;
"""
ONE_CALL = """
CREATE TEMP VIEW one_batch AS SELECT 0 epoch, 0 number, '' rows, x'' bodies, '' opened, '' closed;
CREATE TEMP TRIGGER apply_batch INSTEAD OF INSERT ON one_batch BEGIN
  UPDATE lease SET batch = NEW.number WHERE one = 1 AND epoch = NEW.epoch AND batch = NEW.number - 1;
  SELECT raise(ABORT, 'lease') WHERE changes() = 0;
  INSERT INTO journal (saga_id, seq, body)
    SELECT value ->> 0, value ->> 1, substr(NEW.bodies, value ->> 2, value ->> 3) FROM json_each(NEW.rows);
  INSERT INTO open_sagas (saga_id) SELECT value FROM json_each(NEW.opened);
  DELETE FROM open_sagas WHERE saga_id IN (SELECT value FROM json_each(NEW.closed));
END;
"""


def values_sql(count: int) -> str:
    return "INSERT INTO journal (saga_id, seq, body) VALUES " + ",".join(["(?,?,?)"] * count)


SIZES = (512, 256, 128, 64, 32, 16, 8, 4, 2, 1)
CHUNKS = {size: values_sql(size) for size in SIZES}


def by_values(db: sqlite3.Connection, rows: list[Row], opened: list[str], closed: list[str], number: int) -> None:
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE lease SET batch = ? WHERE one = 1 AND epoch = 1 AND batch = ?", (number, number - 1))
    at = 0
    while at < len(rows):
        size = next(s for s in SIZES if s <= len(rows) - at)
        db.execute(CHUNKS[size], [field for row in rows[at : at + size] for field in row])
        at += size
    sets(db, opened, closed)
    db.execute("COMMIT")


def by_exact_values(db: sqlite3.Connection, rows: list[Row], opened: list[str], closed: list[str], number: int) -> None:
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE lease SET batch = ? WHERE one = 1 AND epoch = 1 AND batch = ?", (number, number - 1))
    db.execute(values_sql(len(rows)), [field for row in rows for field in row])
    sets(db, opened, closed)
    db.execute("COMMIT")


def sets(db: sqlite3.Connection, opened: list[str], closed: list[str]) -> None:
    db.execute("INSERT INTO open_sagas (saga_id) SELECT value FROM json_each(?)", (json.dumps(opened),))
    db.execute("DELETE FROM open_sagas WHERE saga_id IN (SELECT value FROM json_each(?))", (json.dumps(closed),))


def index_of(rows: list[Row]) -> tuple[str, bytes]:
    listed, at = [], 1
    for saga_id, seq, body in rows:
        listed.append((saga_id, seq, at, len(body)))
        at += len(body)
    return json.dumps(listed), b"".join([row[2] for row in rows])


def by_json(db: sqlite3.Connection, rows: list[Row], opened: list[str], closed: list[str], number: int) -> None:
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE lease SET batch = ? WHERE one = 1 AND epoch = 1 AND batch = ?", (number, number - 1))
    db.execute(
        "INSERT INTO journal (saga_id, seq, body) SELECT value ->> 0, value ->> 1, substr(?2, value ->> 2, value ->> 3)"
        " FROM json_each(?1)",
        index_of(rows),
    )
    sets(db, opened, closed)
    db.execute("COMMIT")


def by_one_call(db: sqlite3.Connection, rows: list[Row], opened: list[str], closed: list[str], number: int) -> None:
    listed, bodies = index_of(rows)
    db.execute(
        "INSERT INTO one_batch VALUES (1, ?, ?, ?, ?, ?)",
        (number, listed, bodies, json.dumps(opened), json.dumps(closed)),
    )


def by_executemany(db: sqlite3.Connection, rows: list[Row], opened: list[str], closed: list[str], number: int) -> None:
    db.execute("BEGIN IMMEDIATE")
    db.executemany("INSERT INTO journal (saga_id, seq, body) VALUES (?,?,?)", rows)
    sets(db, opened, closed)
    db.execute("COMMIT")


def keyed_values(db: sqlite3.Connection, rows: list[Row], opened: list[str], closed: list[str], number: int) -> None:
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE lease SET batch = ? WHERE one = 1 AND epoch = 1 AND batch = ?", (number, number - 1))
    db.execute(values_sql(len(rows)), [field for row in rows for field in row])
    db.execute("INSERT INTO batches VALUES (?, ?)", (number, json.dumps([row[:2] for row in rows])))
    sets(db, opened, closed)
    db.execute("COMMIT")


def as_built(db: sqlite3.Connection, rows: list[Row], opened: list[str], closed: list[str], number: int) -> None:
    batch = Batch(number, [FrameRow(*row) for row in rows], opened=opened, closed=closed)
    WRITERS[db].commit(db, Lease(1, "bench", 0), batch)


Write = Callable[[sqlite3.Connection, list[Row], list[str], list[str], int], None]
WAYS: dict[str, tuple[str, Write]] = {
    "rowid, chunked VALUES": (ROWID, by_values),
    "rowid, exact VALUES": (ROWID, by_exact_values),
    "rowid, json_each": (ROWID, by_json),
    "rowid, one call": (ROWID + ONE_CALL, by_one_call),
    "rowid, one call, guarded": (ROWID + ONE_CALL + GUARD, by_one_call),
    "rowid, executemany": (ROWID, by_executemany),
    "without rowid, VALUES": (KEYED, keyed_values),
    "stores/sqlite, as built": ("", as_built),
}
WRITERS: dict[sqlite3.Connection, Writer] = {}


class Load:
    """The frames of 1,000 sagas in flight, of five frames each; a batch advances `size` of them by one."""

    def __init__(self, size: int) -> None:
        self.size, self.made, self.number = size, 0, 0
        self.flight = [self._new() for _ in range(IN_FLIGHT)]
        self.at = 0

    def _new(self) -> list[object]:
        self.made += 1
        return [f"01JB{self.made:022d}", 0]

    def batch(self) -> tuple[list[Row], list[str], list[str], int]:
        rows: list[Row] = []
        opened, closed = [], []
        for _ in range(self.size):
            saga = self.flight[self.at]
            saga[1] = int(str(saga[1])) + 1
            saga_id, seq = str(saga[0]), int(str(saga[1]))
            rows.append((saga_id, seq, BODY))
            if seq == 1:
                opened.append(saga_id)
            if seq == FRAMES_EACH:
                closed.append(saga_id)
                self.flight[self.at] = self._new()
            self.at = (self.at + 1) % IN_FLIGHT
        self.number += 1
        return rows, opened, closed, self.number


def connect(folder: str, schema: str) -> sqlite3.Connection:
    if not schema:
        writer = Writer(Path(folder) / "journal.db", busy_s=5.0)
        opened = writer.connect()
        writer.acquire(opened, Owner("bench"), 1, 1)
        WRITERS[opened] = writer
        return opened
    db = sqlite3.connect(Path(folder) / "journal.db", isolation_level=None)
    db.executescript(HEAD + schema)
    return db


def alone(db: sqlite3.Connection, write: Write, batches: int, size: int) -> float:
    load = Load(size)
    made = [load.batch() for _ in range(batches)]
    began = time.perf_counter()
    for batch in made:
        write(db, *batch)
    return batches * size / (time.perf_counter() - began)


async def beside(db: sqlite3.Connection, write: Write, batches: int, size: int, burn_us: int) -> float:
    """Commit in a thread while the loop runs the waiting tasks, and callbacks that burn `burn_us` at a time."""
    loop, load = asyncio.get_running_loop(), Load(size)
    waiting: list[asyncio.Future[None]] = []
    stop = False

    async def saga() -> None:
        while not stop:
            future = loop.create_future()
            waiting.append(future)
            await future

    def burn() -> None:
        until = time.perf_counter() + burn_us / 1e6
        while time.perf_counter() < until:
            pass
        if not stop:
            loop.call_soon(burn)

    tasks = [asyncio.ensure_future(saga()) for _ in range(IN_FLIGHT)]
    await asyncio.sleep(0)
    if burn_us:
        loop.call_soon(burn)
    began = time.perf_counter()
    for _ in range(batches):
        batch, acknowledged = load.batch(), waiting[:size]
        del waiting[:size]
        done = loop.create_future()

        def job(batch: tuple[list[Row], list[str], list[str], int] = batch, done: asyncio.Future[None] = done) -> None:
            write(db, *batch)
            loop.call_soon_threadsafe(done.set_result, None)

        jobs.append(job)
        wake.release()
        await done
        for future in acknowledged:
            future.set_result(None)
        await asyncio.sleep(0)
    took = time.perf_counter() - began
    stop = True
    for future in waiting:
        future.set_result(None)
    await asyncio.gather(*tasks)
    return batches * size / took


jobs: list[Callable[[], None]] = []
wake = threading.Semaphore(0)


def in_worker(job: Callable[[], object]) -> object:
    """A connection belongs to the thread that made it, so everything of it is done there."""
    answer: list[object] = []
    done = threading.Semaphore(0)

    def run() -> None:
        answer.append(job())
        done.release()

    jobs.append(run)
    wake.release()
    done.acquire()
    return answer[0]


def worker() -> None:
    while True:
        wake.acquire()
        jobs.pop(0)()


def main() -> None:
    batches = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    size = int(sys.argv[2]) if len(sys.argv) > 2 else 500
    threading.Thread(target=worker, daemon=True).start()
    print(f"{batches} batches of {size} frames of {len(BODY)} bytes; frames/s")
    print(f"{'':28}{'alone':>10}{'1000 tasks':>12}{'burn 1ms':>12}{'burn 20ms':>12}")
    for name, (schema, write) in WAYS.items():
        figures = []
        for burn_us in (-1, 0, 1_000, 20_000):
            with tempfile.TemporaryDirectory(dir=".") as folder:
                db = in_worker(partial(connect, folder, schema))
                assert isinstance(db, sqlite3.Connection)
                if burn_us < 0:
                    figure = in_worker(partial(alone, db, write, batches, size))
                else:
                    few = max(batches // 10, 3) if burn_us else batches
                    figure = asyncio.run(beside(db, write, few, size, burn_us))
                figures.append(figure)
                in_worker(db.close)
        print(f"{name:28}" + "".join(f"{figure:12,.0f}" for figure in figures), flush=True)


if __name__ == "__main__":
    main()
