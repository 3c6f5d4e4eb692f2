"""The services as real processes: killed, started again, and never left behind."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from examples.shop.audit import SERVICES
from examples.shop.supervisor import ROOT, Supervisor, free_ports

pytestmark = pytest.mark.processes


def alive(pid: int) -> bool:
    try:
        return "(Z" not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").replace(") Z", "(Z")
    except FileNotFoundError:
        return False


def test_a_killed_service_keeps_what_it_answered_and_refuses_connections_until_it_is_back(tmp_path: Path) -> None:
    async def scene() -> list[int]:
        async with Supervisor(tmp_path) as supervisor, httpx2.AsyncClient() as client:
            url = f"{supervisor.urls['shipping']}/orders/o1/courier"
            headers = {"Idempotency-Key": "s1/courier/action"}
            first = await client.post(url, json={"district": "d01"}, headers=headers)
            await supervisor.kill("shipping")
            assert await supervisor.health("shipping") is None
            with pytest.raises(httpx2.ConnectError):
                await httpx2.AsyncClient().post(url, json={}, headers=headers)
            await supervisor.start("shipping")
            second = await client.post(url, json={"district": "d01"}, headers=headers)
            assert second.json() == first.json()
            assert second.headers["Barrier-Decision"] == "duplicate"
            assert await supervisor.quiet() == {"changed": 0}
            assert supervisor.kills == 1
            return [process.pid for process in supervisor._processes.values()]

    pids = asyncio.run(scene())
    assert len(pids) == len(SERVICES)
    assert not any(alive(pid) for pid in pids)


def test_services_whose_supervisor_is_killed_end_by_themselves(tmp_path: Path) -> None:
    program = """
import asyncio, os, sys
from pathlib import Path
from examples.shop.supervisor import Supervisor

async def main():
    async with Supervisor(Path(sys.argv[1])) as supervisor:
        print(*(process.pid for process in supervisor._processes.values()), flush=True)
        os.kill(os.getpid(), 9)

asyncio.run(main())
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    pids = [int(pid) for pid in done.stdout.split()]
    assert (done.returncode, len(pids)) == (-9, len(SERVICES))
    give_up = time.monotonic() + 10
    while any(alive(pid) for pid in pids) and time.monotonic() < give_up:
        os.sched_yield()
    assert not any(alive(pid) for pid in pids)


def test_ports_are_free_distinct_and_below_those_of_clients() -> None:
    import random

    ports = free_ports(50, random.Random(1))
    assert len(set(ports)) == 50
    first_client_port = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="utf-8").split()[0])
    assert max(ports) < min(first_client_port, 32_000)
