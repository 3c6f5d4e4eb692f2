"""`kill -9` at every persisted point of the shop's own saga, its five services running, and the shop's own audit."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path

import pytest

from examples.shop.audit import audit
from examples.shop.supervisor import Supervisor
from tests.processes.harness import KILLED, ROOT, SYNCS, environment, journals, needs_strace, tell

pytestmark = pytest.mark.processes

POINTS_MAX = 600


def orders_of(point: int) -> list[dict[str, object]]:
    """One that is fulfilled, and one that no courier drives to, so that payment and stock are given back."""
    common = {"customer": "c001", "email": "c001@example.org", "card": "valid", "total_cents": 3_250}
    items = [{"sku": "A010", "quantity": 1, "price_cents": 3_250}]
    return [
        {"order_id": f"p{point}-done", "district": f"d{point % 18 + 1:02}", "items": items, **common},
        {"order_id": f"p{point}-undone", "district": "nowhere", "items": items, **common},
    ]


async def work(supervisor: Supervisor, directory: Path, point: int, syscalls: str) -> tuple[int, dict[str, str]]:
    """Run the shop's worker to its end, or to its kill: its exit code and what it said of the orders."""
    orders = directory / f"orders{point}.jsonl"
    orders.write_text("".join(json.dumps(order) + "\n" for order in orders_of(point)))
    command = [
        sys.executable, "-m", "examples.shop.worker", "--store", f"sqlite:///{directory}/sagas{point}.db",
        "--urls", json.dumps(supervisor.urls), "--orders", str(orders), "--in-flight", "1",
    ]  # fmt: skip
    if syscalls:  # -D: the process that we started is the worker, and strace its grandchild
        inject = f"inject={syscalls}:signal=KILL:when={point}"
        command = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={syscalls}", "-e", inject, *command]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment(), stdout=PIPE, stderr=DEVNULL)
    said = await asyncio.wait_for(listen(process), 60)
    return await asyncio.wait_for(process.wait(), 20), said


async def listen(process: Process) -> dict[str, str]:
    said: dict[str, str] = {}
    assert process.stdout is not None
    async for line in process.stdout:
        fact = json.loads(line)
        if "order" in fact:
            said[fact["order"]] = fact["status"]
        if fact.get("ready"):
            process.terminate()
    return said


@pytest.mark.parametrize(("syscalls", "every"), [(SYNCS, 1), ("pwrite64", 7)])
def test_a_kill_at_every_persisted_point_of_the_shops_saga_leaves_every_order_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], syscalls: str, every: int
) -> None:
    needs_strace()

    async def scene() -> int:
        mails = 0
        async with Supervisor(tmp_path) as supervisor:
            for point in range(1, POINTS_MAX, every):
                code, before = await work(supervisor, tmp_path, point, syscalls)
                survived = code not in KILLED
                code, said = (code, before) if survived else await work(supervisor, tmp_path, point, "")
                assert code == 0, f"point {point}: exit {code}, {said}"
                assert said == {f"p{point}-done": "completed", f"p{point}-undone": "compensated"}
                assert {**said, **before} == said  # what was told before the kill is still so
                written = journals(tmp_path / f"sagas{point}.db")
                assert len(written) == 2, f"point {point}: a key started two sagas"
                for frames in written.values():
                    assert [seq for seq, _ in frames] == list(range(1, len(frames) + 1))
                mails += 2
                if survived:
                    await supervisor.quiet(mails)
                    return mails // 2 - 1
        raise AssertionError(f"the run was still being killed at point {POINTS_MAX}")

    covered = asyncio.run(scene())
    report = audit(tmp_path)
    assert report.violations == []
    assert set(report.orders.values()) == {"done", "undone"}
    assert len(report.orders) == 2 * (covered + 1)
    tell(capsys, f"kill -9: {covered} points of the shop's saga covered at {syscalls}")
    assert covered > 12
