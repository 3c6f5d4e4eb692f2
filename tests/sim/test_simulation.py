"""The simulation in CI: 2,000 seeds keep every promise, repeat exactly, and come by everything.

`make sim SEEDS=100000` runs more; the command that a failure prints repeats it with all that happened.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
from random import Random

import pytest

from amends.testing.simulation import simulate
from amends.testing.simulation.chance import Chance
from amends.testing.simulation.loop import Machine, SimulatedLoop, Stalled
from tests.sim import run

SEEDS = int(os.environ.get("SIM_SEEDS", "2000"))


@pytest.fixture(scope="module")
def total() -> run.Total:
    return run.run(SEEDS)


class TestTwoThousandSeeds:
    def test_every_seed_keeps_every_promise(self, total):
        told = "\n".join(f"seed {each.seed}: {each.broken[0]}\n    {run.command(each.seed)}" for each in total.failures)
        assert not total.failures, f"\n{told}"
        assert total.seeds == SEEDS

    def test_every_sometimes_assertion_was_hit(self, total):
        assert not total.missed, "tame seeds prove nothing: widen the simulation until some seed comes by these"

    def test_every_fiftieth_seed_was_run_twice_and_gave_the_same_trace(self, total):
        assert total.twice == SEEDS // run.TWICE  # a difference is among the broken promises


def test_a_seed_gives_the_same_trace_with_and_without_its_lines_kept():
    assert simulate(7, keep=True).digest == simulate(7).digest
    assert simulate(7).digest != simulate(8).digest


def test_another_process_with_other_hashes_of_strings_gives_the_same_trace():
    script = "from amends.testing.simulation import simulate; print(*(simulate(seed).digest for seed in range(20, 30)))"

    def digests(hash_seed: str) -> list[str]:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    assert digests("1") == digests("2") == [simulate(seed).digest for seed in range(20, 30)]


def test_a_trace_is_readable(capsys):
    assert run.show(7) == 0
    told = capsys.readouterr().out
    assert "Started(" in told
    assert "trace " in told


@pytest.fixture
def loop():
    loop = SimulatedLoop(Random(1))
    yield loop
    loop.end()


class TestTheLoop:
    def test_a_long_sleep_takes_no_time_and_moves_the_clock(self, loop):
        loop.run_until_complete(loop.on(None, asyncio.sleep(86_400)))
        assert 86_400 <= loop.time() < 86_401

    def test_a_machine_that_is_killed_runs_nothing_more_not_even_a_finally(self, loop):
        machine, seen = Machine("m"), []

        async def work():
            try:
                await asyncio.sleep(1)
                seen.append("woke")
            finally:
                seen.append("finally")

        loop.on(machine, work())
        loop.run_until_complete(loop.on(None, asyncio.sleep(0.5)))
        machine.killed = True
        loop.run_until_complete(loop.on(None, asyncio.sleep(5)))
        assert seen == []

    def test_a_machine_that_is_stopped_goes_on_where_it_was(self, loop):
        machine, seen = Machine("m"), []

        async def tick():
            while True:
                await asyncio.sleep(1)
                seen.append(round(loop.time()))

        loop.on(machine, tick())
        loop.run_until_complete(loop.on(None, asyncio.sleep(1.5)))
        loop.stop_machine(machine)
        loop.run_until_complete(loop.on(None, asyncio.sleep(8)))
        assert seen == [1]
        loop.continue_machine(machine)
        loop.run_until_complete(loop.on(None, asyncio.sleep(1.2)))
        assert seen == [1, 10, 11]

    def test_callbacks_of_one_machine_keep_their_order_and_those_of_two_need_not(self, loop):
        one, two = Machine("one"), Machine("two")
        orders = set()
        for _ in range(20):
            seen = []
            for number in range(3):
                loop.call_soon(seen.append, ("one", number), context=one.context)
                loop.call_soon(seen.append, ("two", number), context=two.context)
            loop.run_until_complete(loop.on(None, asyncio.sleep(0)))
            assert [each for each in seen if each[0] == "one"] == [("one", 0), ("one", 1), ("one", 2)]
            orders.add(seen[0][0])
        assert orders == {"one", "two"}

    def test_what_will_never_come_is_an_error_and_no_hang(self, loop):
        with pytest.raises(Stalled), contextlib.closing(loop):
            loop.run_until_complete(loop.on(None, asyncio.Event().wait()))


class TestChance:
    def test_a_stream_is_not_moved_by_another(self):
        one, two = Chance(5), Chance(5)
        one.stream("people").random()
        for _ in range(10):
            one.fires("store.commit.refuses")
        assert one.stream("loop").random() == two.stream("loop").random()

    def test_a_section_that_is_off_in_a_seed_never_fires_and_one_that_is_on_sometimes_does(self):
        fired = {}
        for seed in range(40):
            chance = Chance(seed)
            fired[seed] = sum(chance.fires("store.commit.refuses") for _ in range(100))
            assert (fired[seed] > 0) == chance.is_on("store.commit.refuses")
        assert 3 <= sum(count > 0 for count in fired.values()) <= 20

    def test_nothing_fires_any_more_when_it_is_quiet(self):
        chance = Chance(3)
        chance.quiet = True
        assert not any(chance.fires(f"section {number}", 1) for number in range(50))

    def test_a_mark_that_nobody_declared_is_refused(self):
        with pytest.raises(KeyError):
            Chance(1).mark("somewhere")
