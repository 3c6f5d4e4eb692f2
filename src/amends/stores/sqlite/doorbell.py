"""The doorbell: how a process that wrote to the file tells the others, without their asking all the time.

Beside `orders.db` stands the directory `orders.db-amends`, and in it one FIFO per process and topic:

    orders.db-amends/work-9c1e…    its owner leads; rung by whoever starts a saga or posts a command
    orders.db-amends/news-77b0…    its owner waits for a result or an answer; rung at each commit
    orders.db-amends/lease-41d2…   its owner stands by; rung when the lease is given back

To ring is to write one byte to every FIFO of the topic. To wait is to let the event loop (asyncio's or
uvloop's) watch the reading end.

Why FIFOs. The reach of a doorbell should be that of the database. A WAL file needs shared memory, so
whoever shares the database shares a kernel, and whoever shares a kernel and a directory shares the
FIFOs in it: also two containers on one volume, which have neither a network namespace (abstract
sockets) nor process numbers (signals) in common. A path of any length will do, unlike that of a
socket. inotify on the WAL would also wake a leader for each of its own commits, and every looker for
everybody's. Measured on Linux 6.18, from write to woken coroutine in another process: FIFO 25 us with
asyncio and 12 us with uvloop; a datagram socket 28 and 9; the poll that this replaces, 50,000 on average.

Why it is only a hint. Nothing is correct because of a ring. A waiter looks by itself every so often, and
sooner after it found something that nobody had rung for: an old release, a process that may not write to
our FIFO, a file system without FIFOs (where `works` is False and everybody polls, as on Windows).

What goes wrong, and what follows:

    its owner was killed      the FIFO has no reader: EPIPE or ENXIO. Whoever meets that removes it.
    killed while it hung it   the FIFO has not its name yet, and so nobody rings it. The next bell that is hung
                              removes what has been without one for a minute.
    rung a thousand times     the FIFO fills up and further rings are dropped: it will be woken anyway.
    the owner is stopped      the same; nobody ever waits for a reader.
    no permission             the bell is left alone. A new one has the mode of the database file.
    directory gone            made again with the next bell; the last one that leaves removes it.
    a hundred bells           beyond BELLS_MAX they are not rung; their owners poll.

A FIFO becomes visible by a rename, after its owner has opened it, so "no reader" always means "dead". An
owner opens it for reading and writing, for a FIFO whose last writer has closed would be readable forever.

Rules of this file: an error of the operating system never leaves `ring`; nothing here blocks; every
descriptor and every file that was made is given back by `close`.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import time
from contextlib import suppress
from pathlib import Path

from ...limits import BELLS_MAX
from ..base import Ring
from ..bell import LocalBell
from ..owner import unique

_SETTLED_S = 0.05  # a directory's time has the kernel's tick, so a listing this close to a change is not the last
_NAMELESS_S = 60.0
_TRIES = 5


class Doorbell:
    """Implements `Bell` for one FIFO; made by `Belfry.hang`."""

    def __init__(self, belfry: Belfry, what: Ring) -> None:
        self._belfry = belfry
        self._what = what
        self._local = LocalBell()
        self._loop = asyncio.get_running_loop()
        self._fd = -1
        self._watched = False
        self.path: Path | None = None
        self._hang()

    @property
    def works(self) -> bool:
        """Whether other processes can ring it."""
        return self._fd >= 0

    def _hang(self) -> None:
        made = self._belfry.make(self._what)
        if made is None:
            return
        self._fd, self.path = made
        try:  # the Windows loop watches no files; what it cannot do, it says at the first try
            self._watch()
            self._unwatch()
        except (NotImplementedError, OSError):
            self._take_down()

    async def wait(self, timeout_s: float) -> bool:
        """Until it was rung since the last call, at most so long; whether it was."""
        if self._fd < 0:
            return await self._local.wait(timeout_s)
        self._watch()  # only now: a ring for somebody who does not wait wakes nobody
        try:
            rung = await self._local.wait(timeout_s)
        finally:
            self._unwatch()
        if not rung and self.path is not None and not self.path.exists():
            self._take_down()  # somebody cleaned up too well
            self._hang()
        return rung

    def ring(self) -> None:
        """Wake who waits in this process."""
        self._local.ring()

    def close(self) -> None:
        """Take it down; who waits is woken."""
        self._belfry.gone(self)
        self._take_down()
        self._local.close()

    def _watch(self) -> None:
        self._loop.add_reader(self._fd, self._heard)
        self._watched = True

    def _unwatch(self) -> None:
        if self._watched:
            self._watched = False
            with suppress(RuntimeError):  # the loop was closed before the store
                self._loop.remove_reader(self._fd)

    def _heard(self) -> None:
        with suppress(OSError):
            os.read(self._fd, 65_536)
        self._local.ring()

    def _take_down(self) -> None:
        self._unwatch()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self.path is not None:
            self._belfry.remove(self.path)
            self.path = None


class Belfry:
    """The bells at one database: hangs ours, and rings those of others.

    Parameters:
        database: the database's file; the directory of bells stands beside it.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._directory = Path(f"{database.resolve()}-amends")
        self._ours: dict[Ring, list[Doorbell]] = {}
        self._others: dict[str, int] = {}  # name -> its writing end; -1 for one that we may not ring
        self._stamp: tuple[int, int] = (0, 0)  # the directory that `_others` was read from
        self._settled = 0.0  # monotonic: until then it is read again, stamp or no stamp

    def hang(self, what: Ring) -> Doorbell:
        """Another bell of ours."""
        bell = Doorbell(self, what)
        self._ours.setdefault(what, []).append(bell)
        return bell

    def ring(self, what: Ring) -> None:
        """Ring every bell of a topic, ours too. Never raises, never blocks."""
        for bell in self._ours.get(what, ()):
            bell.ring()
        self._read_directory()
        if self._others:
            for name in [name for name in self._others if name.startswith(what)]:
                self._ring_one(name)

    def close(self) -> None:
        """Take all of ours down, and let go of the others."""
        for bells in self._ours.values():
            for bell in list(bells):
                bell.close()
        self._let_go()

    # --- what bells ask of it -------------------------------------------------------------------------

    def make(self, what: Ring) -> tuple[int, Path] | None:
        """A new FIFO, open and visible; None when there can be none."""
        if not hasattr(os, "mkfifo"):
            return None
        path = self._directory / f"{what}-{unique()}"
        hidden = path.with_name(f".{path.name}")
        for _ in range(_TRIES):
            try:
                mode = self._database.stat().st_mode & 0o666
                self._make_directory(mode)
                os.mkfifo(hidden)
                hidden.chmod(mode)  # as the database's, whatever the umask: who may write there may ring here
                fd = os.open(hidden, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # the last one that left has just removed the directory
            except OSError:
                self.remove(hidden)
                return None
            try:
                hidden.rename(path)
            except OSError:
                os.close(fd)
                self.remove(hidden)
                continue
            self._clear_away(path)
            return fd, path
        return None

    def _clear_away(self, ours: Path) -> None:
        """Remove what processes left that were killed before their FIFO had its name.

        One that was only stopped for so long finds it gone when it goes on, and makes another.
        """
        with suppress(OSError):
            left = ours.lstat().st_mtime - _NAMELESS_S  # by the file system's own clock
            for path in self._directory.iterdir():
                if path.name[0] == "." and stat.S_ISFIFO((seen := path.lstat()).st_mode) and seen.st_mtime < left:
                    path.unlink(missing_ok=True)

    def _make_directory(self, mode: int) -> None:
        try:
            self._directory.mkdir()
        except FileExistsError:
            return
        self._directory.chmod(mode | (mode & 0o444) >> 2)  # who may read the database may enter

    def remove(self, path: Path) -> None:
        """Remove a FIFO, and the directory with the last one."""
        with suppress(OSError):
            path.unlink()
        with suppress(OSError):
            self._directory.rmdir()

    def gone(self, bell: Doorbell) -> None:
        """One of ours is taken down."""
        for bells in self._ours.values():
            if bell in bells:
                bells.remove(bell)

    # --- the bells of others ----------------------------------------------------------------------------

    def _read_directory(self) -> None:
        try:
            seen = os.stat(self._directory)  # noqa: PTH116 -- at every commit, and pathlib would double its price
        except OSError:
            if self._others:
                self._let_go()
            return
        stamp = (seen.st_ino, seen.st_mtime_ns)
        if stamp == self._stamp and not self._settled:
            return
        now = time.monotonic()
        if stamp != self._stamp:
            self._stamp, self._settled = stamp, now + _SETTLED_S
        elif now >= self._settled:
            self._settled = 0.0
        self._take_stock()

    def _take_stock(self) -> None:
        ours = {bell.path.name for bells in self._ours.values() for bell in bells if bell.path is not None}
        try:
            names = {name for name in os.listdir(self._directory) if name[0] != "."} - ours  # noqa: PTH208 -- as above
        except OSError:
            names = set()
        for name in self._others.keys() - names:
            self._drop(name)
        for name in sorted(names - self._others.keys())[: max(0, BELLS_MAX - len(self._others))]:
            self._open(name)

    def _open(self, name: str) -> None:
        path = self._directory / name
        try:
            fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.ENXIO:
                self.remove(path)  # its owner is dead
            elif error.errno in (errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR):
                self._others[name] = -1
            return
        if not stat.S_ISFIFO(os.fstat(fd).st_mode):
            os.close(fd)
            fd = -1
        self._others[name] = fd

    def _ring_one(self, name: str) -> None:
        fd = self._others[name]
        if fd < 0:
            return
        try:
            os.write(fd, b"!")
        except BlockingIOError:
            return  # full of rings it has not heard yet
        except OSError:
            self._drop(name)
            self.remove(self._directory / name)

    def _drop(self, name: str) -> None:
        fd = self._others.pop(name)
        if fd >= 0:
            os.close(fd)

    def _let_go(self) -> None:
        for name in list(self._others):
            self._drop(name)
        self._stamp = (0, 0)


def ring_once(database: str, what: Ring) -> None:
    """Ring the bells at a database that this process has no store of."""
    belfry = Belfry(Path(database))
    belfry.ring(what)
    belfry.close()
