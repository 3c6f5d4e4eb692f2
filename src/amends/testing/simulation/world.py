"""Everything outside of the machines: the store, the participants, the network, and who watches.

Rules of this file: it holds the parts together and lets each find the others; it decides nothing.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ...stores.base import FrameRow, Ring
from ...stores.memory import MemoryStore
from .chance import Chance, Trace
from .invariants import Monitor
from .loop import Machine, SimulatedLoop
from .participants import Participants

if TYPE_CHECKING:
    from .faults import StoreLink
    from .hosts import Host


class World:
    """One simulated world.

    Parameters:
        seed: decides everything.
        keep: whether the trace keeps its lines.

    Attributes:
        outage: whether the store is out of reach for everybody.
        leader: the machine whose epoch is in force.
        broken: what was broken, the first thing first.
    """

    def __init__(self, seed: int, *, keep: bool = False) -> None:
        self.chance = Chance(seed)
        self.trace = Trace(keep=keep)
        self.loop = SimulatedLoop(self.chance.stream("loop"))
        self.store = MemoryStore()
        self.monitor = Monitor(self)
        self.participants = Participants(self)
        self.outage = False
        self.leader: Machine | None = None
        self.asked_to_stop: set[Machine] = set()
        self.links: dict[Machine, StoreLink] = {}
        self.hosts: dict[Machine, Host] = {}
        self.broken: list[str] = []
        self.over: asyncio.Future[None] | None = None
        self._written: Counter[str] = Counter()
        self._outside = contextvars.Context()

    def kill(self, machine: Machine) -> None:
        """Kill a machine in a moment, and boot another in its place."""
        self.later(0, self.hosts[machine].reboot, machine)

    def later(self, delay_s: float, function: Callable[..., object], *args: Any) -> None:
        """Call a function in the world, outside of every machine."""
        self.loop.call_later(delay_s, function, *args, context=self._outside)

    def say(self, who: str, what: str) -> None:
        """Note it in the trace."""
        self.trace.say(self.loop.time(), who, what)

    def violate(self, promise: str) -> None:
        """A promise was broken: note it and end the run."""
        self.say("BROKEN", promise)
        self.broken.append(promise)
        if self.over is not None and not self.over.done():
            self.over.set_result(None)

    # --- told by the links -----------------------------------------------------------------------------

    def leads(self, machine: Machine, epoch: int) -> None:
        """A machine has taken the lease."""
        self.leader = machine
        self.say(machine.name, f"leads, epoch {epoch}")

    def landed(self, rows: Sequence[FrameRow], by: str, machine: Machine) -> None:
        """Frames of a machine have become durable."""
        for row in rows:
            self.monitor.row(row, by, handing_over=machine in self.asked_to_stop)
        for saga_id in dict.fromkeys(row.saga_id for row in rows):
            self.monitor.findable(saga_id, self.store._open.get(saga_id))

    def wrote(self, machine: Machine) -> None:
        """A machine wrote without the lease; `changed()` of the others must tell."""
        self._written[machine.name] += 1

    def ring(self, what: Ring) -> None:
        """Somebody wrote: every machine's doorbells ring, or do not."""
        for link in self.links.values():
            if self.chance.fires("bell.lost"):
                self.chance.mark("doorbell unheard")
                continue
            late = self.chance.fires("bell.late")
            self.later(self.chance.latency(1.0 if late else 0.000_1), link.bells.ring, what)
            if self.chance.fires("bell.needless", 0.05):
                self.later(self.chance.latency(1.0), link.bells.ring, what)

    def written_by_others(self, machine: Machine) -> int:
        """How often others wrote."""
        return sum(self._written.values()) - self._written[machine.name]
