"""A database of an older release: upgraded when it is opened, with its projection folded anew."""

from __future__ import annotations

import asyncio
import json
import sqlite3

import msgspec
import pytest

from amends.core.filters import Filter
from amends.core.summary import SHAPE, Summary, hold_of
from amends.stores.sqlite import SQLiteStore
from amends.stores.sqlite.schema import _MADE
from amends.stores.sqlite.sql import migrations, statements
from amends.testing.journals import definition, folded, story

DEFINITIONS = [definition(), definition("order")]
OF_RELEASE_1 = {
    "saga_id", "name", "version", "fingerprint", "status", "step", "cause", "key", "correlation", "started", "updated",
    "ended", "deadline", "seq", "paused", "anomalous", "followup_failed", "turned_back", "holds", "held",
}  # fmt: skip


def expected():
    return folded(story(), DEFINITIONS)


def write_as_release_1(db, summaries):
    """What the first release's projection writes, word for word."""
    for each in summaries:
        body = {name: value for name, value in msgspec.to_builtins(each).items() if name in OF_RELEASE_1}
        db.execute(
            "REPLACE INTO amends_summaries (saga_id, name, status, key, hold, anomalous, followup_failed, body) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                each.saga_id, each.name, each.status, each.key, hold_of(each), each.anomalous, each.followup_failed,
                json.dumps(body),
            ),
        )  # fmt: skip


@pytest.fixture
def old(tmp_path):
    """A file as the first migration made it, with six sagas, all of them projected."""
    path = tmp_path / "old.db"
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(_MADE)
    first = migrations()[0]
    for statement in statements(first.text):
        db.execute(statement)
    db.execute("INSERT INTO amends_migrations VALUES (?, ?, ?)", first[:3])
    for row in DEFINITIONS:
        db.execute(
            "INSERT INTO amends_definitions VALUES (?, ?, ?, ?)",
            (row.name, row.version, row.fingerprint, row.structure),
        )
    for frame in story():
        db.execute(
            "INSERT INTO amends_journal (saga_id, seq, body) VALUES (?, ?, ?)",
            tuple(msgspec.to_builtins(frame, builtin_types=(bytes,))),
        )
    write_as_release_1(db, expected())
    db.execute("UPDATE amends_meta SET value = (SELECT max(position) FROM amends_journal) WHERE name = 'projected'")
    db.close()
    return path


def listed(path):
    async def main():
        store = SQLiteStore(path)
        await store.open()
        found = await store.summaries(Filter(), before="", limit=100)
        store.close()
        return found

    return asyncio.run(main())


def test_a_database_of_the_first_release_lists_what_its_journal_says(old):
    assert listed(old) == expected()
    assert any(each.failed for each in expected())  # which the old rows did not know


def test_rows_that_the_first_release_writes_beside_a_newer_one_are_folded_anew_at_the_next_start(old):
    assert listed(old) == expected()
    db = sqlite3.connect(old)
    write_as_release_1(db, expected())
    db.commit()
    db.close()
    assert listed(old) == expected()


def test_a_database_that_is_up_to_date_is_not_folded_anew(old):
    listed(old)
    db = sqlite3.connect(old)
    db.execute("""UPDATE amends_summaries SET body = json_set(body, '$.cause', 'kept') WHERE saga_id = 's1'""")
    db.commit()
    db.close()
    assert [each.cause for each in listed(old) if each.saga_id == "s1"] == ["kept"]


def test_every_column_of_a_row_says_what_its_summary_says(old):
    listed(old)
    db = sqlite3.connect(old)
    db.row_factory = sqlite3.Row
    rows = db.execute("SELECT * FROM amends_summaries ORDER BY saga_id DESC").fetchall()
    failed = db.execute("SELECT saga_id, step FROM amends_failed ORDER BY saga_id, step").fetchall()
    db.close()
    columns = {name for name in rows[0].keys() if name != "body"}  # noqa: SIM118 (a Row is no mapping)
    for row, summary in zip(rows, expected(), strict=True):
        said = {**msgspec.to_builtins(summary), "hold": hold_of(summary), "waiting": summary.waiting_since}
        assert {name: row[name] for name in columns} == {name: {**said, "shape": SHAPE}[name] for name in columns}
        assert msgspec.json.decode(row["body"], type=Summary) == summary
    assert [tuple(row) for row in failed] == sorted((each.saga_id, step) for each in expected() for step in each.failed)


def test_definitions_of_the_first_release_are_there_and_nothing_of_them_is_redacted(old):
    async def main():
        store = SQLiteStore(old)
        await store.open()
        found = await store.definitions()
        store.close()
        return found

    found = asyncio.run(main())
    assert sorted(found, key=lambda row: (row.name, row.version)) == sorted(
        DEFINITIONS, key=lambda row: (row.name, row.version)
    )
    assert {row.redactions for row in found} == {b""}
