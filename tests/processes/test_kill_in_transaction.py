"""`kill -9` around a start in the caller's own transaction: the order's row is there if and only if its saga is."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from amends import Orchestrator
from amends.stores.sqlite import SQLiteStore
from tests.processes.harness import KILLED, LIMIT_S, ROOT, SYNCS, environment, needs_strace, tell
from tests.processes.ordering import accept, fulfil

pytestmark = pytest.mark.processes

POINTS_MAX = 100


def prepared(path: Path) -> Path:
    """A file with our tables and the application's."""

    async def make() -> None:
        async with Orchestrator(f"sqlite:///{path}", sagas=[accept], worker=False):
            pass

    asyncio.run(make())
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE orders (number INTEGER)")
    return path


def orders_and_sagas(path: Path) -> tuple[set[str], set[str]]:
    with closing(sqlite3.connect(path)) as db:
        return (
            {str(number) for (number,) in db.execute("SELECT number FROM orders")},
            {key for (key,) in db.execute("SELECT key FROM amends_keys JOIN amends_journal USING (saga_id)")},
        )


def command(path: Path, *options: object) -> list[str]:
    return [sys.executable, "-m", "tests.processes.ordering", str(path), *map(str, options)]


@pytest.mark.parametrize(("moment", "there"), [("inserted", False), ("started", False), ("committed", True)])
def test_a_process_killed_around_its_commit_leaves_both_or_neither(tmp_path: Path, moment: str, there: bool) -> None:
    path = prepared(tmp_path / "shop.db")
    with subprocess.Popen(
        command(path, "--orders", 3, "--stop", moment),
        cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == f"{moment}\n"
        process.kill()
    orders, sagas = orders_and_sagas(path)
    assert orders == sagas == ({"0"} if there else set())
    assert run_all(path) == dict.fromkeys(orders, 1)


@pytest.mark.parametrize("syscalls", [SYNCS, "pwrite64"])
def test_a_kill_at_every_persisted_point_leaves_both_or_neither(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], syscalls: str
) -> None:
    needs_strace()
    seen: list[int] = []
    for point in range(1, POINTS_MAX):
        path = prepared(tmp_path / f"{point}.db")
        traced = [
            "strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={syscalls}",
            "-e", f"inject={syscalls}:signal=KILL:when={point}",
        ]  # fmt: skip
        killed = subprocess.run(
            [*traced, *command(path, "--orders", 2)],
            cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
        orders, sagas = orders_and_sagas(path)
        assert orders == sagas, f"point {point} of {syscalls}"
        seen.append(len(orders))
        if killed.returncode not in KILLED:
            assert (killed.returncode, len(orders)) == (0, 2), killed.stderr
            break
        if seen[-1] not in seen[:-1]:
            assert run_all(path) == dict.fromkeys(orders, 1)
    else:
        pytest.fail(f"the run was still being killed at point {POINTS_MAX}")
    tell(capsys, f"kill -9: {len(seen) - 1} points covered at {syscalls}, orders after each: {seen}")
    assert seen[0] == 0


def run_all(path: Path) -> dict[str, int]:
    """Let an orchestrator run what was started; how often each order was fulfilled."""

    async def run() -> None:
        async with Orchestrator(SQLiteStore(path), sagas=[accept], poll="10ms") as orchestrator:
            await orchestrator.drain()

    fulfil.clear()
    asyncio.run(run())
    return dict(fulfil)
