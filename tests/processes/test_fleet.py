"""Several workers on a real PostgreSQL server, and what may befall them: nothing is lost, and nothing happens twice."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from amends.core.events import decode_frame
from tests.processes.crew import Fleet, port_of, shards, through, wait_for
from tests.processes.harness import tell
from tests.servers.postgres import Cluster, Databases
from tests.servers.proxy import Proxy

pytestmark = pytest.mark.processes


@pytest.fixture
def fleet(tmp_path: Path, postgres: Databases) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, postgres.new())
    try:
        yield fleet
    finally:
        fleet.close()


def _ended(frames: list[tuple[int, list[str]]]) -> bool:
    return frames[-1][1][-1] in ("Completed", "Compensated")


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


def test_the_shards_of_a_machine_that_is_gone_go_to_those_who_have_their_share_already(fleet: Fleet) -> None:
    """Stopped it stands for one on another machine: nobody can see that it is dead, only that its lease is over."""
    first = fleet.spawn("first", "--sagas", 60, "--lease", "1s", "--pause", "0.3")
    second = fleet.spawn("second", "--sagas", 60, "--lease", "1s", "--pause", "0.1")
    for worker in (first, second):
        worker.until("lease.acquired")
    wait_for(lambda: list(shards(fleet.address).values()) == [32, 32], "they never had equal parts")
    wait_for(lambda: fleet.started() >= 20, "nothing was started")
    first.stop(fleet.ledger)
    wait_for(lambda: shards(fleet.address) == {str(second.process.pid): 64}, "the shards were not taken over")
    first.kill(signal.SIGCONT)
    first.until("lease.lost")
    wait_for(lambda: sorted(shards(fleet.address).values()) == [32, 32], "the first never had its part again")
    for worker in (first, second):
        worker.until("done")
        worker.end()
    assert fleet.audit() == {"completed": 60, "compensated": 60}


def test_workers_whose_clocks_are_ten_minutes_apart_neither_rob_each_other_nor_wait(fleet: Fleet) -> None:
    behind = fleet.spawn("behind", "--sagas", 100, "--ahead", -300)
    behind.until("lease.acquired")
    gone = fleet.spawn("gone", "--sagas", 100, "--ahead", 300)
    gone.until("lease.acquired")
    wait_for(lambda: fleet.started() >= 60, "nothing was started")
    gone.kill()  # what it had begun is recovered by a clock that is ten minutes behind or the same
    ahead = fleet.spawn("ahead", "--sagas", 100, "--ahead", 300)
    ahead.until("lease.acquired")
    for worker in (behind, ahead):
        worker.until("done")
    time.sleep(3)  # longer than a lease: whoever went by the wrong clock would take the other's shards
    assert sorted(shards(fleet.address).values()) == [32, 32]
    for worker in (behind, ahead):
        assert "lease.lost" not in worker.said
        worker.end()
    assert fleet.ends_of(behind) == fleet.ends_of(ahead) == {"completed": 50, "compensated": 50}
    fleet.run_out()
    assert sum(fleet.audit().values()) >= 200
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
        workers.pop(0).kill()
        workers.append(fleet.spawn("again", "--sagas", 120))  # it recovers, or comes to a server that is not there
        time.sleep(0.3)
        primary.stop(signal.SIGQUIT)
        standby.promote()
        with psycopg.connect(standby.address("postgres"), autocommit=True) as db:
            db.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
            db.execute("SELECT pg_reload_conf()")
        for worker in workers:
            worker.until("done")
            worker.end()
        for worker in workers:
            assert fleet.ends_of(worker) == {"completed": 60, "compensated": 60}
        fleet.run_out()
        assert sum(fleet.audit(standby.address("postgres")).values()) >= 240
    finally:
        fleet.close()
        standby.remove()
        primary.remove()


def test_cut_connections_and_lost_answers_of_commits_are_settled_by_sending_again(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    proxy = Proxy(port_of(fleet.address))
    try:
        worker = fleet.spawn("w", "--endless", address=through(fleet.address, proxy))
        for number in range(12):
            before = fleet.started()
            wait_for(lambda before=before: fleet.started() > before + 8, "nothing was started")
            if number % 4 == 3:
                worker.kill()
                worker = fleet.spawn(f"w{number}", "--endless", address=through(fleet.address, proxy))
                for _ in range(6):  # it opens and recovers meanwhile
                    time.sleep(0.12)
                    proxy.cut()
                    proxy.lose_answers(1)
            elif number % 4 == 0:
                proxy.cut()
            elif number % 4 == 1:
                proxy.lose_answers(3)
            else:
                with psycopg.connect(fleet.address, autocommit=True) as db:
                    db.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'amends%'"
                    )
        worker.enough()
        worker.until("done")
        worker.end()
    finally:
        fleet.close()
        proxy.close()
    tell(capsys, f"{proxy.lost} answers lost")
    assert proxy.lost > 3
    fleet.run_out()
    assert sum(fleet.audit().values()) > 100


@pytest.mark.parametrize("started", [0, 40], ids=["recovering", "at work"])
def test_a_worker_behind_a_partition_stops_in_time_and_others_take_its_shards(fleet: Fleet, started: int) -> None:
    proxy = Proxy(port_of(fleet.address))
    try:
        dead = fleet.spawn("dead", "--sagas", 60, "--lease", "2s", "--pause", "0.1")
        wait_for(lambda: fleet.started() >= 20, "nothing was started")
        dead.kill()
        first = fleet.spawn(
            "first", "--sagas", 60, "--lease", "2s", "--pause", "0.1", address=through(fleet.address, proxy)
        )
        first.until("lease.acquired")
        wait_for(lambda: fleet.started() >= started, "nothing was started")
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
    assert fleet.ends_of(first) == {"completed": 30, "compensated": 30}
    fleet.run_out()
    assert sum(fleet.audit().values()) >= 80


def test_a_slow_disk_makes_it_slow_and_nothing_else(tmp_path: Path) -> None:
    server = Cluster({"commit_delay": "100000", "commit_siblings": "0"})  # each flush takes a tenth of a second more
    fleet = Fleet(tmp_path, "")
    try:
        server.create()
        server.start()
        fleet.address = server.address("postgres")
        workers = [fleet.spawn(f"w{number}", "--sagas", 40) for number in range(2)]
        wait_for(lambda: fleet.started() >= 10, "nothing was started")
        workers.pop(0).kill()
        workers.append(fleet.spawn("again", "--sagas", 40))
        for worker in workers:
            worker.until("done")
            assert "lease.lost" not in worker.said
            worker.end()
        for worker in workers:
            assert fleet.ends_of(worker) == {"completed": 20, "compensated": 20}
        fleet.run_out()
        assert sum(fleet.audit().values()) >= 80
    finally:
        fleet.close()
        server.remove()
