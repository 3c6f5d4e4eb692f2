"""One term of leadership: from a lease taken to that lease lost, given back, or a store that failed.

The engine owns everything that must die together: actors, calls, timers, the committer. When the
lease is lost it cuts every call and writes nothing more; the orchestrator throws it away and makes a
new one with the next lease. So no object ever has to ask "is this still mine?".

Rules of this file: nothing here survives a term; user code never sees it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, cast

from ..core.definition import Saga
from ..core.events import WIRE_VERSION, AnyEvent, Event, Frame, Held, Released, Started, decode_frame
from ..core.fold import fold_frame
from ..core.ids import IdMaker
from ..core.sealing import Sealing, decode_opened
from ..core.shards import shard_of
from ..core.state import IllegalTransition, SagaState
from ..core.verbs import cut_off
from ..errors import Conflict, LeaseLost, PayloadError, StoreError, StoreUnavailable
from ..limits import ERROR_CHARS_MAX
from ..observe.bus import Bus
from ..observe.translator import Translator
from ..stores.base import FrameRow, KeyRow, Lease, Shared, Store, definition_text
from .actor import Actor
from .clock import Clock
from .committer import Committer
from .executor import Executor, in_call_of
from .settings import Settings
from .texts import not_there
from .timers import DeadlineHeap

_log = logging.getLogger("amends")


_LEAVING_S = 0.02  # how often one looks whether calls of shards that are let go have ended


class Engine:
    """One term: everything that lives and dies with a lease.

    Parameters:
        store: the journal.
        lease: the lease this term stands on.
        sagas: definitions by (name, version).
        resources: what actions may ask for, by type.
        settings: limits and lengths.
        clock: wall time.
        bus: who listens.
        ended: called once when the term ends by itself, with the error.
        sealing: encrypts and decrypts payloads at the journal's boundary; None when nothing does.
    """

    def __init__(
        self,
        store: Store,
        lease: Lease,
        sagas: Mapping[tuple[str, int], Saga[Any, Any]],
        resources: Mapping[type, object],
        settings: Settings,
        clock: Clock,
        bus: Bus,
        ended: Callable[[StoreError], None],
        sealing: Sealing | None = None,
    ) -> None:
        self.store = store
        self.lease = lease
        self.sagas = sagas
        self.resources = resources
        self.settings = settings
        self.clock = clock
        self.bus = bus
        self.sealing = sealing
        self.horizon_ms = settings.horizon_ms
        self.loop = asyncio.get_running_loop()
        self.timers = DeadlineHeap(self.loop)
        self.executor = Executor(self.loop, self.timers, settings.concurrency, settings.threads)
        self.committer = Committer(store, lambda: self.lease, self.fail, sealing=sealing)
        self.actors: dict[str, Actor] = {}
        self.held: dict[str, str] = {}
        self.cancels: dict[str, list[int]] = {}  # found in the inbox before recovery, which decides some of them
        self.shared = store if isinstance(store, Shared) else None
        self.shards: list[int] = sorted(self.shared.held) if self.shared is not None else []  # those it runs
        self._shards = frozenset(self.shards)
        self._next_shard = 0
        self.look_soon: Callable[[], None] = lambda: None  # has the leader renew, and look at the shards
        self.lacks: dict[int, set[str]] = {}  # shard -> definitions of its sagas that are not here, and nobody was told
        self.left: list[set[str]] = []  # for each reading of journals under way, the sagas that left memory meanwhile
        self.draining = False
        self.stopped = False
        self.error: StoreError | None = None
        self._ended = ended
        self._loading: dict[str, asyncio.Future[None]] = {}
        self._left_loading: set[str] = set()  # sagas that left memory while `_load` read their journals
        self._translator = Translator()
        self._admission: list[asyncio.Future[None]] = []
        self._still: list[asyncio.Future[None]] = []

    # --- a new saga ----------------------------------------------------------------------------------

    def new_id(self, ids: IdMaker, now: int) -> str:
        """An id for a saga to start here: of one of the shards that run here, in turn."""
        if not self.shards:
            return ids.new(now)
        self._next_shard = (self._next_shard + 1) % len(self.shards)
        return ids.new_in(self.shards[self._next_shard], now)

    def runs(self, saga_id: str) -> bool:
        """Whether this worker runs the saga: always, unless several share the store."""
        return self.shared is None or shard_of(saga_id) in self._shards

    async def start(self, saga: Saga[Any, Any], started: Started, key: KeyRow | None) -> Actor | None:
        """Start a saga here; returns when that is durable.

        Returns:
            its actor; `holder` is the id of the saga that has the key, when it was not started. None when its
            shard is run elsewhere by now: nothing was done.

        Raises:
            StoreUnavailable: the term ended meanwhile; whether it was started is unknown.
        """
        waits = in_call_of.get() is not self.executor  # from a step: the saga that starts this one holds a place itself
        while waits and len(self.actors) >= self.settings.admission and not self.stopped:
            admitted: asyncio.Future[None] = self.loop.create_future()
            self._admission.append(admitted)
            try:
                await admitted
            except asyncio.CancelledError:
                self._admit()  # the place that was given to this one is the next one's
                raise
        if self.stopped or self.draining:
            raise self.answer()
        if not self.runs(started.saga_id):
            return None
        state = SagaState(saga.graph)
        state.saga_id = started.saga_id
        state.deaths_max = self.settings.deaths_max
        actor = Actor(self, saga, state, started.correlation)
        self.actors[started.saga_id] = actor
        actor.turn([started], key=key)
        await actor.landed()
        return actor

    # --- sagas in and out of memory --------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def visit(self, saga_id: str) -> AsyncIterator[Actor]:
        """The saga's one actor, kept in memory meanwhile, also when it is at rest or finished.

        Raises:
            NotFound: no such saga.
            Conflict: it is on hold (its definition or its journal cannot be used here).
            StoreUnavailable: it runs elsewhere.
        """
        actor = await self._load(saga_id)
        try:
            yield actor
        finally:
            actor.visitors -= 1
            self.let_go_when_still(actor)

    async def _load(self, saga_id: str) -> Actor:
        while True:
            actor = self.actors.get(saga_id)
            if actor is not None:
                actor.visitors += 1
                return actor
            self._refuse_elsewhere(saga_id)
            under_way = self._loading.get(saga_id)
            if under_way is None:
                break
            await asyncio.wait([under_way])
        future = self._loading[saga_id] = self.loop.create_future()
        try:
            stale = True
            while stale:  # a saga that came and left while we read may have moved: read again
                self._left_loading.discard(saga_id)
                rows = await self.store.frames([saga_id])
                stale = saga_id in self._left_loading
            if self.stopped:
                raise StoreUnavailable("this orchestrator's term ended meanwhile; nothing was done: ask again")
            self._refuse_elsewhere(saga_id)
            if saga_id not in rows:
                raise await not_there(self.store, saga_id)
            actor = self.take_up(saga_id, rows[saga_id], visitors=1)
        finally:
            del self._loading[saga_id]
            self._left_loading.discard(saga_id)
            future.set_result(None)
        if actor is None:
            raise Conflict(f"saga {saga_id} is on hold: {self.held[saga_id]}", code="AM4003")
        return actor

    def _refuse_elsewhere(self, saga_id: str) -> None:
        if not self.runs(saga_id):
            raise StoreUnavailable(f"saga {saga_id} runs in another worker; nothing was done: ask again")

    def take_up(self, saga_id: str, rows: list[FrameRow], *, visitors: int = 0) -> Actor | None:
        """Make an actor of a journal and let it go on; None when it is on hold, with the reason noted."""
        known = self.actors.get(saga_id)
        if known is not None:
            known.visitors += visitors
            return known
        if not self.runs(saga_id):
            return None
        try:
            frames = [decode_opened(self.sealing, saga_id, row.body) for row in rows]
            saga = self._definition_of(frames[0])
            if isinstance(saga, str):
                self._hold(saga_id, rows, "version", saga)
                self._note_lack(saga_id, frames[0])
                return None
            state = SagaState(saga.graph)
            state.deaths_max = self.settings.deaths_max
            for frame in frames:
                fold_frame(state, frame)
        except PayloadError as error:  # encrypted, and its key is missing; with the key it goes on
            self._hold(saga_id, rows, "poison", f"its journal cannot be opened: {error}")
            return None
        except (ValueError, IllegalTransition, LookupError, AttributeError) as error:
            self._hold(saga_id, rows, "poison", f"its journal cannot be folded: {error}")
            return None
        actor = Actor(self, saga, state, {} if state.started is None else state.started.correlation)
        actor.visitors = visitors
        if state.cancelling:
            actor.cancels = self.cancels.pop(saga_id, [])
        self.held.pop(saga_id, None)
        if state.finished and not visitors:
            return actor
        self.actors[saga_id] = actor
        if self.bus.active:
            self._translator.recall(saga_id, frames)
        happened: list[Event] = [Released()] if state.held else []
        actor.turn(happened + cut_off(state, "crash"))
        return actor

    def _definition_of(self, first: Frame) -> Saga[Any, Any] | str:
        started = first.events[0]
        if not isinstance(started, Started):
            raise ValueError("its first event is not its start")
        saga = self.sagas.get((started.name, started.version))
        if saga is None:
            return f"{started.name} version {started.version} is not registered with this orchestrator"
        if saga.fingerprint != started.fingerprint:
            return f"{started.name} version {started.version} is registered with another structure"
        return saga

    def _note_lack(self, saga_id: str, first: Frame) -> None:
        """For workers that share a store: another may have what is lacking here."""
        started = first.events[0]
        if self.shared is not None and isinstance(started, Started):
            lacked = definition_text(started.name, started.version, started.fingerprint)
            self.lacks.setdefault(shard_of(saga_id), set()).add(lacked)
            self.look_soon()

    def _hold(self, saga_id: str, rows: list[FrameRow], reason: str, message: str) -> None:
        """Put a saga that cannot be moved on hold, visibly, and go on with the others."""
        known = saga_id in self.held  # then the event is on its way, if these rows do not show it yet
        self.held[saga_id] = message
        if known or _is_held_for(rows, reason):
            return
        _log.warning("saga %s is on hold (%s): %s", saga_id, reason, message)
        events: list[Event] = [Held(reason, message)]
        seq = rows[-1].seq + 1 if rows else 1
        self.committer.append(_Nobody(), saga_id, seq, self.clock.now_ms(), events)

    def broke(self, actor: Actor, error: Exception) -> None:
        """A saga cannot be folded any further: hold it, visibly, after what it has handed over."""
        message = f"it cannot go on: {error!r}"
        _log.error("saga %s is on hold (poison): %s", actor.saga_id, message, exc_info=error)
        self.held[actor.saga_id] = message
        events: list[Event] = [Held("poison", message[:ERROR_CHARS_MAX])]
        self.committer.append(_Nobody(), actor.saga_id, actor.state.seq + 1, self.clock.now_ms(), events)
        self.forget(actor)
        actor.abandon(Conflict(f"saga {actor.saga_id} is on hold: {message}", code="AM4003"))

    def forget(self, actor: Actor) -> None:
        """Take it out of memory."""
        if self.actors.get(actor.saga_id) is actor:
            del self.actors[actor.saga_id]
            for left in self.left:
                left.add(actor.saga_id)
            if actor.saga_id in self._loading:
                self._left_loading.add(actor.saga_id)
            self._translator.forget(actor.saga_id)
            actor.disarm()
            if self._admission:
                self._admit()
            if not self.actors and self._still:
                self._tell_still()

    def let_go_when_still(self, actor: Actor) -> None:
        """Take a resting saga out of memory; its due time is on disk."""
        if not self.draining and not actor.dead and actor.still():
            self.forget(actor)

    def note_due(self, actor: Actor, due: int) -> None:
        """Write a resting saga's due time."""
        self.committer.note_due(actor.saga_id, due)

    def _admit(self) -> None:
        room = self.settings.admission - len(self.actors)
        while self._admission and room > 0:
            future = self._admission.pop(0)
            if not future.done():
                future.set_result(None)
                room -= 1

    # --- those who listen ------------------------------------------------------------------------------

    def publish(self, actor: Actor, at: int, events: list[Event]) -> None:
        """Tell the bus of a frame that has landed."""
        started = actor.state.started
        assert started is not None
        frame = Frame(WIRE_VERSION, at, cast("list[AnyEvent]", events))
        notices = list(
            self._translator.translate(
                actor.saga_id, started.name, started.version, started.correlation, actor.state.path_of, frame
            )
        )
        for notice in notices:
            self.bus.publish(notice)

    # --- shards that come and go ------------------------------------------------------------------------

    def take_over(self, shards: Iterable[int]) -> None:
        """Run these shards, too; their sagas are yet to be read."""
        self._run_shards(self._shards.union(shards))

    def _run_shards(self, shards: frozenset[int]) -> None:
        self._shards = shards
        self.shards = sorted(shards)

    async def let_shards_go(self, shards: frozenset[int], grace_s: float) -> None:
        """Begin nothing new in these shards; let running calls end for a while, cut the others, write all of it."""
        self._run_shards(self._shards - shards)
        going = self._actors_in(shards)
        for actor in going:
            actor.leaving = True
        give_up_at = self.loop.time() + grace_s
        await self.committer.flush()  # intents on their way land: what they announce is known then
        # An event per call would cost every call; this is rare.
        while any(actor.begun() for actor in going) and self.loop.time() < give_up_at and not self.stopped:  # noqa: ASYNC110
            await asyncio.sleep(_LEAVING_S)
        if self.stopped:
            return
        for actor in going:
            for call in list(actor.running.values()):
                call.give_up("shutdown")
        await self.committer.flush()
        while not self.stopped and self._unsettled(shards):  # what followed from what has landed lands, too
            await self.committer.flush()
        for actor in self._actors_in(shards):
            if not self.stopped and not actor.dead:
                self.forget(actor)
                actor.abandon(self.answer())
        for saga_id in [each for each in self.held if shard_of(each) in shards]:
            del self.held[saga_id]

    def _actors_in(self, shards: frozenset[int]) -> list[Actor]:
        return [actor for actor in self.actors.values() if shard_of(actor.saga_id) in shards]

    def _unsettled(self, shards: frozenset[int]) -> bool:
        """Whether something of these shards is still to land: a frame in a shard that was given up ends the term."""
        return any(actor.holds_still for actor in self._actors_in(shards)) or any(
            shard_of(saga_id) in shards for saga_id in self.committer.pending()
        )

    # --- the term's end --------------------------------------------------------------------------------

    def fail(self, error: StoreError) -> None:
        """The term ends by itself: the lease is lost, or the store failed."""
        if not self.stopped:
            self.abandon(error)
            self._ended(error)

    def abandon(self, error: StoreError) -> None:
        """Cut everything at once and write nothing more: the lease is lost or the store failed."""
        if self.stopped:
            return
        self.stopped = True
        self.error = error
        for actor in list(self.actors.values()):
            actor.abandon(self.answer())
        self.actors.clear()
        self.timers.close()
        self._release_all()

    def answer(self) -> StoreError:
        """What those are told who wait for something that will not land here any more."""
        if isinstance(self.error, LeaseLost):
            return StoreUnavailable(
                "the lease was lost before this was durable; another orchestrator goes on. "
                "Whether it landed is unknown: ask again"
            )
        return self.error or StoreUnavailable("this orchestrator is stopping; ask the one that goes on")

    async def drain(self, grace_s: float) -> None:
        """Begin nothing new; let running calls end for a while, cut the others, write all of it."""
        self.draining = True
        self.executor.suspend()
        if self.executor.running and grace_s > 0:
            await asyncio.wait([self.executor.still()], timeout=grace_s)
        self.committer.let_bodies_go()
        await self.committer.run_dry()  # intents on their way land, and are handed over with the rest
        for actor in list(self.actors.values()):
            for call in list(actor.running.values()):
                call.give_up("shutdown")
        await self.committer.run_dry()

    async def close(self) -> None:
        """Give every task, timer and thread back."""
        self.stopped = True
        await self.executor.stop()
        await self.committer.stop()
        self.timers.close()
        for actor in list(self.actors.values()):
            actor.abandon(self.answer())
        self.actors.clear()
        self._release_all()

    def until_empty(self) -> asyncio.Future[None]:
        """Done when no saga is in memory."""
        future: asyncio.Future[None] = self.loop.create_future()
        if self.actors:
            self._still.append(future)
        else:
            future.set_result(None)
        return future

    def _release_all(self) -> None:
        for future in self._admission:
            if not future.done():
                future.set_result(None)
        self._admission.clear()
        self._tell_still()

    def _tell_still(self) -> None:
        for future in self._still:
            if not future.done():
                future.set_result(None)
        self._still.clear()


class _Nobody:
    """The owner of a frame that concerns no actor."""

    def durable(self, at: int, events: list[Event]) -> None:
        """Nothing waits for it."""

    def refused(self, holder: str) -> None:
        """It has no key."""


def _is_held_for(rows: list[FrameRow], reason: str) -> bool:
    """Whether the journal's last word on holds is this reason; unreadable rows say nothing."""
    for row in reversed(rows):
        try:
            events = decode_frame(row.body).events
        except ValueError:
            continue
        for event in reversed(events):
            if isinstance(event, Held):
                return event.reason == reason
            if isinstance(event, Released):
                return False
    return False
