"""Migrations: what opening a file applies, what waits for a person, and what is refused."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import pytest

from amends.errors import StoreUnusable
from amends.stores.base import FrameRow
from amends.stores.sqlite import SQLiteStore, schema
from amends.stores.sqlite.sql import Migration, migrations


def with_migrations(monkeypatch, *more):
    """This release with further migrations than it has."""
    ours = (*migrations(), *more)
    monkeypatch.setattr(schema, "migrations", lambda: ours)


ADD = Migration(9001, "pre", "add", "ALTER TABLE amends_inbox ADD COLUMN colour TEXT NOT NULL DEFAULT '';\n")
DROP = Migration(9002, "post", "drop", "ALTER TABLE amends_inbox DROP COLUMN colour;\n")
LATER = Migration(9003, "pre", "later", "CREATE TABLE amends_later (x);\n")


def opened(path):
    async def main():
        store = SQLiteStore(path, busy_ms=50)
        await store.open()
        await store.start(FrameRow("a", 1, b"in"), None)
        found = await store.frames(["a"])
        store.close()
        return found

    return asyncio.run(main())


def has(path):
    with closing(sqlite3.connect(path)) as db:
        return {number for (number,) in db.execute("SELECT number FROM amends_migrations")}


OURS = {migration.number for migration in migrations()}


def test_a_new_file_gets_all_of_it(tmp_path, monkeypatch):
    with_migrations(monkeypatch, ADD, DROP)
    opened(tmp_path / "new.db")
    assert has(tmp_path / "new.db") == OURS | {9001, 9002}


def test_opening_applies_what_only_adds_and_leaves_the_last_removal_to_a_person(tmp_path, monkeypatch):
    path = tmp_path / "old.db"
    opened(path)
    with_migrations(monkeypatch, ADD, DROP)
    opened(path)
    assert has(path) == OURS | {9001}
    with schema.connected(path, busy_s=1, read_only=False) as db:
        assert [each.name for each in schema.migrate(db, path, last_post=True)] == ["drop"]
        assert schema.migrate(db, path, last_post=True) == []
    assert has(path) == OURS | {9001, 9002}
    assert list(opened(path)) == ["a"]


def test_opening_applies_a_removal_that_a_later_addition_stands_upon(tmp_path, monkeypatch):
    path = tmp_path / "old.db"
    opened(path)
    with_migrations(monkeypatch, ADD, DROP, LATER)
    opened(path)
    assert has(path) == OURS | {9001, 9002, 9003}


@pytest.mark.parametrize("older", sorted(OURS)[:-1])
def test_a_file_of_any_older_release_is_brought_up_with_all_that_it_holds(tmp_path, monkeypatch, older):
    path = tmp_path / "old.db"
    ours = migrations()
    with monkeypatch.context() as patch:
        patch.setattr(schema, "migrations", lambda: ours[:older])
        with schema.connected(path, busy_s=1, read_only=False) as db:
            schema.migrate(db, path)
            db.execute("INSERT INTO amends_journal (saga_id, seq, body) VALUES ('old', 1, x'01')")
    assert has(path) == set(range(1, older + 1))
    opened(path)
    assert has(path) == OURS
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM amends_journal WHERE saga_id = 'old'").fetchone() == (1,)


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "old.db"
    opened(path)
    with_migrations(monkeypatch, ADD, Migration(9004, "pre", "broken", "CREATE TABLE amends_inbox (x);\n"))
    with closing(sqlite3.connect(path)) as db:
        before = db.execute("SELECT sql FROM sqlite_schema ORDER BY name").fetchall()
    with pytest.raises(StoreUnusable, match="amends_inbox already exists"):
        opened(path)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT sql FROM sqlite_schema ORDER BY name").fetchall() == before
