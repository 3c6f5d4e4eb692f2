"""Journals that the real runtime wrote under simulated faults: what views and folds are held against."""

import logging
from functools import cache

from amends.stores.memory import MemoryStore
from amends.testing.simulation.run import _whole
from amends.testing.simulation.world import World


@cache
def simulated(seed) -> MemoryStore:
    """The store that one seed's run left behind."""
    logger = logging.getLogger("amends")
    before, logger.disabled = logger.disabled, True
    world = World(seed)
    try:
        world.loop.run_until_complete(world.loop.on(None, _whole(world)))
    finally:
        world.loop.end()
        logger.disabled = before
    assert not world.broken, world.broken
    return world.store


async def prefixes(seed):
    """Each saga of a seed, cut after each of its frames: (saga id, seq, a store that holds just this prefix)."""
    whole = simulated(seed)
    await whole.open()
    for saga_id, rows in (await whole.frames(list(whole._journal))).items():
        for seq in range(1, len(rows) + 1):
            cut = MemoryStore()
            await cut.open()
            await cut.register(await whole.definitions())
            await cut.start(rows[0], None)
            for row in rows[1:seq]:
                cut._journal[saga_id].append(row)
            yield saga_id, seq, cut
