"""A leader that is stopped past its lease: another takes over, and nothing the first still writes lands."""

from __future__ import annotations

import os
import select
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.processes.harness import Site, audit, journals

pytestmark = pytest.mark.processes

LIMIT_S = 60.0


class Lines:
    """What a worker says, read without blocking for ever."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.pipe = process.stdout.fileno()  # read past the file object, whose buffer `select` does not see
        self.said = b""

    @property
    def seen(self) -> list[str]:
        return self.said.decode().splitlines()

    def until(self, line: str, times: int = 1) -> None:
        give_up = time.monotonic() + LIMIT_S
        while self.seen.count(line) < times:
            ready, _, _ = select.select([self.pipe], [], [], max(0.0, give_up - time.monotonic()))
            assert ready, f"the worker never said {line!r}; it said {self.seen}"
            said = os.read(self.pipe, 4_096)
            assert said, f"the worker ended before it said {line!r}; it said {self.seen}"
            self.said += said


def stands_still(pid: int) -> bool:
    """Whether every thread of the process is stopped, which takes a moment after the signal."""
    states = [(task / "stat").read_text().rpartition(")")[2].split()[0] for task in Path(f"/proc/{pid}/task").iterdir()]
    return set(states) == {"T"}


def wait_for(happened: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + LIMIT_S
    while not happened():
        assert time.monotonic() < give_up, what
        time.sleep(0.02)


def test_every_late_write_of_a_leader_that_was_stopped_past_its_lease_is_refused(tmp_path: Path) -> None:
    site = Site(tmp_path)
    other = Site(tmp_path)
    other.acks = tmp_path / "acks of the second"
    first = site.spawn("--lease", "600ms", "--pause", "0.05", "--stay")
    second = None
    try:
        lines = Lines(first)
        lines.until("in b")  # a call is under way, and its result is still to be written
        os.kill(first.pid, signal.SIGSTOP)
        second = other.spawn("--lease", "600ms", "--stay")
        others = Lines(second)
        others.until("lease.acquired")
        others.until("ready")  # everything that the first had begun is ended by the second
        before = journals(site.store)
        statuses_before = audit(other)
        os.kill(first.pid, signal.SIGCONT)
        lines.until("lease.lost")
        lines.until("ready")  # it stands by, and sees through the store how its sagas ended
        assert "lease.acquired" not in lines.seen[lines.seen.index("lease.lost") :]
        after = journals(site.store)
        assert after == before, "something the first wrote after its lease was over has landed"
        assert audit(site) == statuses_before
        cut = [names for frames in after.values() for _, names in frames if "ActionCut" in names]
        assert len(cut) == 1  # the second found the call of the first without an outcome, and repeated it
        ended = {line[1]: line[2] for line in site.acknowledged() if line[0] == "ended"}
        assert ended == {"order-0": "completed", "order-1": "compensated"}
    finally:
        for process in (first, second):
            if process is not None:
                process.kill()
                process.communicate()


def test_a_commit_that_was_under_way_when_its_leader_was_stopped_is_refused_by_its_epoch(tmp_path: Path) -> None:
    site = Site(tmp_path)
    other = Site(tmp_path)
    other.acks = tmp_path / "acks of the second"
    first = site.spawn("--sagas", 6, "--lease", "800ms", "--pause", "0.05", "--stay")
    second = None
    try:
        lines = Lines(first)
        lines.until("in a", times=6)  # so late that its batches have higher numbers than the second's will
        with closing(sqlite3.connect(site.store, isolation_level=None, timeout=10)) as lock:
            lock.execute("BEGIN IMMEDIATE")
            time.sleep(0.25)  # the call has ended meanwhile, and its commit waits for our lock
            os.kill(first.pid, signal.SIGSTOP)
            wait_for(lambda: stands_still(first.pid), "it never stopped")  # else its writer may take the lock yet
            lock.execute("ROLLBACK")
        second = other.spawn("--sagas", 6, "--lease", "800ms", "--stay")
        others = Lines(second)
        others.until("ready")
        before = journals(site.store)
        os.kill(first.pid, signal.SIGCONT)  # the commit goes on where it stood, before the loop sees any clock
        lines.until("lease.lost")
        lines.until("ready")
        assert journals(site.store) == before
        audit(site)
    finally:
        for process in (first, second):
            if process is not None:
                process.kill()
                process.communicate()


def test_a_leader_that_was_stopped_for_less_than_its_lease_goes_on(tmp_path: Path) -> None:
    site = Site(tmp_path)
    first = site.spawn("--lease", "20s", "--pause", "0.05", "--stay")
    try:
        lines = Lines(first)
        lines.until("in b")
        os.kill(first.pid, signal.SIGSTOP)
        time.sleep(0.2)
        os.kill(first.pid, signal.SIGCONT)
        lines.until("ready")
        assert "lease.lost" not in lines.seen
        assert not any("ActionCut" in names for frames in journals(site.store).values() for _, names in frames)
        audit(site)
    finally:
        first.kill()
        first.communicate()


def test_a_killed_leader_is_followed_at_once_by_one_that_stands_by(tmp_path: Path) -> None:
    site = Site(tmp_path)
    other = Site(tmp_path)
    other.acks = tmp_path / "acks of the second"
    first = site.spawn("--lease", "1h", "--pause", "0.05", "--stay")
    second = None
    try:
        Lines(first).until("in b")
        second = other.spawn("--lease", "600ms", "--stay")
        wait_for(lambda: bool(other.acknowledged()), "the second never started anything")
        first.kill()
        first.communicate()
        others = Lines(second)
        others.until("ready")
        audit(other)
    finally:
        for process in (first, second):
            if process is not None:
                process.kill()
                process.communicate()
