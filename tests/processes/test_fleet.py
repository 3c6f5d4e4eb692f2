"""Several workers on a real PostgreSQL server, and what may befall them: nothing is lost, and nothing happens twice."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from amends import Orchestrator
from amends.core.events import decode_frame
from tests.processes.harness import ROOT, environment, tell
from tests.processes.worker import STEPS, saga
from tests.servers.postgres import Cluster, Databases
from tests.servers.proxy import Proxy

pytestmark = pytest.mark.processes
LIMIT_S = 90.0


class Worker:
    """A process of fleet.py; what it says is read as it comes."""

    def __init__(self, fleet: Fleet, name: str, address: str, *options: object) -> None:
        self.name = name
        self.said: list[str] = []
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "tests.processes.fleet", address, fleet.ledger, fleet.acks, name,
                *map(str, options),
            ],
            cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if not line.startswith("in "):
                self.said.append(line.strip())

    def until(self, line: str, times: int = 1) -> None:
        wait_for(lambda: self.said.count(line) >= times, f"{self.name} never said {line!r}; it said {self.said}")

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        self.process.send_signal(how)

    def stop(self, ledger: str) -> None:
        """SIGSTOP, but not in a transaction of the participant: who is another machine, and whose file stays locked."""
        while True:
            self.process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)
            if free(ledger):
                return
            self.process.send_signal(signal.SIGCONT)
            time.sleep(0.005)

    def end(self) -> None:
        """Let it close, as a service that is stopped."""
        self.process.communicate(timeout=LIMIT_S)
        assert self.process.returncode == 0, f"{self.name} ended with {self.process.returncode}: {self.said}"


def wait_for(happened: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + LIMIT_S
    while not happened():
        assert time.monotonic() < give_up, what
        time.sleep(0.02)


def free(ledger: str) -> bool:
    """Whether nobody holds the participant's database."""
    with closing(sqlite3.connect(ledger, isolation_level=None, timeout=0)) as db:
        try:
            db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        db.execute("ROLLBACK")
        return True


class Fleet:
    """The workers of one test, their participant and their acknowledgements."""

    def __init__(self, directory: Path, address: str) -> None:
        self.address = address
        self.ledger = str(directory / "ledger.db")
        self.acks = str(directory / "acks")
        self.workers: list[Worker] = []

    def spawn(self, name: str, *options: object, address: str = "") -> Worker:
        worker = Worker(self, name, address or self.address, *options)
        self.workers.append(worker)
        return worker

    def close(self) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.process.send_signal(signal.SIGCONT)
                worker.process.kill()
            worker.process.wait()
            for pipe in (worker.process.stdin, worker.process.stdout):
                if pipe is not None:
                    pipe.close()

    def acknowledged(self) -> list[list[str]]:
        return [line.split() for line in Path(self.acks).read_text().splitlines()] if Path(self.acks).exists() else []

    def started(self) -> int:
        return len({line[1] for line in self.acknowledged() if line[0] == "started"})

    def run_out(self, address: str = "") -> None:
        """One more worker brings to an end what the others left."""

        async def drain() -> None:
            from tests.processes.worker import Ledger

            at = address or self.address
            async with Orchestrator(at, sagas=[saga], resources=[Ledger(self.ledger)], lease="2s") as orchestrator:
                give_up = time.monotonic() + LIMIT_S
                while await orchestrator.count("-is:ended"):
                    assert time.monotonic() < give_up, [view async for view in orchestrator.list("-is:ended")]
                    await asyncio.sleep(0.05)

        asyncio.run(drain())

    def journals(self, address: str = "") -> dict[str, list[tuple[int, list[str]]]]:
        """saga id -> (seq, its events' names) of each frame, read past the library."""
        found: dict[str, list[tuple[int, list[str]]]] = {}
        with psycopg.connect(address or self.address) as db:
            for saga_id, seq, body in db.execute("SELECT saga_id, seq, body FROM amends_journal ORDER BY saga_id, seq"):
                names = [type(event).__name__ for event in decode_frame(body).events]
                found.setdefault(saga_id, []).append((seq, names))
        return found

    def audit(self, address: str = "") -> Counter[str]:
        """Hold journal, acknowledgements and effects against each other; how many sagas ended how."""
        written = self.journals(address)
        with closing(sqlite3.connect(self.ledger)) as db:
            effects = Counter(db.execute("SELECT saga_id, step, op FROM effects").fetchall())
        ended: dict[str, str] = {}
        for saga_id, frames in written.items():
            assert [seq for seq, _ in frames] == list(range(1, len(frames) + 1)), f"the journal of {saga_id} has a gap"
            names = [name for _, events in frames for name in events]
            ends = [name for name in names if name in ("Completed", "Compensated", "Closed")]
            assert len(ends) == 1, f"{saga_id} ended as {ends}"
            ended[saga_id] = ends[0].lower()
        for line in self.acknowledged():
            if line[0] == "started":
                assert line[2] in written, f"the acknowledged start of {line[1]} is lost"
        by_key = {line[1]: line[2] for line in self.acknowledged() if line[0] == "started"}
        for line in self.acknowledged():
            if line[0] == "ended":
                assert ended[by_key[line[1]]] == line[2]
        doubled = {effect for effect, times in effects.items() if times > 1}
        assert not doubled, f"effects that happened twice: {doubled}"
        for saga_id, status in ended.items():
            done = {at for at in STEPS if effects[saga_id, at, "action"]}
            undone = {at for at in STEPS if effects[saga_id, at, "compensation"]}
            assert undone == (done if status == "compensated" else set()), f"{saga_id} is {status}: {done} - {undone}"
            assert status == "compensated" or done == set(STEPS)
        with psycopg.connect(address or self.address) as db:
            assert db.execute("SELECT count(*) FROM amends_open").fetchone() == (0,)
        return Counter(ended.values())


