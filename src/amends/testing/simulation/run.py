"""One seed, from the first start to the last end.

wild     two hosts, clients, people, faults: everything happens at any time
quiet    faults off, both hosts up, an operator ends what is parked: every saga must reach its end
         within a bound of virtual time
still    the last messages arrive; then journals, lists and ledgers are held against each other
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ...core.filters import Filter
from ...errors import StoreError
from .faults import at_once
from .hosts import LEASE_S, Host, Nemesis
from .people import People
from .sagas import Made, Maker
from .world import World

_WILD_S = 20.0
_QUIET_MAX_S = 400.0
_STILL_S = 60.0


@dataclass
class Outcome:
    """What one seed gave.

    Attributes:
        digest: the hash of all that happened.
        broken: the broken promises, none when all held.
        marks: which sometimes-assertions were hit, how often.
        virtual_s: how long it took in virtual time.
    """

    seed: int
    digest: str = ""
    broken: list[str] = field(default_factory=list)
    marks: Counter[str] = field(default_factory=Counter)
    fired: Counter[str] = field(default_factory=Counter)
    sagas: int = 0
    frames: int = 0
    virtual_s: float = 0.0
    lines: list[str] = field(default_factory=list)


def simulate(seed: int, *, keep: bool = False) -> Outcome:
    """Run one seed.

    Parameters:
        seed: decides everything.
        keep: whether to keep the trace's lines.
    """
    collecting = gc.isenabled()
    gc.disable()  # its moments are no seed's; everything is collected between two seeds
    logger = logging.getLogger("amends")
    level, logger.disabled = logger.disabled, True
    world = World(seed, keep=keep)
    unhandled: list[str] = []
    world.loop.set_exception_handler(lambda _, context: unhandled.append(_told(context)))
    try:
        world.loop.run_until_complete(world.loop.on(None, _whole(world)))
    except Exception as error:
        world.violate(f"the simulation ended with {error!r}")
    for told in unhandled:
        world.violate(f"nobody handled: {told}")
    _tasks_that_died(world)
    outcome = Outcome(
        seed, world.trace.digest, world.broken, world.chance.marks, world.chance.fired, len(world.monitor.watched),
        len(world.store._log), world.loop.time(), world.trace.lines,
    )  # fmt: skip
    world.loop.end()
    logger.disabled = level
    if collecting:
        gc.enable()
    return outcome


def _told(context: dict[str, Any]) -> str:
    return f"{context.get('message')}: {context.get('exception')!r}"


def _tasks_that_died(world: World) -> None:
    """A task of the runtime may end with the store's error; any other is a defect."""
    for task in world.loop._tasks:
        if task.done() and not task.cancelled():
            error = task.exception()
            if error is not None and task.get_name().startswith("amends-") and not isinstance(error, StoreError):
                world.violate(f"the task {task.get_name()} died of {error!r}")


async def _whole(world: World) -> None:
    rng = world.chance.stream("shape")
    made = [
        Maker(world.chance.stream(f"saga/{number}"), world.participants, world.chance.fires).make(f"saga{number}")
        for number in range(rng.randint(1, 3))
    ]
    for each in made:
        world.monitor.sagas[each.saga.name, each.saga.version] = each.saga
    settings: dict[str, Any] = {
        "lease": LEASE_S, "poll": 0.5, "horizon": 10, "grace": 1, "patience": 4,
        "concurrency": rng.choice([1, 3, 100]), "deaths_max": rng.choice([1, 3, 100]),
        "admission": rng.choice([2, 100]),
    }  # fmt: skip
    world.monitor.deaths_max = settings["deaths_max"]
    hosts = [Host(world, name, made, settings) for name in ("alpha", "beta")]
    world.over = asyncio.get_running_loop().create_future()
    story = asyncio.ensure_future(_story(world, hosts, made, rng.randint(3, 7)))
    await asyncio.wait([story, world.over], return_when=asyncio.FIRST_COMPLETED)
    if story.done():
        story.result()


async def _story(world: World, hosts: list[Host], made: list[Made], starts: int) -> None:
    nemesis, people = Nemesis(world, hosts), People(world, hosts, made)
    for host in hosts:
        host.boot()
        await asyncio.sleep(0.1)
    await asyncio.gather(nemesis.rage(_WILD_S), people.start_some(starts), people.meddle(_WILD_S))
    world.say("world", "is quiet from here on")
    world.chance.quiet = True
    nemesis.mend()
    bound = world.loop.time() + _QUIET_MAX_S
    await asyncio.sleep(5)  # what was asked for in the wild part arrives
    while any(not watched.state.finished for watched in world.monitor.watched.values()):
        await asyncio.sleep(2)
        nemesis.mend()
        if world.loop.time() > bound:
            world.violate(f"L1, L4: not at an end {_QUIET_MAX_S:.0f} s after the last fault: {_unfinished(world)}")
            return
        await people.operate(hosts[int(bound) % 2])
    await asyncio.sleep(_STILL_S)
    _last_look(world, people)


def _unfinished(world: World) -> str:
    return ", ".join(
        f"{saga_id[-6:]} ({watched.state.status}, due {watched.state.due}, stuck {watched.state.stuck})"
        for saga_id, watched in world.monitor.watched.items()
        if not watched.state.finished
    )


def _last_look(world: World, people: People) -> None:
    """Ends, acknowledgements, lists and ledgers."""
    monitor = world.monitor
    monitor.ledger()
    for saga_id in people.acknowledged:
        if saga_id not in monitor.watched:
            world.violate(f"S6: the acknowledged saga {saga_id[-6:]} is gone")
    listed = {line.saga_id: line for line in at_once(world.store.summaries(Filter(), before="", limit=10_000))}
    for saga_id, watched in monitor.watched.items():
        if listed.get(saga_id) != watched.summary:
            world.violate(f"S4: the list says {listed.get(saga_id)}, the journal says {watched.summary}")
    if len(listed) != len(monitor.watched):
        world.violate(f"S4: {len(listed)} sagas are listed, and {len(monitor.watched)} have a journal")
    still_open = at_once(world.store.open_sagas(after=0, due_from=0, due_before=1 << 63, limit=10_000))
    if still_open:
        world.violate(f"sagas are at their end and still open: {still_open}")
