"""Releases N and N + 1 at work on one database, over a `pre` and a `post` migration, and back again.

The release to come is made here: a copy of the package whose `pre` adds a column and the next batch function, whose
`post` drops the one before, and whose commits call the next. That is what ARCHITECTURE.md asks of a release which
changes a function. Who runs which is seen on the server, which counts the calls of each function.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from amends.core.shards import SHARDS
from amends.stores.postgres.membership import share
from tests.processes.crew import Fleet, Worker, shards, wait_for
from tests.processes.harness import ROOT, environment
from tests.servers.postgres import Cluster

pytestmark = pytest.mark.processes

PRE = """
ALTER TABLE amends_journal ADD COLUMN noted bigint NOT NULL DEFAULT 0;
DO $body$ BEGIN
    EXECUTE replace(
        (SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = 'amends_commit_1'),
        'amends_commit_1', 'amends_commit_2'
    );
END $body$;
"""
POST = """
DO $body$ BEGIN
    EXECUTE format(
        'DROP FUNCTION %s', (SELECT oid::regprocedure FROM pg_proc WHERE proname = 'amends_commit_1')
    );
END $body$;
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    server = Cluster({"track_functions": "all"})
    fleet = Fleet(tmp_path, "")
    try:
        server.create()
        server.start()
        fleet.address = server.address("postgres")
        yield fleet
    finally:
        fleet.close()
        server.remove()


def release_to_come(directory: Path) -> Path:
    """A folder that holds the package as the next release might have it."""
    shutil.copytree(ROOT / "src" / "amends", directory / "amends", ignore=shutil.ignore_patterns("__pycache__"))
    postgres = directory / "amends" / "stores" / "postgres"
    (postgres / "migrations" / "9001_pre_other_commits.sql").write_text(PRE)
    (postgres / "migrations" / "9002_post_no_old_commits.sql").write_text(POST)
    commit = postgres / "queries" / "commit.sql"
    commit.write_text(commit.read_text().replace("amends_commit_1", "amends_commit_2"))
    return directory


def migrate(fleet: Fleet, code: Path) -> str:
    """`amends migrate` of a release; what it says."""
    ran = subprocess.run(
        [sys.executable, "-c", "from amends.cli import main; main()", "migrate", "--store", fleet.address],
        env=environment(code), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def calls(fleet: Fleet) -> tuple[int, int]:
    """How many batches were committed by the function of this release, and of the next."""
    with psycopg.connect(fleet.address) as db:
        made = dict(db.execute("SELECT funcname, calls FROM pg_stat_user_functions").fetchall())
    return made.get("amends_commit_1", 0), made.get("amends_commit_2", 0)


def opened(fleet: Fleet) -> int:
    with psycopg.connect(fleet.address) as db:
        (count,) = db.execute("SELECT count(*) FROM amends_open").fetchone() or (0,)
    return int(count)


def both_commit(fleet: Fleet) -> None:
    """Wait until each release has committed some more batches."""
    old, new = calls(fleet)
    wait_for(lambda: calls(fleet)[0] > old + 5, "the old release commits nothing")
    wait_for(lambda: calls(fleet)[1] > new + 5, "the new release commits nothing")


def shared_by(fleet: Fleet, *workers: Worker) -> None:
    """Wait until these have equal parts of the shards."""

    def equal() -> bool:
        held = shards(fleet.address)
        all_of_them = held.keys() == {str(worker.process.pid) for worker in workers}
        return all_of_them and sum(held.values()) == SHARDS and max(held.values()) == share(len(workers))

    wait_for(equal, f"no equal parts: {shards(fleet.address)}")


def test_two_releases_run_side_by_side_over_pre_and_post_migrations_and_back_again(
    fleet: Fleet, tmp_path: Path
) -> None:
    code = release_to_come(tmp_path / "next")
    busy = ("--endless", "--at-a-time", 40, "--pause", "0.05")
    old = fleet.spawn("old", *busy)
    other = fleet.spawn("other", *busy)
    for worker in (old, other):
        worker.until("lease.acquired")
    new = fleet.spawn("new", *busy, code=code)  # it applies its `pre` itself, under their load
    new.until("lease.acquired")
    shared_by(fleet, old, other, new)
    both_commit(fleet)
    other.kill()  # sagas of the old release are recovered by both
    shared_by(fleet, old, new)
    both_commit(fleet)

    new.kill()  # back again: the old release recovers what the new one wrote, and opens beside its `pre`
    back = fleet.spawn("back", *busy)
    back.until("lease.acquired")
    shared_by(fleet, old, back)
    again = fleet.spawn("again", "--sagas", 100, code=code)
    again.until("done")
    for worker in (old, back):
        worker.enough()
        worker.until("done")
        worker.end()

    assert "9002_post_no_old_commits" in migrate(fleet, code)  # none of the old release is left
    again.end()
    late = fleet.spawn("late")
    assert late.process.wait(timeout=60) == 3
    wait_for(lambda: any("9002_post_no_old_commits" in line for line in late.said), f"it said {late.said}")
    last = fleet.spawn("last", "--sagas", 100, code=code)
    last.until("done")
    wait_for(lambda: opened(fleet) == 0, "what the killed ones had begun is not brought to an end")
    last.end()
    ends = fleet.audit()
    assert sum(ends.values()) > 300
