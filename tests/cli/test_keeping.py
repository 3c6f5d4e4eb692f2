"""prune and migrate: what they print, what they leave alone, and how they end."""

import asyncio
import json
import re
import sqlite3
import time
from contextlib import closing

import pytest

from amends.stores.owner import this_process
from amends.stores.sqlite import SQLiteStore, schema
from amends.stores.sqlite.sql import Migration, migrations
from tests.cli import processes
from tests.cli.journals import compensated, completed, requires_manual, write


@pytest.fixture
def three(place):
    path = place / "amends.db"
    write(path, compensated(), completed(), requires_manual())
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DELETE FROM amends_open WHERE saga_id <> '01MANUAL'")  # as who leads closes them
    return path


def ids(call):
    return sorted(json.loads(line)["id"] for line in call("list", "-o", "jsonl").out.splitlines())


# --- prune ---------------------------------------------------------------------------------------


def test_prune_removes_what_ended_long_ago_and_says_how_many(three, call):
    said = call("prune", "--older", "1h", "--dry-run")
    assert (said.code, said.out) == (0, "would prune 2 sagas\n")
    assert len(ids(call)) == 3
    said = call("prune", "--older", "1h", "-o", "json")
    assert json.loads(said.out) == {"sagas": 2, "rows": 0, "more": False, "bytes": 0, "dry_run": False}
    assert ids(call) == ["01MANUAL"]
    gone = call("show", "01COMPLETED")
    assert gone.code == 3
    assert "01COMPLETED of book_trip is gone from" in gone.err
    assert call("prune", "--older", "1h").out == "pruned 0 sagas\n"


def test_prune_with_an_archive_keeps_them_where_they_can_still_be_shown(three, call):
    was = call("history", "01COMPLETED", "-o", "jsonl").out
    assert call("prune", "--older", "1h", "--archive", "sqlite:///archive.db").out == "pruned 2 sagas\n"
    assert call("show", "01COMPLETED").code == 3
    assert call("history", "01COMPLETED", "-o", "jsonl", "--store", "sqlite:///archive.db").out == was
    assert call("count", "--store", "sqlite:///archive.db").out == "2\n"


def test_prune_is_narrowed_by_age_status_filter_and_limit(three, call):
    assert call("prune", "--older", "3600d", "--dry-run").out == "would prune 0 sagas\n"
    assert call("prune", "--older", "1h", "--status", "compensated", "--dry-run").out == "would prune 1 saga\n"
    assert call("prune", "--older", "1h", "--filter", "-status:compensated", "--dry-run").out == "would prune 1 saga\n"
    said = call("prune", "--older", "1h", "--limit", "1", "--batch", "1")
    assert (said.out, said.err) == ("pruned 1 saga\n", "there are more; see --limit\n")
    assert len(ids(call)) == 2


def test_prune_takes_those_with_an_anomaly_only_when_asked(three, call):
    with closing(sqlite3.connect(three, isolation_level=None)) as db:
        call("list")
        db.execute("UPDATE amends_summaries SET anomalous = 1, followup_failed = 1")
    assert call("prune", "--older", "1h", "--dry-run").out == "would prune 0 sagas\n"
    assert call("prune", "--older", "1h", "--anomalous", "--dry-run").out == "would prune 0 sagas\n"
    assert call("prune", "--older", "1h", "--followup-failed", "--dry-run").out == "would prune 0 sagas\n"
    both = call("prune", "--older", "1h", "--anomalous", "--followup-failed", "--dry-run")
    assert both.out == "would prune 2 sagas\n"


def test_prune_keeps_keys_as_long_as_it_is_told(three, call):
    call("prune", "--older", "1h")
    assert "and 2 old keys" not in call("prune", "--older", "1h", "--key-retention", "1d").out
    assert call("prune", "--older", "1h", "--key-retention", "0s").out.endswith("and 2 old keys and commands\n")
    assert "no saga 01COMPLETED" in call("show", "01COMPLETED").err


def test_vacuum_gives_space_back_and_not_beside_a_worker(three, call):
    with closing(sqlite3.connect(three, isolation_level=None)) as db:
        db.execute("CREATE TABLE ballast AS SELECT zeroblob(4000000) AS x")
        db.execute("DROP TABLE ballast")
    size = three.stat().st_size

    async def hold(store):
        lease = await store.acquire(this_process(), ttl_ms=60_000, now=time.time_ns() // 1_000_000)
        assert lease is not None
        return lease

    async def beside_a_worker():
        store = SQLiteStore(three)
        await store.open()
        lease = await hold(store)
        said = await asyncio.to_thread(call, "prune", "--older", "1h", "--vacuum")
        await store.release(lease)
        store.close()
        return said

    said = asyncio.run(beside_a_worker())
    assert said.code == 4
    assert "a worker leads" in said.err
    said = call("prune", "--older", "1h", "--vacuum")
    assert said.code == 0
    assert said.out.startswith("pruned 2 sagas; 3.")
    assert three.stat().st_size < size / 10


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), 2),
        (("--older", "soon"), 2),
        (("--older", "1d", "--limit", "0"), 2),
        (("--older", "1d", "--filter", "status:"), 2),
        (("--older", "1d", "--status", "asleep"), 2),
        (("--older", "1d", "--store", "sqlite:///nowhere.db"), 5),
    ],
)
def test_a_pruning_that_cannot_be_is_refused(three, call, words, code):
    said = call("prune", *words)
    assert said.code == code
    assert said.out == ""
    assert len(ids(call)) == 3


