"""Who holds a lease: whether it is gone, and being told when it goes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from amends.stores import owner as owners
from amends.stores.owner import is_gone, leave, this_process, watch

needs_pidfd = pytest.mark.skipif(
    not hasattr(os, "pidfd_open"), reason="THIS PLATFORM HAS NO PIDFD: watching a holder was NOT tested"
)


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def descriptors():
    """How many this process has open."""
    return len(list(Path("/dev/fd").iterdir()))


def owner_of(process):
    me = this_process()
    return type(me)("other", me.host, me.boot_id, process.pid, owners._started(process.pid))


@needs_pidfd
def test_the_death_of_a_holder_is_told_at_once_and_once_even_before_it_is_reaped(sleeper):
    async def main():
        told = asyncio.Event()
        before = descriptors()
        assert watch(owner_of(sleeper), told.set) is not None
        sleeper.send_signal(signal.SIGSTOP)  # stopped is not dead
        await asyncio.sleep(0.05)
        assert not told.is_set()
        sleeper.send_signal(signal.SIGKILL)
        await asyncio.wait_for(told.wait(), 10)
        assert descriptors() == before

    asyncio.run(main())


@needs_pidfd
def test_a_watch_that_was_ended_tells_nothing_and_leaves_no_descriptor(sleeper):
    async def main():
        told = []
        before = descriptors()
        end = watch(owner_of(sleeper), lambda: told.append(1))
        end()
        end()
        assert descriptors() == before
        sleeper.kill()
        sleeper.wait()
        await asyncio.sleep(0.02)
        assert told == []

    asyncio.run(main())


def test_nobody_is_watched_who_is_elsewhere_dead_or_another_under_the_same_number(sleeper):
    async def main():
        here, told = owner_of(sleeper), []
        for other in (
            type(here)("other", "another-host", here.boot_id, here.pid, here.process_started),
            type(here)("other", here.host, "another-boot", here.pid, here.process_started),
            type(here)("other", here.host, here.boot_id, 0, 0),
            type(here)("other", here.host, here.boot_id, here.pid, here.process_started - 1),
        ):
            before = descriptors()
            assert watch(other, lambda: told.append(1)) is None
            assert descriptors() == before
        sleeper.kill()
        sleeper.wait()
        assert watch(here, lambda: told.append(1)) is None
        assert told == []

    asyncio.run(main())


def test_an_owner_of_this_process_that_left_is_gone_and_its_neighbour_is_not():
    mine, neighbour = this_process(), this_process()
    leave(mine)
    assert is_gone(mine)
    assert not is_gone(neighbour)
