"""Hosts that run orchestrators, and the one who breaks them: kills, stops, clock steps, outages.

A host boots a machine with an orchestrator on the one store; when that dies, another is booted. What
survives a death is what survives in life: the store, the participants, and the host's clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from ...errors import AmendsError, StoreError
from ...runtime.orchestrator import Orchestrator
from .clock import SimulatedClock
from .faults import StoreLink
from .loop import Machine

if TYPE_CHECKING:
    from .sagas import Made
    from .world import World

T = TypeVar("T")
LEASE_S = 6


class Unanswered(Exception):
    """The machine that was asked died, or took too long."""


class Host:
    """A place where orchestrators run, one after the other.

    Parameters:
        world: where it stands.
        name: its name.
        made: the sagas its orchestrators run.
        settings: of its orchestrators.
    """

    def __init__(self, world: World, name: str, made: list[Made], settings: dict[str, Any]) -> None:
        self._world = world
        self._made = made
        self._settings = settings
        self._boots = 0
        self.name = name
        self.clock = SimulatedClock(world.loop, world.chance.stream(f"entropy/{name}"))
        self.machine: Machine | None = None
        self.orchestrator: Orchestrator | None = None
        self.up = False

    def boot(self) -> None:
        """Start a machine and an orchestrator on it."""
        self._boots += 1
        self.machine = machine = Machine(f"{self.name}.{self._boots}")
        link = StoreLink(self._world, machine)
        self._world.links[machine] = link
        self._world.hosts[machine] = self
        sagas = [made.saga for made in self._made]
        self.orchestrator = Orchestrator(link, sagas=sagas, clock=self.clock, **self._settings)
        self._world.loop.on(machine, self._open(machine, self.orchestrator))

    async def _open(self, machine: Machine, orchestrator: Orchestrator) -> None:
        try:
            await orchestrator.__aenter__()
        except StoreError as error:
            self._world.say(machine.name, f"could not begin: {error}")
            self._world.later(0.5, self.reboot, machine)
            return
        self._world.say(machine.name, "is up")
        self.up = True

    def reboot(self, machine: Machine) -> None:
        """Kill this machine, if it is still the host's, and boot another."""
        if machine is self.machine:
            self.kill()
            self.boot()

    def kill(self) -> None:
        """What kill -9 does: nothing of the machine runs any more."""
        machine = self.machine
        if machine is None or machine.killed:
            return
        self._world.say(machine.name, "is killed")
        self._world.monitor.killed(machine)
        machine.killed = True
        self.up = False
        # Proven dead on its host, its lease may be taken at once; from another host, only when it runs out.
        if self._world.leader is machine and self._world.chance.stream(machine.name).random() < 0.5:
            self._world.store._expires = 0

    async def shut_down(self) -> None:
        """SIGTERM: drain, hand over, and boot anew."""
        machine, orchestrator, world = self.machine, self.orchestrator, self._world
        if machine is None or orchestrator is None or not self.up:
            return
        world.say(machine.name, "is asked to stop")
        self.up = False
        world.asked_to_stop.add(machine)
        await asyncio.wait([world.loop.on(machine, orchestrator.close())], timeout=20)
        world.chance.mark("graceful hand-over")
        self.reboot(machine)

    async def ask(self, what: Callable[[Orchestrator], Coroutine[Any, Any, T]], patience_s: float = 15) -> T:
        """Ask the orchestrator of the moment, from outside.

        Raises:
            Unanswered: it is down, or did not answer in time. AmendsError: its answer.
        """
        machine, orchestrator = self.machine, self.orchestrator
        if machine is None or orchestrator is None or not self.up:
            raise Unanswered
        task = self._world.loop.on(machine, what(orchestrator))
        await asyncio.wait([task], timeout=patience_s)
        if not task.done():
            raise Unanswered
        error = task.exception()
        if error is not None and not isinstance(error, AmendsError):
            self._world.violate(f"an answer that is no AmendsError: {error!r}")
        return task.result()


class Nemesis:
    """Breaks hosts for a while, then mends them all.

    Parameters:
        world: whose chance decides.
        hosts: what it breaks.
    """

    def __init__(self, world: World, hosts: list[Host]) -> None:
        self._world = world
        self._hosts = hosts
        self._rng = world.chance.stream("nemesis")

    async def rage(self, length_s: float) -> None:
        """Break something every now and then."""
        world, rng = self._world, self._rng
        until = world.loop.time() + length_s
        while world.loop.time() < until:
            await asyncio.sleep(rng.uniform(0.05, 1.5))
            host = rng.choice(self._hosts)
            self._restart_if_failed()
            for what in (self._kill, self._stop, self._step, self._outage, self._shut_down):
                if world.chance.fires(f"nemesis{what.__name__}", 0.15):
                    await what(host)

    def mend(self) -> None:
        """Everything runs again."""
        self._world.outage = False
        for host in self._hosts:
            if host.machine is not None and host.machine.stopped:
                self._world.loop.continue_machine(host.machine)
        self._restart_if_failed()

    def _restart_if_failed(self) -> None:
        for host in self._hosts:
            if host.orchestrator is not None and host.up and host.orchestrator.failed is not None:
                self._world.chance.mark("the store failed and a restart recovered")
                assert host.machine is not None
                host.reboot(host.machine)

    async def _kill(self, host: Host) -> None:
        host.kill()
        await asyncio.sleep(self._rng.choice([0.01, 0.5, 4]))
        host.boot()

    async def _stop(self, host: Host) -> None:
        machine = host.machine
        if machine is None or machine.killed:
            return
        self._world.say(machine.name, "is stopped")
        self._world.loop.stop_machine(machine)
        await asyncio.sleep(self._rng.choice([0.5, LEASE_S * 1.2, LEASE_S * 2.5]))
        self._world.say(machine.name, "goes on")
        self._world.loop.continue_machine(machine)

    async def _step(self, host: Host) -> None:
        by_ms = self._rng.choice([-30_000, -2_000, 2_000, 30_000])
        self._world.say(host.name, f"its clock is stepped by {by_ms} ms")
        self._world.chance.mark("clock stepped back" if by_ms < 0 else "clock stepped forward")
        host.clock.step(by_ms)

    async def _outage(self, host: Host) -> None:
        self._world.say("store", "is out of reach")
        self._world.outage = True
        await asyncio.sleep(self._rng.choice([0.2, 2, LEASE_S * 1.5]))
        self._world.outage = False
        self._world.say("store", "is back")

    async def _shut_down(self, host: Host) -> None:
        await host.shut_down()