def test_a_worker_prunes_what_it_is_told_to_keep_no_longer(three, call):
    with processes.worker("--retention", "1h", "--key-retention", "0s"):
        processes.until(lambda: ids(call) == ["01MANUAL"])
    assert call("worker", "--app", "cli_app:sagas", "--retention", "soon").code == 2


# --- migrate -------------------------------------------------------------------------------------

OURS = [f"{each.number:04d}_{each.kind}_{each.name}.sql" for each in migrations()]
NEXT = (
    Migration(9001, "pre", "add", "ALTER TABLE amends_inbox ADD COLUMN colour TEXT NOT NULL DEFAULT '';\n"),
    Migration(9002, "post", "drop", "ALTER TABLE amends_inbox DROP COLUMN colour;\n"),
)


@pytest.fixture
def next_release(monkeypatch):
    ours = (*migrations(), *NEXT)
    monkeypatch.setattr(schema, "migrations", lambda: ours)


def test_migrate_prints_the_sql_and_what_is_applied_and_changes_nothing(three, call):
    before = three.read_bytes()
    said = call("migrate", "--print")
    heads = [line for line in said.out.splitlines() if line.startswith("-- 0")]
    assert heads == [f"-- {name}: applied in {three.name}" for name in OURS]
    for each in migrations():
        assert each.text in said.out
    records = json.loads(call("migrate", "--print", "-o", "json").out)
    assert [(each["number"], each["applied"], each["sql"]) for each in records] == [
        (each.number, True, each.text) for each in migrations()
    ]
    assert three.read_bytes() == before


def test_what_migrate_prints_makes_the_schema_that_migrate_makes(place, call):
    with closing(sqlite3.connect(place / "by_hand.db")) as by_hand:
        by_hand.executescript(call("migrate", "--print").out)
        assert not (place / "amends.db").exists()
        call("migrate")
        with closing(sqlite3.connect(place / "amends.db")) as made:
            look = "SELECT name, sql FROM sqlite_schema WHERE name <> 'amends_migrations' ORDER BY name"
            assert by_hand.execute(look).fetchall() == made.execute(look).fetchall()


def test_migrate_applies_what_opening_leaves_to_a_person(three, call, next_release):
    said = call("migrate", "--check")
    assert (said.code, said.out) == (1, "9001_pre_add.sql  missing\n9002_post_drop.sql  missing\n")
    call("list")  # opening adds
    said = call("migrate", "--check")
    assert (said.code, said.out) == (1, "9002_post_drop.sql  missing\n")
    said = call("migrate")
    assert (said.code, said.out) == (0, "9002_post_drop.sql  applied\n")
    said = call("migrate")
    assert (said.code, said.out, said.err) == (0, "", f"{three.name} has the schema of this release\n")
    assert call("migrate", "--check").code == 0
    assert json.loads(call("migrate", "--check", "-o", "json").out) == []


def test_migrate_makes_a_store_and_a_look_makes_none(place, call):
    assert call("migrate", "--check").code == 1
    assert not (place / "amends.db").exists()
    assert call("migrate").out.splitlines() == [f"{name}  applied" for name in OURS]
    assert call("list").code == 0


def test_a_file_of_a_newer_release_is_refused_and_left_alone(three, call):
    with closing(sqlite3.connect(three, isolation_level=None)) as db:
        db.execute("INSERT INTO amends_migrations VALUES (9000, 'post', 'drop_old')")
    before = three.read_bytes()
    for words in ((), ("--check",), ("--print",)):
        said = call("migrate", *words)
        assert said.code == 5
        assert "AM6032" in said.err and "9000_post_drop_old" in said.err
    assert three.read_bytes() == before


def test_a_locked_file_is_said_to_be_locked(three, call, next_release, monkeypatch):
    monkeypatch.setattr("amends.stores.sqlite.schema._BUSY_S", 0.05)
    with closing(sqlite3.connect(three, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        said = call("migrate")
        assert said.code == 5
        assert "AM6011" in said.err and "locked" in said.err
        assert call("migrate", "--check").code == 1  # to look takes no lock
        db.execute("ROLLBACK")
    assert call("migrate").code == 0


def test_what_cannot_be_migrated_says_why(place, call):
    (place / "notes.db").write_text("Dear diary, " * 1_000)
    said = call("migrate", "--store", "sqlite:///notes.db")
    assert (said.code, "AM6031" in said.err) == (5, True)
    said = call("migrate", "--store", "sqlite:///no/such.db")
    assert (said.code, "AM6034" in said.err) == (5, True)
    assert call("migrate", "--store", "sqlite://").code == 2
    assert call("migrate", "--print", "--check").code == 2


# --- what lapses ---------------------------------------------------------------------------------

LAPSING = """
from amends import Saga, step, wait_for


@step(expires="7d")
async def authorize(order: dict) -> int:
    return 1


@authorize.compensation
async def void(order: dict) -> None: ...


order = Saga("order", authorize, wait_for("go", bool), input=dict)
"""


def test_show_and_graph_say_when_an_effect_lapses_also_without_the_app(place, call):
    (place / "lapsing.py").write_text(LAPSING)
    saga_id = call("start", "order", "{}", "--app", "lapsing:order", "-o", "json").out
    saga_id = json.loads(saga_id)["id"]
    assert processes.amends("worker", "--app", "lapsing:order", "--until-idle").returncode == 0
    assert re.search(r"lapses +authorize in (7d|6d23h)\n", call("show", saga_id).out)
    steps = json.loads(call("show", saga_id, "-o", "json").out)["steps"]
    assert {each["path"]: bool(each["expires_at"]) for each in steps} == {"authorize": True, "go": False}
    assert "lapses after 7d" in call("graph", "order").out
