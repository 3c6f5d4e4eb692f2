"""Restate: its server with `--production`, a Python service behind Hypercorn, clients over HTTP.

As its documentation has it: the saga guide's shape (a list of compensations, each a `ctx.run`), the service served by
Hypercorn with the settings its Python template ships (no limit on streams and on requests of a kept connection), the
client of its SDK over the ingress. The server, the service and the clients are three processes on this machine: that
is how Restate is run.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import restate
from measure import RESULT, STEPS, System, order

HERE = Path(__file__).parent
HYPERCORN = """\
h2_max_concurrent_streams = 2147483647
keep_alive_max_requests = 2147483647
keep_alive_timeout = 2147483647
worker_class = "uvloop"
workers = 2
"""

bench = restate.Service("Bench")


def make_action(number: int) -> Any:
    async def action(given: dict[str, Any]) -> dict[str, Any]:
        if number == STEPS and given["fails"]:
            raise restate.TerminalError(f"rejected at {time.monotonic()!r}")
        return RESULT

    return action


async def compensation(given: dict[str, Any]) -> None:
    return None


ACTIONS = {number: make_action(number) for number in range(1, STEPS + 1)}


@bench.handler("run")
async def run_saga(ctx: restate.Context, given: dict[str, Any]) -> dict[str, Any]:
    done: list[int] = []
    try:
        for number, action in ACTIONS.items():
            await ctx.run_typed(f"step_{number}", action, given=given)
            done.append(number)
    except restate.TerminalError:
        for number in reversed(done):
            await ctx.run_typed(f"compensate_{number}", compensation, given=given)
        raise
    return {}


app = restate.app([bench])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def process(*command: str, cwd: Path, log: Path, **environment: str) -> AsyncIterator[None]:
    with log.open("wb") as output:
        child = await asyncio.create_subprocess_exec(
            *command, cwd=cwd, stdout=output, stderr=output, env=os.environ | environment
        )
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
            try:
                await asyncio.wait_for(child.wait(), 10)
            except TimeoutError:
                child.kill()
                await child.wait()


async def until(attempt: Any, what: str) -> Any:
    """What `attempt` returns, as soon as it does not raise; for a minute."""
    for _ in range(600):
        try:
            return await attempt()
        except (httpx.HTTPError, OSError):
            await asyncio.sleep(0.1)
    raise AssertionError(f"{what} did not answer within a minute")


@asynccontextmanager
async def system(address: str, folder: Path) -> AsyncIterator[System]:
    ports = {name: free_port() for name in ("ingress", "admin", "node", "service")}
    config = folder / "hypercorn.toml"
    config.write_text(HYPERCORN)
    binary = Path(sys.prefix, "npm", "node_modules", ".bin", "restate-server")
    server = process(
        str(binary),
        "--production",
        cwd=folder,
        log=folder / "restate.log",
        RESTATE_AUTO_PROVISION="true",
        RESTATE_DISABLE_TELEMETRY="true",
        RESTATE_BASE_DIR=str(folder / "restate"),
        RESTATE_LISTEN_MODE="tcp",
        RESTATE_BIND_ADDRESS=f"127.0.0.1:{ports['node']}",
        RESTATE_ADVERTISED_ADDRESS=f"http://127.0.0.1:{ports['node']}/",
        RESTATE_INGRESS__BIND_ADDRESS=f"127.0.0.1:{ports['ingress']}",
        RESTATE_ADMIN__BIND_ADDRESS=f"127.0.0.1:{ports['admin']}",
    )
    service = process(
        str(Path(sys.prefix, "bin", "hypercorn")),
        *("--config", str(config), "--bind", f"127.0.0.1:{ports['service']}", "with_restate:app"),
        cwd=HERE,
        log=folder / "service.log",
    )
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with server, service, httpx.AsyncClient(timeout=60, limits=limits) as client:

        async def register() -> None:
            answer = await client.post(
                f"http://127.0.0.1:{ports['admin']}/deployments",
                json={"uri": f"http://127.0.0.1:{ports['service']}", "force": True},
            )
            answer.raise_for_status()

        await until(register, "Restate's server")

        async def run(number: int, fails: bool) -> float | None:
            answer = await client.post(
                f"http://127.0.0.1:{ports['ingress']}/Bench/run", json=order(number, fails=fails)
            )
            if answer.status_code == 200:
                return None
            rejected = re.search(r"rejected at ([0-9.]+)", answer.text)
            if rejected is None:
                raise AssertionError(f"{answer.status_code}: {answer.text}")
            return float(rejected[1])

        yield System(
            f"restate-server 1.7, restate-sdk {version('restate_sdk')}",
            [
                "restate-server --production (24 partitions, one node)",
                "service: Hypercorn, 2 workers (one did half), uvloop, the Python template's settings",
                "clients: HTTP to the ingress, in a third process",
            ],
            run,
        )