@pytest.fixture
def fleet(tmp_path: Path, postgres: Databases) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, postgres.new())
    try:
        yield fleet
    finally:
        fleet.close()


def _ended(frames: list[tuple[int, list[str]]]) -> bool:
    return frames[-1][1][-1] in ("Completed", "Compensated")


def port_of(address: str) -> int:
    return int(psycopg.conninfo.conninfo_to_dict(address)["port"])


def through(address: str, proxy: Proxy) -> str:
    return address.replace(f":{port_of(address)}/", f":{proxy.port}/")


def shards(address: str) -> dict[str, int]:
    """How many shards each living worker holds, by its process."""
    with psycopg.connect(address) as db:
        rows = db.execute(
            "SELECT pid, count(shard) FROM amends_workers LEFT JOIN amends_shards USING (epoch) GROUP BY pid"
        ).fetchall()
    return {str(pid): count for pid, count in rows}


# -- joining, leaving, dying -------------------------------------------------------------------------


def test_workers_join_and_leave_under_load_and_the_shards_follow_them(fleet: Fleet) -> None:
    busy = ("--at-a-time", 150, "--pause", "0.1")  # in every shard something is under way
    first = fleet.spawn("first", "--sagas", 600, *busy)
    first.until("lease.acquired")
    second = fleet.spawn("second", "--sagas", 600, *busy)
    second.until("lease.acquired")
    third = fleet.spawn("third", "--sagas", 300, *busy)
    third.until("lease.acquired")
    wait_for(lambda: sorted(shards(fleet.address).values()) == [20, 22, 22], "three workers never had their shares")
    second.until("done")
    second.end()
    third.until("done")
    third.kill(signal.SIGKILL)
    first.until("done")
    pid = str(first.process.pid)
    wait_for(lambda: shards(fleet.address) == {pid: 64}, "the last worker never had all shards")
    assert "lease.lost" not in first.said
    first.end()
    assert fleet.audit() == {"completed": 750, "compensated": 750}


