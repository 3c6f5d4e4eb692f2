"""Starts workers, with strace before them or not, and audits what they leave behind.

Rules of this file: the audit believes the acknowledgements (written outside) and the participant's
ledger, and holds the journal against them.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from amends.core.events import decode_frame
from amends.stores.sqlite import SQLiteStore
from tests.processes.worker import STEPS, saga

ROOT = Path(__file__).resolve().parents[2]
KILLED = (-9, 137)
SYNCS = "fdatasync,fsync"
LIMIT_S = 60


class Site:
    """The files of one worker: its journal, its participant's ledger, its acknowledgements."""

    def __init__(self, directory: Path, store: Path | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.store = store or directory / "sagas.db"
        self.ledger = directory / "ledger.db"
        self.acks = directory / "acks"

    def command(self, *options: object) -> list[str]:
        files = (self.store, self.ledger, self.acks)
        return [sys.executable, "-m", "tests.processes.worker", *map(str, (*files, *options))]

    def run(self, *options: object, inject: str = "", syscalls: str = SYNCS) -> subprocess.CompletedProcess[str]:
        """Run a worker to its end; `inject` is what strace does to its system calls."""
        traced: list[str] = []
        if inject:
            tamper = f"inject={syscalls}:{inject}"
            traced = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={syscalls}", "-e", tamper]
        return subprocess.run(
            [*traced, *self.command(*options)],
            cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip

    def spawn(self, *options: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*options),
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def acknowledged(self) -> list[list[str]]:
        """The lines of ACKS: `started KEY ID` and `ended KEY STATUS`."""
        return [line.split() for line in self.acks.read_text().splitlines()] if self.acks.exists() else []

    def effects(self) -> Counter[tuple[str, str, str]]:
        with closing(sqlite3.connect(self.ledger)) as db:
            return Counter(db.execute("SELECT saga_id, step, op FROM effects").fetchall())


def environment(code: Path | None = None) -> dict[str, str]:
    """That of a process which imports the tests, and `amends` from here, or another release of it from `code`."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (*([code] if code else ()), ROOT, ROOT / "src")))}


def needs_strace() -> None:
    if shutil.which("strace") is None:
        pytest.skip("STRACE IS MISSING: kill points and disk errors were NOT tested")


def journals(path: Path) -> dict[str, list[tuple[int, list[str]]]]:
    """saga id -> (seq, its events' names) of each frame, read past the library."""
    with closing(sqlite3.connect(path)) as db:  # a connection left open would keep the disk mounted
        found: dict[str, list[tuple[int, list[str]]]] = {}
        for saga_id, seq, body in db.execute("SELECT saga_id, seq, body FROM amends_journal ORDER BY saga_id, seq"):
            names = [type(event).__name__ for event in decode_frame(body).events]
            found.setdefault(saga_id, []).append((seq, names))
    return found


def statuses(path: Path) -> dict[str, str]:
    async def look() -> dict[str, str]:
        from amends import Orchestrator

        async with Orchestrator(SQLiteStore(path), worker=False, sagas=[saga]) as orchestrator:
            return {view.id: str(view.status) async for view in orchestrator.list()}

    return asyncio.run(look())


def audit(site: Site, *, ended: bool = True) -> dict[str, str]:
    """Hold journal, acknowledgements and effects against each other; the sagas' statuses."""
    written, now, effects = journals(site.store), statuses(site.store), site.effects()
    for line in site.acknowledged():
        if line[0] == "started":
            assert line[2] in written, f"the acknowledged start of {line[1]} is lost"
    for saga_id, frames in written.items():
        assert [seq for seq, _ in frames] == list(range(1, len(frames) + 1)), f"the journal of {saga_id} has a gap"
    doubled = {effect for effect, times in effects.items() if times > 1}
    assert not doubled, f"effects that happened twice: {doubled}"
    if ended:
        assert set(now.values()) <= {"completed", "compensated"}
        for saga_id, status in now.items():
            done = {at for at in STEPS if effects[saga_id, at, "action"]}
            undone = {at for at in STEPS if effects[saga_id, at, "compensation"]}
            assert undone == (done if status == "compensated" else set()), f"{saga_id} is {status}: {done} - {undone}"
            assert status == "compensated" or done == set(STEPS)
    return now


def tell(capsys: pytest.CaptureFixture[str], figure: str) -> None:
    """Print a figure of the run, whatever pytest captures."""
    with capsys.disabled():
        sys.stdout.write(f"\n  {figure}\n")
