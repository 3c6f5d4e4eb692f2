"""Several workers as processes of their own on one PostgreSQL database, and the audit of what they leave behind.

Rules of this file: the audit believes the acknowledgements (written outside) and the participant's ledger, and holds
the journal against them.
"""

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
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg

from amends import Orchestrator
from amends.core.events import decode_frame
from tests.processes.harness import ROOT, environment
from tests.processes.worker import STEPS, Ledger, saga
from tests.servers.proxy import Proxy

LIMIT_S = 90.0


class Worker:
    """A process of fleet.py; what it says is read as it comes.

    Parameters:
        code: a folder that holds another release of `amends`, which it runs.
    """

    def __init__(self, fleet: Fleet, name: str, address: str, *options: object, code: Path | None = None) -> None:
        self.name = name
        self.said: list[str] = []
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "tests.processes.fleet", address, fleet.ledger, fleet.acks, name,
                *map(str, options),
            ],
            cwd=ROOT, env=environment(code), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if not line.startswith("in "):
                self.said.append(line.strip())

    def until(self, line: str, times: int = 1) -> None:
        def said() -> bool:
            ended = self.process.poll()  # asked first: what it said before it ended may still be coming
            if self.said.count(line) >= times:
                return True
            assert ended is None, f"{self.name} ended with {ended} and never said {line!r}; it said {self.said}"
            return False

        wait_for(said, f"{self.name} never said {line!r}")

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

    def enough(self) -> None:
        """Let an endless one start no more."""
        assert self.process.stdin is not None
        self.process.stdin.write("enough\n")
        self.process.stdin.flush()

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
        Ledger(self.ledger).db.close()  # made by one: to make it WAL, SQLite wants it alone, and does not wait
        self.acks = str(directory / "acks")
        self.workers: list[Worker] = []

    def spawn(self, name: str, *options: object, address: str = "", code: Path | None = None) -> Worker:
        worker = Worker(self, name, address or self.address, *options, code=code)
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

    def ends_of(self, worker: Worker) -> Counter[str]:
        """How the sagas ended that this one has started, as it was told."""
        mine = {line[1]: line[2] for line in self.acknowledged() if line[0] == "ended"}
        return Counter(status for key, status in mine.items() if key.rpartition("-")[0] == worker.name)

    def run_out(self, address: str = "") -> None:
        """One more worker brings to an end what the others left."""

        async def drain() -> None:
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
