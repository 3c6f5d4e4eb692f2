"""`kill -9` at every persisted point, counted from outside: at each fsync, and at each write, of a whole run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.processes.harness import KILLED, Site, audit, needs_strace, tell

pytestmark = pytest.mark.processes

POINTS_MAX = 400


@pytest.mark.parametrize(("syscalls", "every"), [("fdatasync,fsync", 1), ("pwrite64", 4)])
def test_a_kill_at_every_persisted_point_loses_nothing_and_doubles_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], syscalls: str, every: int
) -> None:
    needs_strace()
    covered = 0
    for point in range(1, POINTS_MAX, every):
        site = Site(tmp_path / f"{point}")
        killed = site.run(inject=f"signal=KILL:when={point}", syscalls=syscalls)
        if killed.returncode not in KILLED:
            assert killed.returncode == 0, killed.stderr
            break
        covered += 1
        before = site.acknowledged()
        again = site.run()
        assert again.returncode == 0, f"point {point}: {again.stderr}"
        now = audit(site)
        ended = {line[1]: line[2] for line in site.acknowledged() if line[0] == "ended"}
        assert ended == {"order-0": "completed", "order-1": "compensated"}
        assert sorted(now.values()) == ["compensated", "completed"], f"point {point}: a key started two sagas"
        started = {line[1]: line[2] for line in before if line[0] == "started"}
        assert set(started.values()) <= set(now)
    else:
        pytest.fail(f"the run was still being killed at point {POINTS_MAX}")
    tell(capsys, f"kill -9: {covered} points covered at {syscalls}")
    assert covered * every > 12
