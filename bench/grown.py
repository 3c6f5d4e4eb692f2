"""Speed with ten million ended sagas in the store, beside an empty store.

    python bench/grown.py [--ended 10000000] [--pairs 3] [--sagas 20000] [--postgres]

A hundred sagas are run for real; their rows (journal, lists) are then copied in bulk under other ids until there are so
many. Each run on that store is paired with one on an empty store. On SQLite the store is one file; on PostgreSQL both
are databases of one server. Room needed on disk: about 1.5 kB an ended saga.
"""

from __future__ import annotations

import argparse
import gc
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent))
import psycopg
from figures import tell
from orchestrator import build, ours, runner
from postgres import ours as ours_on_postgres

from amends import Orchestrator
from amends.runtime.tuning import tune_process
from tests.servers.postgres import databases

TEMPLATES = 100
CHUNK = 500_000


async def lists_brought_up(address: str) -> None:
    """The rows of the lists of what was run."""
    async with Orchestrator(address, sagas=[build(fails=False)]) as orchestrator:
        assert await orchestrator.count() >= TEMPLATES


def sqlite_template(path: Path) -> None:
    with runner() as loop:
        loop.run(ours(path, build(fails=False), TEMPLATES, 10))
        loop.run(lists_brought_up(f"sqlite:///{path}"))


def fill_sqlite(path: Path, ended: int) -> None:
    """Copy one saga's rows `ended` times, in the order of the copies' ids."""
    sqlite_template(path)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous = OFF")
    triggers = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        db.execute(f"DROP TRIGGER {name}")
    (one,) = db.execute("SELECT max(saga_id) FROM amends_journal").fetchone()
    columns = [row[1] for row in db.execute("PRAGMA table_info(amends_summaries)") if row[1] != "saga_id"]
    kept = ", ".join(columns)
    copied = ", ".join(f"replace({name}, '{one}', id)" if name == "body" else name for name in columns)
    for start in range(0, ended, CHUNK):
        numbers = (start, min(ended, start + CHUNK))
        ids = "WITH RECURSIVE n(i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?), "
        ids += "ids(id) AS (SELECT printf('01A%023d', i) FROM n)"
        db.execute("BEGIN")
        db.execute(
            f"{ids} INSERT INTO amends_journal (saga_id, seq, body) SELECT id, seq, body FROM ids CROSS JOIN "
            f"(SELECT seq, body FROM amends_journal WHERE saga_id = '{one}' ORDER BY seq)",
            numbers,
        )
        db.execute(
            f"{ids} INSERT INTO amends_summaries (saga_id, {kept}) SELECT id, {copied} FROM ids CROSS JOIN "
            f"(SELECT {kept} FROM amends_summaries WHERE saga_id = '{one}')",
            numbers,
        )
        db.execute("COMMIT")
    db.execute("UPDATE amends_meta SET value = (SELECT max(position) FROM amends_journal) WHERE name = 'projected'")
    for _, sql in triggers:
        db.execute(sql)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    os.sync()  # or the first checkpoint of what is measured would flush gigabytes of what was copied


def fill_postgres(address: str, ended: int) -> None:
    """The same on PostgreSQL; positions lie below those that the store will give."""
    with runner() as loop:
        loop.run(ours_on_postgres(address, build(fails=False), TEMPLATES, 10, lambda: (0.0, 0.0)))
        loop.run(lists_brought_up(address))
    with psycopg.connect(address, autocommit=True) as db:
        db.execute("SET synchronous_commit = off")
        row = db.execute("SELECT max(saga_id) FROM amends_journal").fetchone()
        assert row is not None
        one = row[0]
        names = db.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'amends_summaries'::regclass AND attnum > 0"
            " AND NOT attisdropped AND attname <> 'saga_id'"
        ).fetchall()
        kept = ", ".join(name for (name,) in names)
        for start in range(0, ended, CHUNK):
            ids = f"generate_series({start}, {min(ended, start + CHUNK) - 1}) AS i"
            new = "'01A' || lpad(i::text, 23, '0')"
            db.execute(
                f"INSERT INTO amends_journal (position, seq, shard, saga_id, body) SELECT i::bigint * 8 + seq, seq,"
                f" i % 64, {new}, body FROM {ids} CROSS JOIN (SELECT seq, body FROM amends_journal"
                f" WHERE saga_id = '{one}' ORDER BY seq) AS t"
            )
            db.execute(
                f"INSERT INTO amends_summaries (saga_id, {kept}) SELECT {new}, {kept} FROM {ids} CROSS JOIN"
                f" (SELECT {kept} FROM amends_summaries WHERE saga_id = '{one}') AS t"
            )
        db.execute("SELECT setval('amends_transactions', %s)", (ended * 8 // 65_536 + 1_000_000,))
        db.execute("UPDATE amends_marks SET position = greatest(position, %s)", (ended * 8 + 8,))
        db.execute("VACUUM ANALYZE")  # as the server's autovacuum does by and by
        db.execute("CHECKPOINT")
    os.sync()


def compare(where: str, grown: Callable[[], float], empty: Callable[[], float], pairs: int) -> None:
    ratios, speeds = [], []
    for _ in range(pairs):
        gc.collect()
        mine, beside = grown(), empty()
        ratios.append(mine / beside)
        speeds.append((mine, beside))
    mine, beside = (statistics.median(column) for column in zip(*speeds, strict=True))
    print(
        f"{where}: {mine:,.0f}/s, beside {beside:,.0f}/s on an empty one: {statistics.median(ratios):.2f} "
        f"(median of {pairs} pairs)",
        flush=True,
    )
    tell(f"grown, {where}: to an empty store", statistics.median(ratios), at_least=0.9, ratio=True)


def on_sqlite(given: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "grown.db")
        started = time.monotonic()
        fill_sqlite(path, given.ended)
        print(
            f"SQLite: {given.ended:,} ended sagas, {path.stat().st_size / 2**30:.1f} GiB, "
            f"made in {time.monotonic() - started:.0f} s",
            flush=True,
        )

        def run(into: Path) -> float:
            with runner() as loop:
                return loop.run(ours(into, build(fails=False), given.sagas, 1_000))

        number = iter(range(1_000))
        compare("SQLite", lambda: run(path), lambda: run(Path(folder, f"empty-{next(number)}.db")), given.pairs)


def on_postgres(given: argparse.Namespace) -> None:
    with databases() as server:
        grown = server.new()
        started = time.monotonic()
        fill_postgres(grown, given.ended)
        with psycopg.connect(grown) as db:
            row = db.execute("SELECT pg_database_size(current_database())").fetchone()
            assert row is not None
        print(
            f"PostgreSQL: {given.ended:,} ended sagas, {row[0] / 2**30:.1f} GiB, "
            f"made in {time.monotonic() - started:.0f} s",
            flush=True,
        )

        def run(address: str) -> float:
            with runner() as loop:
                found = loop.run(ours_on_postgres(address, build(fails=False), given.sagas, 1_000, lambda: (0.0, 0.0)))
                return found[0]

        compare("PostgreSQL", lambda: run(grown), lambda: run(server.new()), given.pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ended", type=int, default=10_000_000)
    parser.add_argument("--sagas", type=int, default=20_000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL as well")
    given = parser.parse_args()
    tune_process()
    on_sqlite(given)
    if given.postgres:
        on_postgres(given)


if __name__ == "__main__":
    main()
