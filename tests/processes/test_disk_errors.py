"""A full disk and a failed fsync: acknowledging stops at once, and a restart recovers what was acknowledged."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.harness import Site, audit, needs_strace, tell

pytestmark = pytest.mark.processes


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "small"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", disk]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("NO ROOT: a full disk was NOT tested")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.root
def test_a_full_disk_stops_acknowledging_at_once_and_a_restart_with_room_recovers(
    tmp_path: Path, small_disk: Path
) -> None:
    site = Site(tmp_path / "elsewhere", store=small_disk / "sagas.db")
    full = site.run("--sagas", "3000")
    assert full.stdout.splitlines()[-1] == "failed AM6021", full.stdout + full.stderr
    assert full.returncode == 3
    acknowledged = site.acknowledged()
    assert len(acknowledged) > 10
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    how_many = sum(line[0] == "started" for line in acknowledged)
    assert site.run("--sagas", how_many).returncode == 0
    now = audit(site)
    started = {line[1]: line[2] for line in acknowledged if line[0] == "started"}
    assert set(started.values()) <= set(now)
    for line in acknowledged:
        if line[0] == "ended":
            assert now[started[line[1]]] == line[2]


@pytest.mark.parametrize("syscalls", ["fdatasync,fsync", "pwrite64"])
def test_a_failed_fsync_or_write_stops_acknowledging_at_once_and_a_restart_recovers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], syscalls: str
) -> None:
    needs_strace()
    points = [6, 8, 11, 14, 17, 20] if syscalls != "pwrite64" else [30, 61, 92, 123]
    failed = 0
    for point in points:
        site = Site(tmp_path / f"{point}")
        hurt = site.run(inject=f"error=EIO:when={point}+", syscalls=syscalls)
        at_failure = site.acknowledged()
        if hurt.returncode == 3:
            failed += 1
            assert hurt.stdout.splitlines()[-1].startswith("failed AM60"), hurt.stdout
        again = site.run()
        assert again.returncode == 0, again.stderr
        now = audit(site)
        started = {line[1]: line[2] for line in at_failure if line[0] == "started"}
        assert set(started.values()) <= set(now)
        for line in at_failure:
            if line[0] == "ended":
                assert now[started[line[1]]] == line[2]
        assert sorted(now.values()) == ["compensated", "completed"]
    tell(capsys, f"EIO: {failed} of {len(points)} points at {syscalls} stopped the orchestrator")
    assert failed >= len(points) - 2
