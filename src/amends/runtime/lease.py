"""The lease: who runs the sagas of a store, and how a second one takes over.

At most one orchestrator *writes* for a saga at any time. That is not what a lease can promise: a
process may be stopped for minutes between looking at its clock and using the network. So the work is
divided:

    the epoch (safety)     every batch carries the lease's epoch and the store checks it in the same
                           transaction. Taking a lease makes a new epoch. Whatever an old holder still
                           writes, heartbeats or releases is refused: `LeaseLost`.
    the time (liveness)    a lease that is not renewed runs out, by the store's wall clock, and another
                           may take it. A holder whose process is provably dead on this host (pid, start
                           time, boot id) loses it at once.
    the margin (courtesy)  calls to participants cannot be fenced by our store. So the holder counts the
                           lease down on its own monotonic clock, from *before* the request that renewed
                           it, and begins no call when less than a third is left; when none is left it
                           cuts what runs. A participant's barrier is what makes the rest harmless.

    standing by ──acquired──▶ leading ──renewed──▶ leading
        ▲                        │ renewal refused, or the time is over by the monotonic clock
        └────── term ended ◀─────┘

Who stands by sleeps until something happens: the holder gives the lease back (the store's "lease" bell
rings), the holder's process ends on this host (the kernel tells), or the lease runs out. It looks now
and then without being told, for none of the three is certain to be heard of.

What each failure does: the store out of reach while leading: renew again until the time is over.
A SIGSTOP longer than the lease: on SIGCONT the first batch or renewal is refused. A clock stepped
forward: another may take the lease early; the epoch still decides.

Rules of this file: one task; it makes and ends terms, and nothing else does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ..errors import LeaseLost, StoreError, StoreUnavailable
from ..stores.base import Bell, Lease, Owner, Store
from ..stores.owner import leave, watch
from .clock import StoreTime
from .engine import Engine
from .intake import Intake
from .sharing import Sharing

_log = logging.getLogger("amends")
_MARGIN = 1 / 3  # of the lease: below it no call begins
_RENEW = 1 / 3  # of the lease: how often it is renewed
_STANDBY_S = 2.0  # how often one who stands by looks without being told, where it would be told
_STANDBY_UNTOLD_S = 0.2  # and where the holder's end or its release would not be heard of
_LISTEN_S = 3_600.0  # how long one waits for a ring at a time
_HEAR_GAP_S = 0.2  # between two renewals that were rung for
_SOON_S = 0.05  # how long after the end of another's lease one looks


class Leader:
    """Keeps asking for the lease, and runs one engine per term.

    Parameters:
        store: whose lease.
        owner: who asks.
        ttl_ms: how long a lease lasts.
        clock: the store's time.
        begin: makes the engine of a new term.
        changed: told "acquired", "released" and "lost", for the event bus; "" when the store failed without a lease.
    """

    def __init__(
        self,
        store: Store,
        owner: Owner,
        ttl_ms: int,
        clock: StoreTime,
        begin: Callable[[Lease, Callable[[StoreError], None]], Engine],
        changed: Callable[[str], None],
    ) -> None:
        self._store = store
        self._owner = owner
        self._ttl_ms = ttl_ms
        self._clock = clock
        self._begin = begin
        self._changed = changed
        self._task: asyncio.Task[None] | None = None
        self._intake: Intake | None = None
        self.engine: Engine | None = None
        self.failed: StoreError | None = None
        self._until = 0.0  # monotonic: the lease is ours for certain
        self._woken: asyncio.Event = asyncio.Event()  # the term is over, or it is time to renew
        self._sharing: Sharing | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._bell: Bell | None = None  # while standing by

    async def start(self) -> None:
        """Ask once, so that a free store is led when this returns; then keep at it."""
        await self._acquire()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="amends-leader")

    async def caught_up(self) -> None:
        """Wait until this term has taken up what it found, commands included; at once while standing by."""
        if self._intake is not None:
            await self._intake.caught_up()

    async def _acquire(self) -> bool:
        loop = asyncio.get_running_loop()
        asked = loop.time()
        lease = await self._store.acquire(self._owner, ttl_ms=self._ttl_ms, now=self._clock.now_ms())
        if lease is None:
            return False
        self._until = asked + self._ttl_ms / 1000
        self._woken = asyncio.Event()
        engine = self._begin(lease, self._ended)
        engine.executor.begin_until = self._begin_until()
        engine.committer.start()
        self.engine = engine
        self._intake = Intake(engine)
        self._intake.start()
        if engine.shared is not None:
            engine.look_soon = self._woken.set
            self._sharing = Sharing(engine, self._intake, engine.shared, self._ttl_ms / 1000)
            self._hearing = loop.create_task(self._hear(self._store.bell("lease")), name="amends-lease-bell")
        self._changed("acquired")
        return True

    def _ended(self, error: StoreError) -> None:
        """The engine ended its term by itself."""
        if not isinstance(error, LeaseLost):
            self.failed = error
            _log.error("nothing more is acknowledged: %s", error)
        self._woken.set()

    async def _hear(self, bell: Bell) -> None:
        """Renew at once when somebody waits for shards, or has given some up."""
        try:
            while True:
                if await bell.wait(_LISTEN_S):
                    self._woken.set()
                    await asyncio.sleep(_HEAR_GAP_S)
        finally:
            bell.close()

    async def _run(self) -> None:
        while self.failed is None or self.engine is not None:  # a term may be over before it was led at all
            if self.engine is None:
                try:
                    await self._stand_by()
                    await self._acquire()
                except StoreUnavailable as error:
                    _log.warning("standing by, the store is out of reach: %s", error)
                    await asyncio.sleep(_STANDBY_UNTOLD_S)
                except StoreError as error:
                    self.failed = error
                    self._changed("")
                continue
            self._stop_listening()
            await self._lead(self.engine)
            await self._end_term(self.engine)
        self._stop_listening()
        leave(self._owner)  # the store takes no more writes of ours, so this is how the lease is given back

    async def _stand_by(self) -> None:
        """Until there may be a lease to be had."""
        if self._bell is None:
            self._bell = self._store.bell("lease")  # from here on a release is heard, so what follows cannot miss it
        held = await self._store.owner(now=self._clock.now_ms())
        if held is None:
            return
        owner, expires = held
        unwatch = watch(owner, self._bell.ring)
        told = unwatch is not None and self._bell.works
        left_s = max(0.0, (expires - self._clock.now_ms()) / 1000)
        try:
            await self._bell.wait(min(left_s, self._ttl_ms / 3000, _STANDBY_S if told else _STANDBY_UNTOLD_S))
        finally:
            if unwatch is not None:
                unwatch()

    def _stop_listening(self) -> None:
        if self._bell is not None:
            self._bell.close()
            self._bell = None

    async def _lead(self, engine: Engine) -> None:
        """Renew until the term is over."""
        loop = asyncio.get_running_loop()
        ttl_s = self._ttl_ms / 1000
        while not engine.stopped:
            left = self._until - loop.time()
            if left <= 0:
                engine.abandon(LeaseLost("the lease could not be renewed in time"))
                return
            if left < ttl_s * _MARGIN:
                engine.executor.suspend()
            pause_s = min(ttl_s * _RENEW, max(left - ttl_s * _MARGIN, left / 4))
            try:
                # Not `wait_for`: in Python 3.11 it loses a cancellation that comes when the term has just ended.
                async with asyncio.timeout(self._until_another_ends(engine, pause_s)):
                    await self._woken.wait()
                self._woken.clear()
            except TimeoutError:
                pass
            if engine.stopped:
                return
            await self._renew(engine)
            if self._sharing is not None:
                self._sharing.look()

    def _until_another_ends(self, engine: Engine, pause_s: float) -> float:
        """Sooner than the next renewal, when the lease of another worker runs out before it."""
        standing = None if engine.shared is None else engine.shared.standing
        if standing is None or not standing.next_end:
            return pause_s
        return min(pause_s, max(_SOON_S, (standing.next_end - engine.clock.now_ms()) / 1000 + _SOON_S))

    async def _renew(self, engine: Engine) -> None:
        asked = asyncio.get_running_loop().time()
        renewal = asyncio.ensure_future(self._store.renew(engine.lease, ttl_ms=self._ttl_ms, now=self._clock.now_ms()))
        renewal.add_done_callback(_forget)
        await asyncio.wait([renewal], timeout=max(0.0, self._until - asked))
        if not renewal.done():
            return  # a store that hangs does not make the lease any longer
        try:
            engine.lease = renewal.result()
        except LeaseLost as error:
            engine.abandon(error)
        except StoreUnavailable as error:
            _log.warning("the lease could not be renewed yet: %s", error)
        except StoreError as error:
            engine.fail(error)
        else:
            self._until = asked + self._ttl_ms / 1000
            self._measured(engine, asked)
            engine.executor.begin_until = self._begin_until()
            if not engine.draining:
                engine.executor.go_on()

    def _measured(self, engine: Engine, asked: float) -> None:
        """What the renewal told of the store's clock."""
        standing = None if engine.shared is None else engine.shared.standing
        if standing is not None:
            took_ms = (asyncio.get_running_loop().time() - asked) * 1000
            self._clock.told(standing.time, took_ms)

    def _begin_until(self) -> float:
        return self._until - self._ttl_ms / 1000 * _MARGIN

    async def _stop_sharing(self) -> None:
        sharing, hearing = self._sharing, self._hearing
        self._sharing = self._hearing = None
        if sharing is not None:
            await sharing.stop()
        if hearing is not None:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)

    async def _end_term(self, engine: Engine) -> None:
        self.engine = None
        await self._stop_sharing()
        if self._intake is not None:
            await self._intake.stop()
            self._intake = None
        await engine.close()
        self._changed("lost")

    async def stop(self, grace_s: float) -> None:
        """Drain, hand over and give the lease back."""
        engine = self.engine
        await self._stop_sharing()
        if engine is not None and not engine.stopped and self._intake is not None:
            await self._intake.stop()
            await engine.drain(grace_s)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self._stop_listening()
        if engine is None:
            return
        clean = not engine.stopped
        await engine.close()
        self.engine = None
        if clean:
            try:
                await self._store.release(engine.lease)
            except StoreError as error:
                _log.warning("the lease could not be given back; it runs out by itself: %s", error)
        if self.failed is not None:
            leave(self._owner)
        self._changed("released" if clean else "lost")


def _forget(renewal: asyncio.Future[Lease]) -> None:
    if not renewal.cancelled():
        renewal.exception()  # whoever still waits for it gets it too
