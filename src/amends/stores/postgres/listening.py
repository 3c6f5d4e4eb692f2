"""Bells between processes: LISTEN and NOTIFY.

One connection of a process listens; it is waited for by the event loop and costs nothing while nothing comes. A
notification says what it rings for and who rang, so that nobody is woken by an echo of his own.

    work    somebody started a saga or posted a command
    lease   shards were given back
    news    a saga ended or a command was answered; sent only while somebody has said that he waits
    wait    somebody waits for news, for the next minute

A NOTIFY takes a lock that all commits with a NOTIFY of the server share. So none is sent in a batch's transaction,
and each process sends one of a kind at most every 20 ms.

Rules of this file: a bell is a hint. Whatever fails here is logged at most, and whoever waits looks by himself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, get_args

import psycopg

from ...errors import StoreError
from ..base import Bell, Ring
from ..bell import LocalBell, LocalBells
from ..owner import unique
from .session import Connection

_log = logging.getLogger("amends")
_TOGETHER_S = 0.02
_WAIT_AGAIN_S = 30.0
_AWAITED_S = 70.0
_RECONNECT_S = 2.0

Notify = Callable[[str], Awaitable[None]]
Connect = Callable[[], Awaitable[Connection]]


class _Bell(LocalBell):
    """A bell that knows whether rings of other processes arrive."""

    def __init__(self, listener: Listener, closed: Callable[[LocalBell], None]) -> None:
        super().__init__(closed)
        self._listener = listener

    @property
    def works(self) -> bool:  # type: ignore[override]
        """Whether this process listens just now."""
        return self._listener.listens


class Listener:
    """All bells of one store object.

    Parameters:
        connect: a connection that has begun to listen.
        notify: sends a payload to everybody who listens.
    """

    def __init__(self, connect: Connect, notify: Notify) -> None:
        self._connect = connect
        self._notify = notify
        self._me = unique()
        self._bells = LocalBells()
        self._db: Connection | None = None
        self._fd = -1
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._listening: asyncio.Task[None] | None = None
        self._to_send: set[str] = set()
        self._sending: asyncio.Task[None] | None = None
        self._awaited_until = 0.0
        self._hung_for_news = 0
        self._rang = False  # somebody else rang "work" since it was asked last
        self._closed = False

    @property
    def listens(self) -> bool:
        """Whether rings of other processes arrive."""
        return self._db is not None

    def take_rang(self) -> bool:
        """Whether another process rang for work since the last call."""
        rang, self._rang = self._rang, False
        return rang

    def hang(self, what: Ring) -> Bell:
        """Another bell. Needs the running loop."""
        self._loop = asyncio.get_running_loop()
        bell = _Bell(self, lambda gone: self._taken_down(what, gone))
        self._bells.add(what, bell)
        if self._listening is None or self._listening.done():
            self._listening = self._spawn(self._keep_listening(), "amends-listener")
        if what == "news":
            self._hung_for_news += 1
            if self._hung_for_news == 1:
                self._spawn(self._keep_waiting(), "amends-waits-for-news")
        return bell

    def _taken_down(self, what: Ring, bell: LocalBell) -> None:
        self._bells.remove(what, bell)
        if what == "news":
            self._hung_for_news -= 1

    def ring(self, what: Ring) -> None:
        """Ring here at once, and soon in the other processes."""
        self._bells.ring(what)
        loop = asyncio.get_running_loop()
        if what == "news" and loop.time() > self._awaited_until:
            return
        self._send(what)

    async def ring_now(self, what: Ring) -> None:
        """As `ring`, and told to the others when this returns: what comes next may be the end of this process."""
        self._bells.ring(what)
        await self._tell(what)

    def tell(self, what: Ring) -> None:
        """Ring in the other processes only."""
        self._send(what)

    def close(self) -> None:
        """Take all bells down. May be called twice."""
        self._closed = True
        for task in list(self._tasks):
            task.cancel()
        self._lose()
        self._bells.close()

    # -- sending ---------------------------------------------------------------------------------

    def _send(self, what: str) -> None:
        self._to_send.add(what)
        if not self._closed and (self._sending is None or self._sending.done()):
            self._sending = self._spawn(self._keep_sending(), "amends-notify")

    async def _keep_sending(self) -> None:
        while self._to_send:
            await self._tell(self._to_send.pop())
            await asyncio.sleep(_TOGETHER_S)

    async def _tell(self, what: str) -> None:
        try:
            await self._notify(f"{what} {self._me}")
        except StoreError as error:
            _log.debug("nobody was told of %s: %s", what, error)

    async def _keep_waiting(self) -> None:
        while self._hung_for_news and not self._closed:
            self._send("wait")
            await asyncio.sleep(_WAIT_AGAIN_S)

    # -- listening -------------------------------------------------------------------------------

    async def _keep_listening(self) -> None:
        lost: asyncio.Event = asyncio.Event()
        loop = asyncio.get_running_loop()
        again = False
        while not self._closed:
            try:
                db = await self._connect()
            except StoreError as error:
                _log.debug("not listening: %s", error)
                await asyncio.sleep(_RECONNECT_S)
                continue
            if self._closed:
                db.close()
                return
            lost.clear()
            try:
                loop.add_reader(db.fileno(), self._heard, db, lost)
            except NotImplementedError:  # such a loop cannot wait for a socket: everybody looks by himself
                db.close()
                return
            self._db, self._fd = db, db.fileno()
            if again:  # what was rung for while nobody listened; at first, everybody looks by himself often enough
                for what in get_args(Ring):
                    self._bells.ring(what)
            again = True
            await lost.wait()
            self._lose()

    def _heard(self, db: Connection, lost: asyncio.Event) -> None:
        try:
            db.pgconn.consume_input()
            while (notice := db.pgconn.notifies()) is not None:
                self._told(notice.extra.decode())
        except psycopg.Error:
            if self._loop is not None:
                self._loop.remove_reader(self._fd)
            self._fd = -1
            lost.set()

    def _told(self, payload: str) -> None:
        what, _, who = payload.partition(" ")
        if who == self._me:
            return
        if what == "wait":
            assert self._loop is not None
            self._awaited_until = self._loop.time() + _AWAITED_S
        elif what in get_args(Ring):
            self._rang = self._rang or what == "work"
            self._bells.ring(what)  # type: ignore[arg-type]

    def _lose(self) -> None:
        db, self._db = self._db, None
        if db is None:
            return
        if self._fd >= 0 and self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._fd)
        self._fd = -1
        db.close()

    def _spawn(self, coroutine: Any, name: str) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
