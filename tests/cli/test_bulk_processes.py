"""A verb over a filter beside a worker in another process: applied, counted, and cut short."""

import json
import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from amends.limits import BULK_AT_A_TIME
from tests.cli.processes import MAIN, PATIENCE_S, amends, until, worker

pytestmark = pytest.mark.processes

MANY = """
import asyncio, cli_app
from amends import Orchestrator

async def main():
    async with Orchestrator("sqlite:///amends.db", sagas=[cli_app.patient]) as orchestrator:
        for number in range({count}):
            await orchestrator.start("patient", cli_app.Order("pen"), correlation={{"lot": str(number % 2)}})
        await orchestrator.drain()

asyncio.run(main())
"""


def start(count):
    subprocess.run([sys.executable, "-c", MANY.format(count=count)], check=True, timeout=PATIENCE_S)


def count(text):
    return int(amends("count", "--filter", text).stdout)


def test_a_lot_of_sagas_is_cancelled_by_a_worker_that_runs_beside(place):
    start(300)
    with worker():
        done = amends("cancel", "--filter", "lot:1 -is:ended", "--reason", "recalled", "-o", "jsonl", timeout=60)
        records = [json.loads(line) for line in done.stdout.splitlines()]
        assert done.returncode == 0, done.stderr
        assert len({each["id"] for each in records}) == 150
        assert {each["result"] for each in records} == {"applied"}
        assert "amends: cancel: 150 applied" in done.stderr
        until(lambda: count("lot:1 status:compensated") == 150)
        assert count("lot:0 status:running") == 150
        again = amends("cancel", "--filter", "lot:1", "--reason", "again")
        assert again.returncode == 4
        assert "amends: cancel: 150 refused" in again.stderr
        assert "150 x is compensated: cancel comes too late" in again.stderr


def test_an_interrupt_says_what_was_done_what_is_open_and_what_was_not_begun(place):
    more = 60
    start(BULK_AT_A_TIME + more)
    with worker() as leader:
        os.kill(leader.pid, signal.SIGSTOP)  # it holds the lease, and answers nothing
        _prolong_lease()
        asking = subprocess.Popen(
            [sys.executable, "-c", MAIN, "pause", "--filter", "name:patient", "-o", "json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        until(lambda: _asked() == BULK_AT_A_TIME)
        asking.send_signal(signal.SIGINT)
        out, err = asking.communicate(timeout=PATIENCE_S)
        assert asking.returncode == 130, (out, err)
        assert json.loads(out) == []
        assert f"{BULK_AT_A_TIME} were being asked for and may still be applied; {more} were not begun" in err
        os.kill(leader.pid, signal.SIGCONT)
        until(lambda: count("is:paused") == BULK_AT_A_TIME)


def _prolong_lease():
    """So that it is held still when the machine is slow, or its clock is set forward."""
    db = sqlite3.connect("amends.db")
    with db:
        db.execute("UPDATE amends_lease SET expires = expires + 3600000")
    db.close()


def _asked():
    db = sqlite3.connect("amends.db")
    (found,) = db.execute("SELECT count(*) FROM amends_inbox").fetchone()
    db.close()
    return found
