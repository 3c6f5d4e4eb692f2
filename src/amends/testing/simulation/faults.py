"""A connection to the store that fails as networks and disks do; the store behind it is sound.

Each machine has its own `StoreLink` to the one `MemoryStore`. A request travels, is applied in the
world outside of the machine (so it may land when its sender is dead), and its answer travels back.

    refuses          StoreUnavailable before anything happened
    loses the answer applied, then StoreUnavailable: the batch must be settled by its number
    loses the batch  not applied, StoreUnavailable after a while: looks the same from outside
    duplicates       the batch arrives a second time, up to seconds later
    is slow          latencies far above the usual
    fails            StoreFailed, applied or not; this link never works again, as after a failed fsync
    late / needless  `changed()` says no once more, or yes for nothing
    bells            a ring comes late, for nothing or not at all

Rules of this file: nothing is made up that a real store could not do to us.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ...core.filters import Filter
from ...core.summary import Summary
from ...errors import Conflict, LeaseLost, StoreFailed, StoreUnavailable
from ...stores.base import (
    Batch,
    Bell,
    CommandRow,
    DefinitionRow,
    FrameRow,
    GroupBy,
    JournalRow,
    KeyRow,
    Lease,
    OpenRow,
    Owner,
    Ring,
    Tally,
    Trace,
)  # fmt: skip
from ...stores.bell import LocalBells
from ...stores.figures import Figures
from .loop import Machine

if TYPE_CHECKING:
    from .world import World

T = TypeVar("T")
_USUAL_S = 0.002


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """The answer of a coroutine that never waits, as those of the memory store."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        answer: T = stop.value
        return answer
    raise AssertionError("the memory store waited")


class StoreLink:
    """Implements the Store protocol.

    Parameters:
        world: where the store is.
        machine: whose connection it is.

    Attributes:
        begin_until: until when a call may begin, by the loop's clock: two thirds of the lease.
    """

    def __init__(self, world: World, machine: Machine) -> None:
        self._world = world
        self._machine = machine
        self._store = world.store
        self._failed = False
        self._seen = 0
        self.bells = LocalBells()
        self._doubtful: dict[tuple[int, int], str] = {}
        self.address = world.store.address
        self.begin_until = 0.0

    # --- how a request travels -----------------------------------------------------------------------

    def _unavailable(self, what: str) -> StoreUnavailable:
        self._world.say(self._machine.name, f"store: {what}")
        return StoreUnavailable(f"simulated: {what}")

    async def _ask(self, what: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Any verb but `commit`: it may be refused, its answer may be lost, it may take long."""
        world, chance = self._world, self._world.chance
        self._check()
        if world.outage or chance.fires(f"store.{what}.refuses"):
            await asyncio.sleep(chance.latency(_USUAL_S))
            raise self._unavailable(f"{what} refused")
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        world.later(self._travel(), self._deliver, work, answer)
        found = await answer
        if chance.fires(f"store.{what}.loses_answer"):
            raise self._unavailable(f"the answer to {what} was lost")
        return found

    def _deliver(self, work: Callable[[], Coroutine[Any, Any, T]], answer: asyncio.Future[T]) -> None:
        """Runs in the world: the store does it, and the answer goes back."""
        try:
            found = at_once(work())
        except Exception as error:
            if not answer.done():
                answer.set_exception(error)
                answer.exception()  # the asker may be dead: then nobody looks at it
        else:
            self._world.later(self._travel(), _settle, answer, found)

    def _travel(self) -> float:
        chance = self._world.chance
        return chance.latency(_USUAL_S * (200 if chance.fires("store.is_slow") else 1))

    def _check(self) -> None:
        if self._failed:
            raise StoreFailed("simulated: this link to the store failed before")

    # --- the lease's holder ----------------------------------------------------------------------------

    async def open(self) -> None:
        await self._ask("open", self._store.open)

    def close(self) -> None:
        """The connection goes; the store stays."""
        self.bells.close()

    async def acquire(self, owner: Owner, *, ttl_ms: int, now: int) -> Lease | None:
        asked = asyncio.get_running_loop().time()
        mine = Owner(self._machine.name)  # no process number: only its expiry, or its death, ends a lease
        world = self._world

        async def take() -> Lease | None:
            holder = world.leader
            lease = await self._store.acquire(mine, ttl_ms=ttl_ms, now=now)
            if lease is not None:
                world.leads(self._machine, lease.epoch)
                if holder is not None and holder.stopped and holder is not self._machine:
                    world.chance.mark("lease taken from a stopped orchestrator")
            return lease

        lease = await self._ask("acquire", take)
        if lease is not None:
            self.begin_until = asked + ttl_ms / 1_500
        return lease

    async def renew(self, lease: Lease, *, ttl_ms: int, now: int) -> Lease:
        asked = asyncio.get_running_loop().time()
        try:
            renewed = await self._ask("renew", lambda: self._store.renew(lease, ttl_ms=ttl_ms, now=now))
        except LeaseLost:
            self._world.chance.mark("fenced renewal refused")
            raise
        self.begin_until = asked + ttl_ms / 1_500
        return renewed

    async def release(self, lease: Lease) -> None:
        async def give_back() -> None:
            await self._store.release(lease)
            self._world.ring("lease")

        await self._ask("release", give_back)

    async def holder(self, *, now: int) -> Lease | None:
        return await self._ask("holder", lambda: self._store.holder(now=now))

    async def owner(self, *, now: int) -> tuple[Owner, int] | None:
        return await self._ask("holder", lambda: self._store.owner(now=now))

    async def commit(self, lease: Lease, batch: Batch) -> dict[str, str]:
        world, chance = self._world, self._world.chance
        self._check()
        this = (lease.epoch, batch.number)
        if world.outage or chance.fires("store.commit.refuses"):
            await asyncio.sleep(chance.latency(_USUAL_S))
            raise self._unavailable(f"commit {this} refused")
        fails = chance.fires("store.fails", 0.02)
        answer: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()

        async def apply() -> dict[str, str]:
            return await self._apply(lease, batch)

        lost = chance.fires("store.commit.loses_batch")
        if not lost:
            world.later(self._travel(), self._deliver, apply, answer)
        if not lost and chance.fires("store.commit.duplicates"):
            world.later(chance.latency(0.5), self._again, apply)
        if lost or fails or chance.fires("store.commit.loses_answer"):
            await asyncio.sleep(chance.latency(_USUAL_S * 20))
            if fails:
                self._failed = True
                raise StoreFailed("simulated: the disk is full")
            self._doubtful[this] = "had not landed" if lost else "had landed"
            raise self._unavailable(f"no answer to commit {this}")
        taken = await answer
        doubt = self._doubtful.pop(this, "")
        if doubt:
            chance.mark(f"ambiguous commit: it {doubt}")
        return taken

    async def _apply(self, lease: Lease, batch: Batch) -> dict[str, str]:
        """In the world: the store's own commit, watched."""
        world = self._world
        before = len(self._store._log)
        try:
            taken = await self._store.commit(lease, batch)
        except LeaseLost:
            world.say("store", f"refused a batch of {self._machine.name} under the old epoch {lease.epoch}")
            if batch.frames:
                world.chance.mark("fenced write refused")
            raise
        except Conflict as error:
            world.violate(f"two writers, one frame: {error}")
            raise
        world.ring("news")
        world.landed(self._new(before), f"batch {lease.epoch}.{batch.number}", self._machine)
        if any(batch.due.values()):
            world.chance.mark("saga slept on disk")
        if world.chance.fires("nemesis.kills_at_commit", 0.05):
            world.kill(self._machine)  # durable, and nobody was told
        return taken

    def _new(self, before: int) -> list[FrameRow]:
        return [row for row in self._store._log[before:] if row is not None]

    def _again(self, apply: Callable[[], Coroutine[Any, Any, dict[str, str]]]) -> None:
        before = len(self._store._log)
        try:
            at_once(apply())
        except LeaseLost:
            return
        if len(self._store._log) == before:
            self._world.chance.mark("duplicated batch harmless")

    # --- anybody ---------------------------------------------------------------------------------------

    async def start(self, frame: FrameRow, key: KeyRow | None) -> str:
        async def begin() -> str:
            before = len(self._store._log)
            holder = await self._store.start(frame, key)
            self._world.wrote(self._machine)
            self._world.ring("work")
            self._world.landed(self._new(before), "start", self._machine)
            return holder

        self._world.chance.mark("start through the store")
        return await self._ask("start", begin)

    async def post(self, saga_id: str, body: bytes, *, now: int) -> int:
        async def put() -> int:
            number = await self._store.post(saga_id, body, now=now)
            self._world.wrote(self._machine)
            self._world.ring("work")
            return number

        self._world.chance.mark("command through the inbox")
        return await self._ask("post", put)

    async def command(self, command_id: int) -> CommandRow | None:
        return await self._ask("read", lambda: self._store.command(command_id))

    async def unanswered(self, command_ids: Sequence[int]) -> set[int]:
        return await self._ask("read", lambda: self._store.unanswered(command_ids))

    async def register(self, rows: Sequence[DefinitionRow]) -> None:
        await self._ask("register", lambda: self._store.register(rows))

    async def prunable(self, which: Filter, *, limit: int) -> list[str]:
        return await self._ask("read", lambda: self._store.prunable(which, limit=limit))

    async def count_prunable(self, which: Filter) -> int:
        return await self._ask("read", lambda: self._store.count_prunable(which))

    async def prune(self, saga_ids: Sequence[str], *, now: int) -> int:
        return await self._ask("prune", lambda: self._store.prune(saga_ids, now=now))

    async def trace(self, saga_id: str) -> Trace | None:
        return await self._ask("read", lambda: self._store.trace(saga_id))

    async def forget(self, *, pruned_before: int, posted_before: int, limit: int) -> int:
        return await self._ask(
            "prune",
            lambda: self._store.forget(pruned_before=pruned_before, posted_before=posted_before, limit=limit),
        )

    async def shrink(self) -> int:
        return await self._ask("prune", self._store.shrink)

    def bell(self, what: Ring) -> Bell:
        return self.bells.hang(what)

    def ring(self, what: Ring) -> None:
        self._world.ring(what)

    # --- reading -----------------------------------------------------------------------------------------

    async def changed(self) -> bool:
        world, chance = self._world, self._world.chance
        self._check()
        if world.outage or chance.fires("store.changed.refuses", 0.05):
            raise self._unavailable("changed refused")
        if self._seen == world.written_by_others(self._machine):
            if chance.fires("store.changed.needless"):
                chance.mark("wake-up duplicated, harmless")
                return True
            return False
        if chance.fires("store.changed.late"):
            chance.mark("wake-up late")
            return False
        self._seen = world.written_by_others(self._machine)
        return True

    async def commands(self, *, limit: int) -> list[CommandRow]:
        return await self._ask("read", lambda: self._store.commands(limit=limit))

    async def open_sagas(self, *, after: int, due_from: int, due_before: int, limit: int) -> list[OpenRow]:
        # Small pages, so that recovery has many of them and can be interrupted between two.
        limit = min(limit, 2)
        try:
            return await self._ask(
                "read",
                lambda: self._store.open_sagas(after=after, due_from=due_from, due_before=due_before, limit=limit),
            )
        except StoreUnavailable:
            if due_from == 0 and due_before > 1:
                self._world.chance.mark("recovery interrupted by the store")
            raise

    async def frames(self, saga_ids: Sequence[str]) -> dict[str, list[FrameRow]]:
        rows = await self._ask("read", lambda: self._store.frames(saga_ids))
        if self._world.chance.fires("store.slow_journals"):
            await asyncio.sleep(self._world.chance.latency(0.3))  # what was read grows old meanwhile
        return rows

    async def figures(self, which: Filter, *, since: int) -> list[Figures]:
        return await self._ask("read", lambda: self._store.figures(which, since=since))

    async def journal(self, *, after: int, limit: int) -> list[JournalRow]:
        return await self._ask("read", lambda: self._store.journal(after=after, limit=limit))

    async def journal_end(self, *, before: int, limit: int) -> list[JournalRow]:
        return await self._ask("read", lambda: self._store.journal_end(before=before, limit=limit))

    async def later_frames(self, after: Mapping[str, int]) -> dict[str, list[FrameRow]]:
        return await self._ask("read", lambda: self._store.later_frames(after))

    async def key(self, name: str, key: str) -> KeyRow | None:
        return await self._ask("read", lambda: self._store.key(name, key))

    async def definitions(self) -> list[DefinitionRow]:
        return await self._ask("read", self._store.definitions)

    async def project(self, *, limit: int) -> int:
        return await self._ask("read", lambda: self._store.project(limit=limit))

    async def rebuild(self) -> None:
        await self._ask("read", self._store.rebuild)

    async def summaries(self, which: Filter, *, before: str, limit: int, fresh: bool = True) -> list[Summary]:
        return await self._ask("read", lambda: self._store.summaries(which, before=before, limit=limit, fresh=fresh))

    async def count(self, which: Filter) -> int:
        return await self._ask("read", lambda: self._store.count(which))

    async def tally(self, which: Filter, by: Sequence[GroupBy]) -> Tally:
        return await self._ask("read", lambda: self._store.tally(which, by))


def _settle(answer: asyncio.Future[Any], found: Any) -> None:
    if not answer.done():
        answer.set_result(found)
