"""`kill -9` at every persisted point of a run of atomic steps: each row is there exactly once all the same."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.processes.harness import KILLED, LIMIT_S, ROOT, SYNCS, environment, needs_strace, tell

pytestmark = pytest.mark.processes

POINTS_MAX = 2_000  # a bound against a run that never ends; a run here makes some 370 writes
EXPECTED = [
    *((0, what) for what in ("booked", "credit", "debit")),
    *((1, what) for what in ("credit", "debit", "undo credit", "undo debit")),
]


def run(path: Path, *traced: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*traced, sys.executable, "-m", "tests.processes.banking", str(path)],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip


def rows(path: Path) -> list[tuple[int, str]]:
    with closing(sqlite3.connect(path)) as db:
        return sorted(db.execute("SELECT transfer, what FROM moves"))


@pytest.mark.parametrize(("syscalls", "every"), [(SYNCS, 1), ("pwrite64", 20)])
def test_each_row_of_an_atomic_step_is_there_exactly_once_whenever_its_process_died(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], syscalls: str, every: int
) -> None:
    needs_strace()
    covered = 0
    for point in range(1, POINTS_MAX, every):
        path = tmp_path / f"{point}.db"
        inject = ["-e", f"trace={syscalls}", "-e", f"inject={syscalls}:signal=KILL:when={point}"]
        killed = run(path, "strace", "-f", "-qq", "-o", "/dev/null", *inject)
        if killed.returncode not in KILLED:
            assert killed.returncode == 0, killed.stderr
            assert rows(path) == EXPECTED
            break
        covered += 1
        again = run(path)
        assert again.returncode == 0, f"point {point}: {again.stderr}"
        assert rows(path) == EXPECTED, f"point {point} of {syscalls}"
    else:
        pytest.fail(f"the run was still being killed at point {POINTS_MAX}")
    tell(capsys, f"kill -9: {covered} points covered at {syscalls}, each row exactly once")
    assert covered * every > 20
