"""The plug is pulled: a copy of the disk's backing file, taken at any moment, holds all that was acknowledged."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.processes.harness import Site, audit, journals, statuses

pytestmark = [pytest.mark.processes, pytest.mark.root]

CUTS = 5


@contextmanager
def mounted(image: Path, at: Path) -> Iterator[Path]:
    at.mkdir()
    done = subprocess.run(["mount", "-o", "loop", image, at], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"NO LOOP DEVICES HERE ({done.stderr.strip()}): power cuts were NOT tested")
    try:
        yield at
    finally:
        subprocess.run(["umount", at], check=True)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("NO ROOT OR NO mkfs.ext4: power cuts were NOT tested")
    path = tmp_path / "disk.img"
    with path.open("wb") as file:
        file.truncate(24 * 1_048_576)
    subprocess.run(["mkfs.ext4", "-q", "-F", path], check=True, capture_output=True)
    return path


def pull_the_plug(process: subprocess.Popen[str], image: Path, copy: Path) -> None:
    """Copy what has reached the disk; the process stands still meanwhile, so that the copy is of one moment."""
    os.kill(process.pid, signal.SIGSTOP)
    try:
        subprocess.run(["cp", "--sparse=always", image, copy], check=True)
    finally:
        os.kill(process.pid, signal.SIGCONT)


def test_every_acknowledged_saga_is_there_after_a_power_cut(tmp_path: Path, image: Path) -> None:
    cuts: list[tuple[Path, list[list[str]]]] = []
    with mounted(image, tmp_path / "disk") as disk:
        site = Site(tmp_path / "elsewhere", store=disk / "sagas.db")
        process = site.spawn("--sagas", "4000")
        try:
            for cut in range(CUTS):
                known = len(site.acknowledged())
                give_up = time.monotonic() + 20
                while len(site.acknowledged()) < known + 12:
                    assert time.monotonic() < give_up, "the worker makes no progress"
                    time.sleep(0.005)
                copy = tmp_path / f"cut{cut}.img"
                acknowledged = site.acknowledged()  # read before the copy: what comes later need not be on it
                pull_the_plug(process, image, copy)
                cuts.append((copy, acknowledged))
        finally:
            process.kill()
            process.communicate()
    lost_nothing = 0
    for cut, (copy, acknowledged) in enumerate(cuts):
        with mounted(copy, tmp_path / f"after{cut}") as disk:
            store = disk / "sagas.db"
            written, now = journals(store), statuses(store)
            ids = {line[1]: line[2] for line in acknowledged if line[0] == "started"}
            for key, saga_id in ids.items():
                assert saga_id in written, f"cut {cut}: the acknowledged start of {key} is lost"
            for line in acknowledged:
                if line[0] == "ended":
                    assert now[ids[line[1]]] == line[2], f"cut {cut}: the acknowledged end of {line[1]} is lost"
            lost_nothing += len(acknowledged)
    assert lost_nothing >= CUTS * 12


def test_a_worker_goes_on_from_the_disk_that_the_power_cut_left(tmp_path: Path, image: Path) -> None:
    copy = tmp_path / "cut.img"
    with mounted(image, tmp_path / "disk") as disk:
        site = Site(tmp_path / "elsewhere", store=disk / "sagas.db")
        process = site.spawn("--sagas", "6", "--pause", "0.02")
        try:
            while len(site.acknowledged()) < 4:
                time.sleep(0.005)
            pull_the_plug(process, image, copy)
            process.kill()  # power is off, for the participants' callers too
        finally:
            process.kill()
            process.communicate()
        acknowledged = site.acknowledged()
    with mounted(copy, tmp_path / "after") as disk:
        site.store = disk / "sagas.db"
        site.acks.unlink()
        assert site.run("--sagas", "6").returncode == 0
        now = audit(site)
        assert len(now) == 6
        assert {line[2] for line in acknowledged[:4] if line[0] == "started"} <= set(now)
