"""Pruning as processes: killed at random beside a worker and starters, every saga is there wholly or not at all."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from tests.processes.harness import ROOT, environment
from tests.processes.test_many_processes import Crowd, crowd, until_ended  # noqa: F401 -- a fixture

pytestmark = pytest.mark.processes

PRUNE = """
import asyncio, sys
from amends import Orchestrator

async def main():
    async with Orchestrator(f"sqlite:///{sys.argv[1]}", worker=False) as orchestrator:
        print("pruning", flush=True)
        while True:
            await orchestrator.prune(older=0, batch=3)

asyncio.run(main())
"""


def whole_or_gone(path: str) -> tuple[set[str], set[str]]:
    """The sagas that are there and those that are gone, each of them wholly."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("BEGIN")
        journals = db.execute("SELECT saga_id, count(*), max(seq) FROM amends_journal GROUP BY saga_id").fetchall()
        summaries = {saga_id for (saga_id,) in db.execute("SELECT saga_id FROM amends_summaries")}
        still_open = {saga_id for (saga_id,) in db.execute("SELECT saga_id FROM amends_open")}
        traces = {saga_id for (saga_id,) in db.execute("SELECT saga_id FROM amends_pruned")}
        keys = {saga_id for (saga_id,) in db.execute("SELECT saga_id FROM amends_keys")}
    there = {saga_id for saga_id, _, _ in journals}
    assert all(count == last for _, count, last in journals), "a journal was cut"
    assert not there & traces, "a saga is there and gone"
    assert not summaries & traces, "a line of a list outlived its saga"
    assert still_open <= there, "an open saga lost its journal"
    assert keys == there | traces, "a start key was lost, or a saga without a trace"
    return there, traces


def test_a_pruner_that_is_killed_again_and_again_leaves_whole_sagas_and_disturbs_nobody(crowd: Crowd) -> None:  # noqa: F811
    dice = random.Random(3)
    runner = crowd.spawn("run")
    starters = [crowd.spawn("start", "--first", at * 100, "--count", 100) for at in range(2)]
    pruned, kills = 0, 0
    while any(starter.poll() is None for starter in starters) or kills < 5:
        pruner = subprocess.Popen(
            [sys.executable, "-c", PRUNE, str(crowd.store)],
            cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        crowd.processes.append(pruner)
        assert pruner.stdout is not None
        assert pruner.stdout.readline() == "pruning\n"
        time.sleep(dice.uniform(0.02, 0.3))
        pruner.send_signal(signal.SIGKILL)
        pruner.communicate()
        crowd.processes.remove(pruner)
        kills += 1
        pruned = len(whole_or_gone(str(crowd.store))[1])
    assert [starter.returncode for starter in starters] == [0, 0]
    until_ended(crowd)
    there, gone = whole_or_gone(str(crowd.store))
    assert len(there) + len(gone) == 200
    assert pruned > 0, "nothing was pruned, so nothing was proven"
    assert {saga_id for _, _, saga_id in crowd.lines("started")} == there | gone
    assert crowd.lines("error") == []
    runner.communicate("\n", timeout=30)
    assert runner.returncode == 0
