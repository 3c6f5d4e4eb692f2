"""The command line on a store on PostgreSQL: what it does, what it says of a sick server; no password shows."""

import json
import time

import psycopg
import pytest

from amends.cli import server_checks
from amends.stores.base import Owner
from amends.stores.postgres import inspecting
from tests.cli.processes import amends, until, worker

pytestmark = pytest.mark.processes


@pytest.fixture
def store(place, postgres, monkeypatch):
    address = postgres.new().replace("amends@", "amends:unused-secret@")
    monkeypatch.setenv("AMENDS_STORE", address)
    return address


def records(*argv, code=0):
    done = amends(*argv, "-o", "json")
    assert done.returncode == code, done
    return json.loads(done.stdout)


def start(name, item, *more, code=0):
    return records("start", name, json.dumps({"item": item}), "--app", "cli_app:sagas", *more, code=code)


def test_two_workers_serve_every_verb_and_look(store):
    with worker(), worker():
        assert start("quick", "pen", "--wait")["status"] == "completed"
        assert start("quick", "poor", "--wait", code=1)["status"] == "compensated"
        waits = start("patient", "pen", "--key", "one")["id"]
        until(lambda: records("show", waits)["hold"] == "signal")
        assert amends("signal", waits, "go", '{"by":"ann"}').returncode == 0
        until(lambda: records("show", waits)["status"] == "completed")
        owed = start("quick", "sealed", "--wait", code=1)["id"]
        assert records("show", owed)["status"] == "requires_manual"
        assert amends("skip", owed, "reserve", "--reason", "kept").returncode == 0
        until(lambda: records("show", owed)["status"] == "closed")
    assert {each["status"] for each in records("list")} == {"completed", "compensated", "closed"}
    assert amends("why", owed).returncode == amends("history", owed).returncode == amends("top").returncode == 0
    assert len(amends("tail", "-n", "5", "-o", "jsonl").stdout.splitlines()) == 5
    assert records("prune", "--older", "0s")["sagas"] == 4
    assert records("list") == []


def test_a_command_without_a_worker_is_queued_and_applied_by_the_next_one(store):
    saga_id = start("patient", "pen")["id"]
    done = amends("cancel", saga_id, "--reason", "changed my mind")
    assert done.returncode == 0
    assert "queued" in done.stdout + done.stderr
    with worker():
        until(lambda: records("show", saga_id)["status"] == "compensated")


def test_who_only_looks_makes_no_tables_and_migrate_does(store):
    done = amends("list")
    assert done.returncode == 5
    assert "amends migrate" in done.stderr
    assert "unused-secret" not in done.stdout + done.stderr
    assert "there is no store" in amends("doctor").stdout
    script = amends("migrate", "--print").stdout
    assert "missing" in script
    assert amends("migrate", "--check").returncode == 1
    with psycopg.connect(store, autocommit=True) as db:
        db.execute("\n".join(line for line in script.splitlines() if not line.startswith("-- 000")))
    assert amends("list").returncode == 5  # the tables are there, and nobody has said so
    with psycopg.connect(store, autocommit=True) as db:
        db.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    assert [each["kind"] for each in records("migrate")] == ["pre", "pre"]
    assert amends("migrate", "--check").returncode == 0
    assert amends("list").returncode == 0


def test_doctor_finds_a_store_well_and_tells_of_its_workers(store):
    amends("migrate")
    with worker():
        start("quick", "pen", "--wait")
        until(lambda: "1 worker(s) share all shards" in amends("doctor").stdout)
        done = amends("doctor", "--app", "cli_app:sagas")
    assert (done.returncode, "✗" in done.stdout) == (0, False), done
    assert "unused-secret" not in done.stdout + done.stderr
    gone = amends("doctor", "--store", "postgresql://amends:unused-secret@127.0.0.1:1/x")
    assert gone.returncode == 5
    assert "is not to be reached" in gone.stdout
    assert "unused-secret" not in gone.stdout + gone.stderr


GOOD = inspecting.Facts(
    "16.1", True, True, "on", "'*'", 100, 5, 1_000_000, True, 0, 0, 0, 0, 0,
    ((Owner("a", "elsewhere", "boot", 5, 1), 1_020_000, 64),),
)  # fmt: skip
SICK = [
    (GOOD, {}, None, ""),
    (GOOD, {"fsync": False}, "error", "fsync=off"),
    (GOOD, {"full_page_writes": False}, "error", "full_page_writes=off"),
    (GOOD, {"synchronous_commit": "off"}, "note", "turns it on for its own"),
    (GOOD, {"standbys": ""}, "note", "no synchronous standby"),
    (GOOD, {"connections": 95}, "warning", "95 of 100 connections"),
    (GOOD, {"autovacuum": False}, "error", "autovacuum is off"),
    (GOOD, {"now": 1_010_000}, "note", "10.0 s from the server's"),
    (GOOD, {"workers": ()}, "note", "no worker runs"),
    (GOOD, {"workers": ((Owner("a", "elsewhere", "boot", 5, 1), 990_000, 64),)}, "warning", "ran out 10 s ago"),
    (GOOD, {"shards_free": 3}, "note", "3 shards have no worker"),
    (GOOD, {"commands": 2, "oldest_command": 900_000}, "warning", "the oldest for 100 s"),
    (GOOD, {"behind": 30_000}, "warning", "30,000 frames behind"),
]


@pytest.mark.parametrize(("facts", "change", "level", "said"), SICK)
def test_what_is_wrong_with_a_server_is_found_and_nothing_else_is(facts, change, level, said):
    facts = facts._replace(**change)
    found = [each for check in server_checks.SERVER_CHECKS for each in check(facts, 1_000_000)]
    bad = [each for each in found if each.level != "ok"]
    if level is None:
        assert bad == []
    else:
        assert [(each.level, said in each.what) for each in bad][:1] == [(level, True)], bad


def test_facts_are_those_of_the_server(store, postgres):
    amends("migrate")
    with psycopg.connect(store, autocommit=True) as db:
        facts = inspecting.facts(db)
        assert facts.version.split()[0] == db.execute("SHOW server_version").fetchone()[0].split()[0]
        assert abs(facts.now - time.time() * 1_000) < 60_000
        assert (facts.fsync, facts.full_page_writes, facts.autovacuum) == (True, True, True)
        assert (facts.shards_free, facts.workers, facts.commands, facts.behind) == (64, (), 0, 0)
        db.execute("INSERT INTO amends_inbox (posted, shard, saga_id, body) VALUES (5, 0, 's', '')")
        db.execute("INSERT INTO amends_journal VALUES (65537, 1, 3, 's', '')")
        facts = inspecting.facts(db)
        assert (facts.commands, facts.oldest_command, facts.behind) == (1, 5, 1)
