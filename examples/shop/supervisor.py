"""Starts the five services, kills one now and then, starts it again, and leaves no process behind.

Only processes started here are ever signalled, by the handles we hold. Should we be killed ourselves,
each service notices within half a second that its parent is gone, and ends.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2

from .audit import SERVICES

PACKAGE = __package__ or "examples.shop"
ROOT = Path(__file__).resolve().parents[PACKAGE.count(".") + 1]
START_S = 20.0
STARTS_MAX = 3  # somebody else may have taken the port for a moment
MAILS_S = 60.0


class Broken(Exception):
    """A service did not come up."""


class Supervisor:
    """The five services as processes, each with its database in `directory`.

    Parameters:
        directory: where the databases are, or are created.
        seed, faults: handed to the services, see `services.faults`.

    Attributes:
        urls: service -> its address; the same over restarts.
        kills: how many services were killed.
    """

    def __init__(self, directory: Path, *, seed: int = 0, faults: float = 0.0) -> None:
        self.directory = directory
        self.seed = seed
        self.faults = faults
        self.kills = 0
        self._ports = free_ports(len(SERVICES), random.Random())
        self.urls = {name: f"http://127.0.0.1:{port}" for name, port in zip(SERVICES, self._ports, strict=True)}
        self._processes: dict[str, Process] = {}
        self._client = httpx2.AsyncClient(timeout=5)

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.TaskGroup() as group:
                for name in SERVICES:
                    group.create_task(self.start(name))
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self, name: str) -> None:
        """Start a service, if it does not run, and wait until it answers.

        Raises:
            Broken: it did not within 20 s, or ended by itself three times; its standard error says why.
        """
        arguments = ["--db", str(self.directory / f"{name}.db"), "--port", self.urls[name].rpartition(":")[2]]
        arguments += ["--seed", str(self.seed), "--faults", str(self.faults)]
        loop = asyncio.get_running_loop()
        give_up = loop.time() + START_S
        begun = 0
        while loop.time() < give_up:
            process = self._processes.get(name)
            if process is None or process.returncode is not None:
                if begun == STARTS_MAX:
                    break
                begun += 1
                self._processes[name] = await spawn(f"{PACKAGE}.services.{name}", *arguments)
            if await self.health(name) is not None:
                return
            await asyncio.sleep(0.05)
        raise Broken(f"the {name} service does not answer at {self.urls[name]}; it was started {begun} times")

    async def kill(self, name: str) -> None:
        """SIGKILL a service: no goodbye, no flush."""
        self._processes[name].kill()
        await self._processes[name].wait()
        self.kills += 1

    async def health(self, name: str) -> dict[str, int] | None:
        """What the service says of itself, or None while it does not answer."""
        try:
            answer = await self._client.get(f"{self.urls[name]}/healthz")
        except httpx2.TransportError:
            return None
        health: dict[str, int] = answer.json()
        return health

    async def quiet(self, mails: int = 0) -> dict[str, int]:
        """Wait until no service works on a saga's call any more; their counters, summed up.

        An answer that nobody waits for can still bring an effect, so the audit begins after this.

        Parameters:
            mails: wait until so many were sent, at most 60 s. A mail is owed *after* a saga's end, so
                the end does not tell that it has left; whether it has is for the audit to say.
        """
        loop = asyncio.get_running_loop()
        give_up = loop.time() + MAILS_S
        while loop.time() < give_up and await self._mails() < mails:  # noqa: ASYNC110 -- it is another process
            await asyncio.sleep(0.1)
        while True:
            found = [await self.health(name) for name in SERVICES]
            if all(health is not None and health["in_flight"] == 0 for health in found):
                return {"changed": sum(health["changed"] for health in found if health)}
            await asyncio.sleep(0.1)

    async def _mails(self) -> int:
        answer = await self._client.post(f"{self.urls['notification']}/desk/sent", json={})
        return int(answer.json()["mails"])

    async def torment(self, draw: random.Random, every_s: tuple[float, float]) -> None:
        """Kill a service now and then, and start it again a moment later; until cancelled."""
        while True:
            await asyncio.sleep(draw.uniform(*every_s))
            name = draw.choice(SERVICES)
            await self.kill(name)
            await asyncio.sleep(draw.uniform(0.0, 0.3))
            await self.start(name)

    async def stop(self) -> None:
        """End every service that is still there. They keep nothing in memory, so they are killed."""
        for process in self._processes.values():
            if process.returncode is None:
                process.kill()
            await process.wait()
        await self._client.aclose()


async def spawn(module: str, *arguments: str, stdout: int = DEVNULL) -> Process:
    """Start `python -m module` with this package on its path, wherever we were started from."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdin=DEVNULL, stdout=stdout, env={**os.environ, "PYTHONPATH": path}
    )


def free_ports(count: int, draw: random.Random) -> list[int]:
    """Ports that nobody listens on, below those that the kernel gives to clients.

    A client's port could be the very one that a killed service must have back.
    """
    ports: list[int] = []
    while len(ports) < count:
        port = draw.randrange(18_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports
