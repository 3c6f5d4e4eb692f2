"""The public face: start sagas, look at them, act on them.

    async with Orchestrator("sqlite:///orders.db", sagas=[place_order]) as orchestrator:
        saga = await orchestrator.start(place_order, order, key=order.order_id)
        outcome = await saga.result()

Rules of this file: it translates between users and the engine of the moment; it holds no state of any
saga. No global state: two orchestrators live in one process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from importlib.metadata import version
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, Unpack, overload

import msgspec

from ..core.definition import Saga
from ..core.filters import Filter
from ..core.ids import IdMaker
from ..core.sealing import Sealing
from ..core.state import SagaState
from ..errors import NotFound, StoreError, UsageError
from ..limits import PRUNE_BATCH
from ..observe.bus import Bus, Notice, Subscription
from ..policies.durations import Duration, milliseconds
from ..stores.address import open_address
from ..stores.base import KEY_OPEN, GroupBy, Lease, Shared, Store
from ..stores.figures import Figures
from ..stores.owner import this_process
from . import bundle
from .actor import Actor
from .applying import apply_within
from .archiving import Archive
from .arguments import (
    BulkVerb,
    Narrowing,
    Words,
    bulk_command,
    by_type,
    by_version,
    check_atomic,
    checked_correlation,
    checked_groups,
    checked_key,
    filter_of,
    is_hash_of,
    resolve_command,
    settings_of,
    signal_command,
    verb_command,
)
from .awaiting import outcome_of
from .beginning import Joining, beginning, definition_row, file_of, first_frame, key_conflict, place_of, same_input
from .bulk import Bulk
from .clock import Clock, StoreTime, SystemClock
from .commands import Command
from .elsewhere import ask_elsewhere
from .engine import Engine
from .handle import Handle
from .lease import Leader
from .pruning import Pruned, count, prune, pruning_of
from .reading import Moment, Reader, listed
from .tailing import Tail, TailEntry, follow
from .views import HistoryEntry, SagaView
from .watch import Watch
from .why import Reason, why

In = TypeVar("In")
Out = TypeVar("Out")
History = list[HistoryEntry]  # inside the class, `list` is the verb
Reasons = list[Reason]
_KEY_OPEN_S = 0.05  # how long a start waits before it asks again for a key that another transaction has
Figured = list[Figures]


class Orchestrator:
    """Runs sagas on a store, durably.

    Parameters:
        store: an address (`"sqlite:///orders.db"`), or a `Store`.
        sagas: every definition, and every version of it, that it may run.
        resources: objects that actions ask for by type (`Saga(resources=[Client])`).
        worker: with False it starts, signals and looks, and runs nothing.
        encryption: an `amends.crypto.KeyRing` that payloads are encrypted with; None leaves them readable.
        clock: wall time and chance; for tests.
        settings: see `Settings`; given as keywords.

    Raises:
        DefinitionError: two definitions of one name and version, or a resource that is missing.
        UsageError: an address or setting that cannot be, or atomic steps on a store that has no file.
    """

    def __init__(
        self,
        store: str | Store = "sqlite:///amends.db",
        *,
        sagas: Iterable[Saga[Any, Any]] = (),
        resources: Iterable[object] = (),
        worker: bool = True,
        encryption: Sealing | None = None,
        clock: Clock | None = None,
        **settings: Any,
    ) -> None:
        self._store = open_address(store) if isinstance(store, str) else store
        self._sagas = by_version(sagas)
        self._latest = {name: saga for (name, _), saga in sorted(self._sagas.items())}
        self._resources = by_type(resources, self._sagas.values()) if worker else {}
        self._worker = worker
        if worker:
            check_atomic(self._store, self._sagas.values())
        self._clock = StoreTime(clock or SystemClock())
        self._settings = settings_of(settings)
        self._ids = IdMaker(self._clock.entropy)
        self._leader: Leader | None = None
        self._sealing = encryption
        self._reader = Reader(self._store, self._sagas, encryption)
        self._watch = Watch(self._store)
        self._starting: dict[tuple[str, str], asyncio.Future[None]] = {}
        self._open = False
        self.bus = Bus()

    # --- life ------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Open the store, register the definitions, and lead it if nobody else does.

        Raises:
            StoreError: the store cannot be used.
            Conflict: a version is registered with another structure.
        """
        await self._store.open()
        try:
            if isinstance(self._store, Shared):
                asked = self._clock.now_ms()
                told = await self._store.time()
                self._clock.told(told, self._clock.now_ms() - asked)
            rows = [definition_row(saga) for saga in self._sagas.values()]
            if rows:
                await self._store.register(rows)
            if self._worker:
                owner = this_process()
                ttl_ms = self._settings.lease_ms(shared=isinstance(self._store, Shared))
                self._leader = Leader(self._store, owner, ttl_ms, self._clock, self._begin_term, self._lease_changed)
                await self._leader.start()
        except BaseException:
            self._store.close()
            raise
        self._open = True
        self._tell("orchestrator.started")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let running calls end within `grace`, hand the rest over, and close."""
        await self.close()

    async def close(self) -> None:
        """What leaving the `async with` does; may be called twice."""
        if not self._open:
            return
        self._open = False
        if self._leader is not None:
            await self._leader.stop(milliseconds(self._settings.grace) / 1000)
        await self._watch.stop()
        self._tell("orchestrator.stopped")
        self._store.close()

    async def drain(self) -> None:
        """Wait until no saga is awake here: all have ended, or sleep, or wait for a person.

        Verbs that were queued before this orchestrator began are applied first.

        Raises:
            StoreError: the store failed meanwhile.
        """
        while True:
            engine = self._engine()
            if engine is None:
                self._raise_failure()
                return
            if self._leader is not None:
                await self._leader.caught_up()
            await engine.until_empty()
            if not engine.stopped:
                return

    def _begin_term(self, lease: Lease, ended: Callable[[StoreError], None]) -> Engine:
        return Engine(
            self._store, lease, self._sagas, self._resources, self._settings, self._clock, self.bus, ended,
            self._sealing,
        )  # fmt: skip

    def _lease_changed(self, what: str) -> None:
        if what:
            self._tell(f"lease.{what}")
        self._watch.wake_all()
        if self._leader is not None and self._leader.failed is not None:
            self._tell("store.failed", error=str(self._leader.failed))

    def _tell(self, event: str, error: str = "") -> None:
        if self.bus.active:
            self.bus.publish(Notice(event=event, at=self._clock.now_ms(), error=error))

    def subscribe(self, function: Callable[[Notice], None], *events: str) -> Subscription:
        """Call `function` with each notice; `events` are names or patterns such as "step.*" (none: all)."""
        return self.bus.subscribe(function, *events)

    @property
    def leading(self) -> bool:
        """Whether this orchestrator runs the store's sagas now."""
        return self._engine() is not None

    @property
    def failed(self) -> StoreError | None:
        """Why nothing is acknowledged any more; None while all is well."""
        return None if self._leader is None else self._leader.failed

    def _engine(self) -> Engine | None:
        engine = None if self._leader is None else self._leader.engine
        return engine if engine is not None and not engine.stopped and not engine.draining else None

    def _check_open(self) -> None:
        if not self._open:
            raise UsageError(
                "this orchestrator is not open (any more): use it inside `async with`; its sagas live on in the store",
                code="AM2021",
            )

    def _raise_failure(self) -> None:
        self._check_open()
        if self.failed is not None:
            raise self.failed

    # --- starting --------------------------------------------------------------------------------------

    @overload
    async def start(
        self, saga: Saga[In, Out], input: In, *, key: str | None = None,
        correlation: Mapping[str, str] | None = None, transaction: object = None,
    ) -> Handle[Out]: ...  # fmt: skip
    @overload
    async def start(
        self, saga: str, input: Any = None, *, key: str | None = None,
        correlation: Mapping[str, str] | None = None, transaction: object = None,
    ) -> Handle[Any]: ...  # fmt: skip
    async def start(
        self, saga: Saga[Any, Any] | str, input: Any = None, *, key: str | None = None,
        correlation: Mapping[str, str] | None = None, transaction: object = None,
    ) -> Handle[Any]:  # fmt: skip
        """Start a saga; returns when that is durable.

        Parameters:
            saga: the definition, or its name (then its highest registered version).
            input: a value of the saga's input type.
            key: deduplicates the start within the saga's name, over all versions.
            correlation: a few short texts that find the saga again.
            transaction: a connection to this store's own file or database, with an open transaction (of sqlite3;
                of psycopg or asyncpg; of SQLAlchemy or Django on one of them). The saga exists if and only if that is
                committed, and is not durable before; see `look`.

        Raises:
            KeyConflict: the key was used with another input.
            PayloadError, UsageError: the input, key or correlation cannot be stored.
            NotFound: no saga of that name is registered.
            StoreError: it could not be made durable.
        """
        if not self._open or self.failed is not None:
            self._raise_failure()
        definition = self._definition(saga)
        if transaction is not None:
            return Handle(self, await self._join(definition, input, key, correlation, transaction))
        raw = definition.encode_input(input)
        key = checked_key(key)
        labels = checked_correlation(correlation)
        if not key:
            return await self._start(definition, raw, "", labels)
        slot = (definition.name, key)
        while slot in self._starting:  # one start of a key at a time, so that the second finds the first
            await asyncio.wait([self._starting[slot]])
        under_way = self._starting[slot] = asyncio.get_running_loop().create_future()
        try:
            return await self._start(definition, raw, key, labels)
        finally:
            del self._starting[slot]
            under_way.set_result(None)

    async def _start(self, saga: Saga[Any, Any], raw: msgspec.Raw, key: str, labels: dict[str, str]) -> Handle[Any]:
        now = self._clock.now_ms()
        engine = self._engine()
        saga_id = self._ids.new(now) if engine is None else engine.new_id(self._ids, now)
        started, row = beginning(saga, raw, key, labels, saga_id, now, self._sealing)
        actor = None
        if engine is not None and (saga.name, saga.version) in engine.sagas:
            actor = await engine.start(saga, started, row)
        if actor is None:
            holder = await self._store.start(first_frame(started, now, self._sealing), row)
        else:
            holder = actor.holder
            if not holder:
                return Handle(self, saga_id, actor)
        if holder == KEY_OPEN:  # who has the key is decided when that transaction ends
            await asyncio.sleep(_KEY_OPEN_S)
            return await self._start(saga, raw, key, labels)
        if holder and not await self._same_input(saga, key, holder, raw):
            return await self._start(saga, raw, key, labels)
        return Handle(self, holder or saga_id)

    async def _same_input(self, saga: Saga[Any, Any], key: str, holder: str, raw: msgspec.Raw) -> bool:
        """The key's saga must have been started with the same input, as today's type reads it; False: it was forgotten.

        Raises:
            KeyConflict: it was not.
        """
        try:
            state = await self._reader.opened(holder)
        except NotFound:
            known = await self._store.key(saga.name, key)
            if known is None or known.saga_id != holder:
                return False
            same = is_hash_of(known.input_hash, saga.canonical_input(raw), self._sealing)
        else:
            same = same_input(saga, state.input, raw)
        if not same:
            raise key_conflict(saga, key, holder)
        return True

    async def _join(
        self, saga: Saga[Any, Any] | str, input: Any, key: str | None, labels: Mapping[str, str] | None, given: object
    ) -> str:
        """Start in the caller's transaction and thread; the saga's id."""
        file, store = await place_of(self._store)
        joining = Joining(self._definition(saga), input, key, labels, self._clock, self._sealing)
        return await joining.on_async(given, file, store)

    def _join_here(
        self, saga: Saga[Any, Any] | str, input: Any, key: str | None, labels: Mapping[str, str] | None, given: object
    ) -> str:
        """The same for code that does not await, whether this is open or not."""
        file = file_of(self._store)
        return Joining(self._definition(saga), input, key, labels, self._clock, self._sealing).on(given, file)

    def look(self) -> None:
        """Have what was committed on a connection of your own taken up at once, in this process or another."""
        self._store.ring("work")

    def _definition(self, saga: Saga[Any, Any] | str) -> Saga[Any, Any]:
        if isinstance(saga, Saga):
            if self._sagas.get((saga.name, saga.version)) is not saga:
                raise UsageError(
                    f"saga {saga.name} version {saga.version} is not registered: add it to Orchestrator(sagas=[...])",
                    code="AM2022",
                )
            return saga
        found = self._latest.get(saga)
        if found is None:
            names = ", ".join(sorted(self._latest)) or "none"
            raise NotFound(f"no saga named {saga!r} is registered; registered: {names}", code="AM3006")
        return found

    # --- looking ---------------------------------------------------------------------------------------

    def handle(self, saga_id: str) -> Handle[Any]:
        """A handle for a saga's id; nothing is asked of the store yet."""
        return Handle(self, saga_id)

    async def get(self, saga_id: str, *, at: Moment = None) -> SagaView:
        """The whole of one saga.

        Parameters:
            at: a past moment, as an aware time or a frame's number: the view as it was then.

        Raises:
            NotFound: no such saga, or it had not started then.
        """
        self._check_open()
        return await self._reader.view(saga_id, at)

    async def history(self, saga_id: str, *, at: Moment = None) -> History:
        """Its journal, event by event, oldest first; `at` as in `get`. Raises NotFound."""
        self._check_open()
        return await self._reader.history(saga_id, at)

    async def why(self, saga_id: str, *, at: Moment = None) -> Reasons:
        """From its present to the first causes, newest first; `at` as in `get`. Raises NotFound."""
        self._check_open()
        return why(await self._reader.view(saga_id, at), await self._reader.history(saga_id, at))

    def follow(self, saga_id: str) -> AsyncIterator[HistoryEntry]:
        """Its journal, event by event, as it grows, until nothing is left to do for it. Raises NotFound."""
        self._check_open()
        return follow(self._reader, saga_id)

    def tail(
        self, filter: str | Filter = "", *, after: int | None = None, last: int = 0, follow: bool = False
    ) -> AsyncIterator[TailEntry]:
        """Journal events of all sagas, in the order in which they became durable. Raises FilterError.

        Parameters:
            filter: whose; each saga is judged as it stood after the event.
            after: a position to go on from: of the last entry that was seen, or 0 for the journal's beginning.
            last: without `after`, how many of the newest events to begin with.
            follow: wait for what comes, and never end.
        """
        self._check_open()
        return Tail(self._store, self._reader, filter_of(filter)).entries(after=after, last=last, follow=follow)

    async def export(self, saga_id: str, *, payloads: bool = True) -> bytes:
        """One saga as a bundle (see `amends.runtime.bundle`), perhaps without its payloads. Raises NotFound."""
        self._check_open()
        return await bundle.write(
            self._store, saga_id, now_ms=self._clock.now_ms(), release=version("amends"), payloads=payloads
        )

    async def list(
        self, filter: str | Filter = "", *, limit: int | None = None, **narrow: Unpack[Narrowing]
    ) -> AsyncIterator[SagaView]:
        """Sagas, newest first.

        Parameters:
            filter: such as "status:compensating customer:ann waiting>1h"; the grammar is that of `core.filters`.
            limit: at most so many.
            narrow: what a filter says, as keywords: `status` (one or several), `name`, `key`, `hold`,
                `correlation`, `anomalous`, `followup_failed`.

        Raises:
            FilterError: the text is no filter. UsageError: no such status.
        """
        self._check_open()
        async for view in listed(self._store, self._which(filter, narrow), limit):
            yield view

    async def count(self, filter: str | Filter = "", **narrow: Unpack[Narrowing]) -> int:
        """How many sagas `list` with the same arguments would give. Raises FilterError, UsageError."""
        self._check_open()
        return await self._store.count(self._which(filter, narrow))

    async def count_by(
        self, *by: GroupBy, filter: str | Filter = "", **narrow: Unpack[Narrowing]
    ) -> dict[tuple[str | int, ...], int]:
        """How many sagas fit, by the values of one or several fields: `{("running",): 3, ("completed",): 40}`.

        Parameters:
            by: "name", "version", "status", "hold" or "step", in the order of the keys.

        Raises:
            FilterError, UsageError.
        """
        self._check_open()
        return dict(await self._store.tally(self._which(filter, narrow), checked_groups(by)))

    async def top(self, filter: str | Filter = "", *, since: Duration | None = None) -> Figured:
        """What became of sagas within a time (None: ever), by definition and version. Raises FilterError."""
        self._check_open()
        now = self._clock.now_ms()
        begin = 0 if since is None else now - milliseconds(since)
        return await self._store.figures(filter_of(filter).at(now), since=begin)

    def _which(self, filter: str | Filter, narrow: Narrowing) -> Filter:
        return filter_of(filter, **narrow).at(self._clock.now_ms())

    async def _outcome(self, saga_id: str, known: Actor | None = None) -> Any:
        return await outcome_of(self, saga_id, known)

    # --- acting ----------------------------------------------------------------------------------------

    async def signal(self, saga_id: str, name: str, payload: Any = None, *, id: str = "") -> bool:
        """Give a saga a signal; kept also before its wait is reached.

        Parameters:
            name: the name of a `wait_for` of the saga.
            payload: a value of the wait's type.
            id: deduplicates: a second signal of the same id does nothing.

        Returns:
            True when it is journalled; False when it is queued for an orchestrator that is not there.

        Raises:
            NotFound: no such saga or wait. Conflict: the saga has ended. PayloadError: a wrong payload.
        """
        return await self._act(saga_id, signal_command(name, payload, id))

    async def cancel(self, saga_id: str, *, reason: str, actor: str | None = None) -> bool:
        """Turn a saga back. Raises Conflict after its pivot or end, NotFound."""
        return await self._act(saga_id, verb_command("cancel", reason, actor))

    async def retry(self, saga_id: str, *, reason: str, actor: str | None = None) -> bool:
        """Call again whatever is parked, poisoned or backing off; forward, with a fresh deadline.

        Raises:
            Conflict: nothing of it can be called. NotFound.
        """
        return await self._act(saga_id, verb_command("retry", reason, actor))

    async def resolve(
        self, saga_id: str, step: str, *, outcome: Literal["done", "not_done"], result: Any = None,
        reason: str, actor: str | None = None,
    ) -> bool:  # fmt: skip
        """Say what became of a step, as a person who looked.

        Parameters:
            step: its path.
            outcome: turning back, "done": its compensation was done by hand, "not_done": its action
                never took effect. Going forward, "done": it took effect, "not_done": it did not.
            result: the step's result, when something reads it.

        Raises:
            Conflict: the step's state does not allow it. NotFound. UsageError: a result is missing or wrong.
        """
        return await self._act(saga_id, resolve_command(step, outcome, result, reason, actor))

    async def skip(self, saga_id: str, step: str, *, reason: str, actor: str | None = None) -> bool:
        """Leave out an owed compensation, or a post-pivot step nobody reads; the saga ends `closed`."""
        return await self._act(saga_id, verb_command("skip", reason, actor, step=step))

    async def pause(self, saga_id: str, *, reason: str, actor: str | None = None) -> bool:
        """Begin no attempt any more, compensations included. Raises Conflict, NotFound."""
        return await self._act(saga_id, verb_command("pause", reason, actor))

    async def resume(self, saga_id: str, *, reason: str, actor: str | None = None) -> bool:
        """Undo `pause`; a deadline that passed meanwhile is applied now. Raises Conflict, NotFound."""
        return await self._act(saga_id, verb_command("resume", reason, actor))

    def bulk(
        self, verb: BulkVerb, filter: str | Filter = "", *, ids: Iterable[str] = (), dry_run: bool = False,
        limit: int | None = None, **words: Unpack[Words],
    ) -> Bulk:  # fmt: skip
        """A verb for all sagas that fit a filter: `async for done in orchestrator.bulk("cancel", ...)`; see `Bulk`.

        Parameters:
            verb: "retry", "resume", "pause", "cancel", "resolve", "skip" or "signal".
            filter: which sagas; one that fits all is refused. Or `ids`.
            dry_run: say what would be asked for and what would be refused, and change nothing.
            limit: at most so many, newest first; without it more than BULK_SAGAS_MAX are refused.
            words: what the verb itself takes: `reason`, `actor`, `step`, `outcome`, `result`, `name`, `payload`, `id`.

        Raises:
            FilterError, UsageError: the filter, the limit or the verb's own words cannot be.
        """
        self._raise_failure()
        which, command = self._which(filter, {}), bulk_command(verb, words)
        return Bulk(self._store, self._reader, self._act, command, which, ids=ids, limit=limit, dry_run=dry_run)

    async def _act(self, saga_id: str, command: Command, known: SagaState | None = None) -> bool:
        """Apply a verb here, or post it; `known` is the saga's state, for callers who have looked just now."""
        self._raise_failure()
        patience_s = milliseconds(self._settings.patience) / 1000
        engine = self._engine()
        if engine is None or not engine.runs(saga_id):
            return await ask_elsewhere(self, saga_id, command, patience_s, known)
        return await apply_within(engine, saga_id, command, patience_s)

    # --- keeping ---------------------------------------------------------------------------------------

    async def prune(
        self, filter: str | Filter = "", *, older: Duration, key_retention: Duration | None = None,
        anomalous: bool = False, followup_failed: bool = False, limit: int | None = None, batch: int = PRUNE_BATCH,
        archive: str | None = None, dry_run: bool = False,
    ) -> Pruned:  # fmt: skip
        """Remove sagas that ended long ago, the oldest first; safe beside a worker, and from any process.

        Parameters:
            filter: which of them, as `list` reads it.
            older: how long ago they ended at least; commands answered as long ago go too.
            key_retention: how much longer their start keys are kept; as the orchestrator's setting when left out.
            anomalous, followup_failed: remove those too.
            limit: at most so many.
            batch: how many in one transaction.
            archive: the address of a SQLite file in which they are durable before they go; every command that
                looks shows them there, with `--store`.
            dry_run: only count.

        Raises:
            FilterError, UsageError. StoreError: what was removed by then is removed.
        """
        self._check_open()
        keys = self._settings.key_retention if key_retention is None else key_retention
        pruning = pruning_of(
            filter_of(filter), older, keys,
            anomalous=anomalous, followup_failed=followup_failed, limit=limit, batch=batch,
        )  # fmt: skip
        if dry_run:
            return await count(self._store, self._clock, pruning)
        if archive is None:
            return await prune(self._store, self._clock, pruning)
        async with Archive(archive, self._store, self._clock) as kept:
            return await prune(self._store, self._clock, pruning, archive=kept)