def test_workers_are_killed_again_and_again_and_every_saga_ends_well(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    workers = [fleet.spawn(f"w{number}", "--sagas", 200) for number in range(3)]
    kills = 0
    for number in range(3, 9):
        before = fleet.started()
        wait_for(lambda before=before: fleet.started() > before + 30, "nothing was started")
        workers.pop(0).kill()
        kills += 1
        workers.append(fleet.spawn(f"w{number}", "--sagas", 60))
    for worker in workers:
        worker.until("done")
        worker.end()
    fleet.run_out()
    ends = fleet.audit()
    tell(capsys, f"{kills} workers killed, {sum(ends.values())} sagas: {dict(ends)}")
    assert ends["completed"] > 100


def test_a_worker_stopped_past_its_lease_writes_nothing_any_more_and_comes_back(fleet: Fleet) -> None:
    first = fleet.spawn("first", "--sagas", 40, "--lease", "1s", "--pause", "0.3")
    wait_for(lambda: fleet.started() >= 20, "nothing was started")
    first.stop(fleet.ledger)
    second = fleet.spawn("second", "--lease", "1s")
    second.until("lease.acquired")
    wait_for(lambda: list(shards(fleet.address).values()) == [64], "the shards were not taken over")
    with psycopg.connect(fleet.address) as db:
        epochs = [row[0] for row in db.execute("SELECT epoch FROM amends_workers")]
    wait_for(lambda: all(_ended(frames) for frames in fleet.journals().values()), "the second never ended them")
    before = fleet.journals()
    first.kill(signal.SIGCONT)
    first.until("lease.lost")
    after = fleet.journals()
    assert {saga_id: after[saga_id] for saga_id in before} == before, "a write of the first landed behind its lease"
    first.until("lease.acquired", 2)  # it joins again, under another epoch
    with psycopg.connect(fleet.address) as db:
        now = [row[0] for row in db.execute("SELECT epoch FROM amends_workers ORDER BY epoch")]
    assert now[0] == epochs[0]
    assert len(now) == 2
    first.until("done")
    for worker in (first, second):
        worker.end()
    assert fleet.audit() == {"completed": 20, "compensated": 20}


def test_workers_whose_clocks_are_ten_minutes_apart_neither_rob_each_other_nor_wait(fleet: Fleet) -> None:
    behind = fleet.spawn("behind", "--sagas", 100, "--ahead", -300)
    behind.until("lease.acquired")
    ahead = fleet.spawn("ahead", "--sagas", 100, "--ahead", 300)
    ahead.until("lease.acquired")
    for worker in (behind, ahead):
        worker.until("done")
    time.sleep(3)  # longer than a lease: whoever went by the wrong clock would take the other's shards
    assert sorted(shards(fleet.address).values()) == [32, 32]
    for worker in (behind, ahead):
        assert "lease.lost" not in worker.said
        worker.end()
    assert fleet.audit() == {"completed": 100, "compensated": 100}
    times = []
    with psycopg.connect(fleet.address) as db:
        for (body,) in db.execute("SELECT body FROM amends_journal"):
            times.append(decode_frame(body).at / 1_000)
    assert abs(max(times) - time.time()) < 60
    assert abs(min(times) - time.time()) < 60


# -- the server and the network ------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["restart", "crash"])
def test_the_server_goes_down_and_comes_back_also_while_workers_recover(
    tmp_path: Path, how: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    server = Cluster()
    fleet = Fleet(tmp_path, "")
    try:
        server.create()
        server.start()
        fleet.address = server.address("postgres")
        workers = [fleet.spawn(f"w{number}", "--sagas", 150) for number in range(2)]
        for number in range(4):
            before = fleet.started()
            wait_for(lambda before=before: fleet.started() > before + 20, "nothing was started")
            workers[number % 2].kill()  # the next server finds somebody recovering
            workers[number % 2] = fleet.spawn(f"again{number}", "--sagas", 80)
            time.sleep(0.3)
            server.stop(how)
            time.sleep(0.2 * number)
            server.start()
        for worker in workers:
            worker.until("done")
            worker.end()
        fleet.run_out()
        ends = fleet.audit()
        tell(capsys, f"the server went down 4 times, {sum(ends.values())} sagas: {dict(ends)}")
    finally:
        fleet.close()
        server.remove()


def test_a_failover_to_a_synchronous_standby_loses_nothing(tmp_path: Path) -> None:
    primary = Cluster({"wal_level": "replica", "hot_standby": "on"})
    standby = Cluster(source=primary)
    fleet = Fleet(tmp_path, "")
    try:
        primary.create()
        primary.start()
        standby.create()
        standby.start()
        with psycopg.connect(primary.address("postgres"), autocommit=True) as db:
            db.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            db.execute("SELECT pg_reload_conf()")
        fleet.address = f"postgresql://amends@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/postgres"
        workers = [fleet.spawn(f"w{number}", "--sagas", 120) for number in range(2)]
        wait_for(lambda: fleet.started() > 40, "nothing was started")
        primary.stop(signal.SIGQUIT)
        standby.promote()
        with psycopg.connect(standby.address("postgres"), autocommit=True) as db:
            db.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
            db.execute("SELECT pg_reload_conf()")
        for worker in workers:
            worker.until("done")
            worker.end()
        fleet.run_out()
        ends = fleet.audit(standby.address("postgres"))
        assert sum(ends.values()) == 240
    finally:
        fleet.close()
        standby.remove()
        primary.remove()


def test_cut_connections_and_lost_answers_of_commits_are_settled_by_sending_again(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    proxy = Proxy(port_of(fleet.address))
    try:
        worker = fleet.spawn("first", "--sagas", 300, address=through(fleet.address, proxy))
        for number in range(12):
            before = fleet.started()
            wait_for(lambda before=before: fleet.started() > before + 8 or "done" in worker.said, "nothing was started")
            if number % 3 == 0:
                proxy.cut()
            elif number % 3 == 1:
                proxy.lose_answers(3)
            else:
                with psycopg.connect(fleet.address, autocommit=True) as db:
                    db.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'amends%'"
                    )
        worker.until("done")
        worker.end()
    finally:
        fleet.close()
        proxy.close()
    tell(capsys, f"{proxy.lost} answers lost")
    assert proxy.lost > 3
    assert fleet.audit() == {"completed": 150, "compensated": 150}


def test_a_worker_behind_a_partition_stops_in_time_and_others_take_its_shards(fleet: Fleet) -> None:
    proxy = Proxy(port_of(fleet.address))
    try:
        first = fleet.spawn(
            "first", "--sagas", 60, "--lease", "2s", "--pause", "0.1", address=through(fleet.address, proxy)
        )
        wait_for(lambda: fleet.started() >= 20, "nothing was started")
        proxy.silence()
        second = fleet.spawn("second", "--lease", "2s")
        second.until("lease.acquired")
        wait_for(lambda: list(shards(fleet.address).values()) == [64], "the shards were not taken over")
        first.until("lease.lost")
        proxy.heal()
        first.until("lease.acquired", 2)
        first.until("done")
        for worker in (first, second):
            worker.end()
    finally:
        fleet.close()
        proxy.close()
    assert fleet.audit() == {"completed": 30, "compensated": 30}


def test_a_slow_disk_makes_it_slow_and_nothing_else(tmp_path: Path) -> None:
    server = Cluster({"commit_delay": "100000", "commit_siblings": "0"})  # each flush takes a tenth of a second more
    fleet = Fleet(tmp_path, "")
    try:
        server.create()
        server.start()
        fleet.address = server.address("postgres")
        workers = [fleet.spawn(f"w{number}", "--sagas", 40) for number in range(2)]
        for worker in workers:
            worker.until("done")
            assert "lease.lost" not in worker.said
            worker.end()
        assert fleet.audit() == {"completed": 40, "compensated": 40}
    finally:
        fleet.close()
        server.remove()
