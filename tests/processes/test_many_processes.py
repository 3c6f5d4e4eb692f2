"""Starters, lookers and runners on one file, killed at random: nothing acknowledged is lost, nothing is doubled."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from amends import Orchestrator
from tests.processes.harness import ROOT, environment, tell
from tests.processes.test_paused_leader import LIMIT_S, Lines

pytestmark = pytest.mark.processes

KEYS = 400  # each is started by two starters
STARTERS = 4
KILLS = 6  # every third of a runner, the others of starters
PATIENCE_S = 120  # the disk is shared with whatever else runs on this machine


class Crowd:
    """The processes of one test, none of which survives it."""

    def __init__(self, directory: Path) -> None:
        self.store = directory / "sagas.db"
        self.log = directory / "log"
        self.processes: list[subprocess.Popen[str]] = []

    def spawn(self, role: str, *options: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.processes.crowd", role, str(self.store), str(self.log)]
        process = subprocess.Popen(
            [*command, *map(str, options)],
            cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def lines(self, kind: str) -> list[list[str]]:
        text = self.log.read_text() if self.log.exists() else ""
        return [line.split(" ", 2) for line in text.splitlines() if line.startswith(kind)]

    def views(self) -> list[tuple[str, str, str]]:
        async def look() -> list[tuple[str, str, str]]:
            async with Orchestrator(f"sqlite:///{self.store}", worker=False) as orchestrator:
                return [(view.key, view.id, str(view.status)) async for view in orchestrator.list()]

        return asyncio.run(look())

    def end(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.communicate()


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Crowd]:
    crowd = Crowd(tmp_path)
    yield crowd
    crowd.end()
    assert all(process.returncode is not None for process in crowd.processes)


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def until_ended(crowd: Crowd) -> list[tuple[str, str, str]]:
    give_up = time.monotonic() + PATIENCE_S
    while True:
        views = crowd.views()
        if all(status in ("completed", "compensated") for _, _, status in views):
            return views
        assert time.monotonic() < give_up, f"not all have ended: {Counter(status for _, _, status in views)}"
        time.sleep(0.1)


def test_starters_and_runners_killed_at_random_lose_nothing_and_double_nothing(crowd: Crowd) -> None:
    dice = random.Random(7)
    runners = [crowd.spawn("run"), crowd.spawn("run")]
    lookers = [crowd.spawn("look"), crowd.spawn("look")]
    half = KEYS // 2
    shares = [("--first", 0 if at % 2 else half, "--count", half) for at in range(STARTERS)]
    starters = [crowd.spawn("start", *share) for share in shares]
    killed = 0
    while any(starter.poll() is None for starter in starters):
        time.sleep(dice.uniform(0.02, 0.2))
        if killed == KILLS or len(crowd.lines("started")) < 40 * (killed + 1):
            continue
        killed += 1
        if killed % 3 == 0:
            kill(runners.pop(0))
            runners.append(crowd.spawn("run"))
        else:
            at = dice.randrange(STARTERS)
            kill(starters[at])
            starters[at] = crowd.spawn("start", *shares[at])  # from the beginning: what it started is found by its key
    assert killed == KILLS
    assert [starter.returncode for starter in starters] == [0] * STARTERS
    acknowledged = crowd.lines("started")
    owners: dict[str, set[str]] = {}
    for _, key, saga_id in acknowledged:
        owners.setdefault(key, set()).add(saga_id)
    assert len(owners) == KEYS
    assert all(len(ids) == 1 for ids in owners.values()), "one key was acknowledged as two sagas"

    views = until_ended(crowd)
    assert len(views) == KEYS
    assert {key: {saga_id} for key, saga_id, _ in views} == owners
    assert {key for key, _, status in views if status == "compensated"} == {f"k{n}" for n in range(KEYS) if n % 10 == 9}
    for looker in lookers:
        looker.communicate("\n", timeout=30)
    assert crowd.lines("error") == []
    assert sum(int(line[1]) for line in crowd.lines("looked")) > 0
    for runner in runners:
        runner.communicate("\n", timeout=30)
    assert sorted(path.name for path in crowd.store.parent.iterdir()) == ["log", "sagas.db"], "litter"


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="THIS PLATFORM HAS NO PIDFD: taking over was NOT measured")
def test_a_killed_leader_is_followed_within_milliseconds(crowd: Crowd, capsys: pytest.CaptureFixture[str]) -> None:
    took = []
    runner = crowd.spawn("run")
    Lines(runner).until("lease.acquired")
    for _ in range(5):
        standby = crowd.spawn("run")
        lines = Lines(standby)
        lines.until("standing by")
        time.sleep(0.3)
        began = time.monotonic()
        runner.send_signal(signal.SIGKILL)
        lines.until("lease.acquired")
        took.append((time.monotonic() - began) * 1_000)
        runner.wait()
        runner = standby
    # The lease lasts ten seconds, and one who stands by would look by itself every two: this was told.
    assert min(took) < 1_000
    tell(capsys, f"taken over after kill -9 within {', '.join(f'{each:.0f}' for each in took)} ms")


def test_what_a_killed_leader_left_moves_on_under_the_next(crowd: Crowd) -> None:
    runner, standby = crowd.spawn("run"), None
    Lines(runner).until("lease.acquired")
    standby = crowd.spawn("run")
    lines = Lines(standby)
    lines.until("standing by")
    runner.send_signal(signal.SIGSTOP)  # so that nothing is taken up
    crowd.spawn("start", "--count", 50).communicate(timeout=LIMIT_S)
    assert len(crowd.lines("started")) == 50
    assert {status for _, _, status in crowd.views()} == {"scheduled"}
    kill(runner)
    lines.until("lease.acquired")
    assert len(until_ended(crowd)) == 50
