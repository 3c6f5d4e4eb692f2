"""Group commit: while one batch is being flushed, the next gathers.

A frame is handed over with `append`, in the order it was folded; when its batch is durable, the
frame's own `durable` is called, in the same order. Nothing else may treat a frame as having happened.

What a store can answer, and what follows:
  * durable: every frame's `durable`, then the next batch.
  * `StoreUnavailable`: whether the batch landed may be unknown. The *same* batch, with the same
    number, is sent again until the store knows; it tells a repeated batch by its number.
  * `LeaseLost`: another one leads. This committer ends; nothing it holds was acknowledged.
  * anything else: the store failed (disk full, a failed fsync). It ends for good: a failed fsync is
    never tried again, for the kernel may have dropped the very pages it could not write.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Protocol, TypeVar

from ..core.events import Event, encode_frame
from ..core.sealing import Sealing, seal_events
from ..errors import LeaseLost, StoreError, StoreFailed, StoreUnavailable
from ..limits import BATCH_FRAMES_MAX
from ..stores.base import Batch, FrameRow, KeyRow, Lease, Store, Transacting

T = TypeVar("T")
_log = logging.getLogger("amends")
_BACKOFF_S = 0.01
_BACKOFF_MAX_S = 1.0


class Durable(Protocol):
    """Whose frame it is."""

    def durable(self, at: int, events: list[Event]) -> None:
        """The frame decided at `at` with these events is durable."""

    def refused(self, holder: str) -> None:
        """The saga was not started: the saga `holder` has its start key."""


class Body(Protocol):
    """An author's function that writes to the store's own database, in the transaction of its own frame."""

    limit_ms: int

    def take(self) -> bool:
        """Whether it is still to be run."""

    def run(self, connection: Any) -> FrameRow:
        """Run it, in the writer's thread; the frame of its success."""

    def landed(self) -> None:
        """Its writes and its frame are durable."""

    def failed(self, error: BaseException) -> None:
        """It was rolled back."""


class _Mark:
    """Stands among the bodies for somebody who waits until everything before it is durable."""

    __slots__ = ("reached",)

    def __init__(self, reached: asyncio.Future[None]) -> None:
        self.reached = reached


Gathered = tuple[Durable, int, list[Event]]  # whose frame, when it was decided, what it holds


class Committer:
    """Gathers frames into batches and makes them durable, one batch at a time.

    Parameters:
        store: where to.
        lease: tells the lease in force; asked once per batch.
        ended: called once, with the error, when no batch will ever land again.
        sleep: waits between two tries of the same batch.
        sealing: encrypts the payloads of what is written; None when nothing does.
    """

    def __init__(
        self,
        store: Store,
        lease: Callable[[], Lease],
        ended: Callable[[StoreError], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        sealing: Sealing | None = None,
    ) -> None:
        self._store = store
        self._lease = lease
        self._ended = ended
        self._sleep = sleep
        self._sealing = sealing
        self._number = 0
        self._wake: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._marks: list[_Mark] = []  # all that were not reached
        self._bodies: deque[Body | _Mark] = deque()
        self._sending: Batch | None = None
        # Durable, and nobody told yet: the batch, whose it is, what was refused, the marks that are reached with it.
        self._landed: tuple[Batch, list[Gathered], dict[str, str], list[_Mark]] | None = None
        self.error: StoreError | None = None
        self._fresh()

    def _fresh(self) -> None:
        self._number += 1
        self._batch = Batch(self._number)
        self._frames: list[Gathered] = []
        self._rows = self._batch.frames
        self._answered_at: dict[int, int] = {}  # command -> how many frames must be sent with its answer, or before

    def start(self) -> None:
        """Begin; needs the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="amends-committer")

    @property
    def batches(self) -> int:
        """How many batches were begun."""
        return self._number

    @property
    def idle(self) -> bool:
        """Whether nothing gathers, nothing is being flushed, and everybody has been told."""
        return self._wake is not None and self._empty() and self._landed is None

    def pending(self) -> Iterator[str]:
        """The sagas of which something was handed over that nobody was told of yet."""
        for batch in (self._batch, self._sending, self._landed[0] if self._landed else None):
            if batch is not None:
                yield from (row.saga_id for row in batch.frames)
                yield from batch.due

    def append(self, owner: Durable, saga_id: str, seq: int, at: int, events: list[Event]) -> Batch:
        """Hand a frame over; the batch it went into is returned, for what must land with it."""
        written = events if self._sealing is None else seal_events(self._sealing, saga_id, events)
        self._rows.append(FrameRow(saga_id, seq, encode_frame(at, written)))
        self._frames.append((owner, at, events))
        if self._wake is not None:
            self._hurry()
        return self._batch

    def open(self, batch: Batch, saga_id: str, key: KeyRow | None) -> None:
        """The frame just appended opens this saga."""
        batch.opened.append(saga_id)
        if key is not None:
            batch.keys.append(key)

    def answer_with_frame(self, command_id: int, error: str) -> None:
        """Answer a command of the inbox together with the frame just appended."""
        self._batch.answered[command_id] = error
        self._answered_at[command_id] = len(self._rows)

    def answer(self, command_id: int, error: str) -> None:
        """Answer a command of the inbox, with what gathers now."""
        self._batch.answered[command_id] = error
        self._hurry()

    def note_due(self, saga_id: str, due: int) -> None:
        """Write an open saga's next due time with what gathers now."""
        self._batch.due[saga_id] = due
        self._hurry()

    def transact(self, body: Body) -> None:
        """Run a body in the transaction of the batch that gathers now, or of a later one: one body in each."""
        self._bodies.append(body)
        self._hurry()

    def let_bodies_go(self) -> None:
        """Take none of those that still wait: at a shutdown they are cut off, as calls are, and begun elsewhere."""
        self._bodies = deque(each for each in self._bodies if isinstance(each, _Mark))

    def _hurry(self) -> None:
        if self._wake is not None:
            if not self._wake.done():  # done already: the loop is being torn down
                self._wake.set_result(None)
            self._wake = None

    def _empty(self) -> bool:
        return not (self._frames or self._batch.answered or self._batch.due or self._bodies)

    async def flush(self) -> None:
        """Return when all that was handed over so far is durable, or none of it ever will be.

        What is handed over meanwhile is not waited for: under load there is always something.
        """
        if self._over or self.idle:
            return
        mark = _Mark(asyncio.get_running_loop().create_future())
        self._marks.append(mark)
        self._bodies.append(mark)
        self._hurry()
        await mark.reached

    async def run_dry(self) -> None:
        """Return when nothing is left to be done, or none of it ever will be: for an end, when nothing new begins."""
        while not (self._over or self.idle):
            await self.flush()

    @property
    def _over(self) -> bool:
        return self.error is not None or self._task is None or self._task.done()

    async def stop(self) -> None:
        """End, without flushing."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                if self._empty():
                    self._tell_now()
                    if self._empty():
                        self._wake = self._loop.create_future()
                        await self._wake
                    # One turn of the loop: what became ready beside the first frame joins its batch.
                    await asyncio.sleep(0)
                await self._flush_one()
        except StoreError as error:
            self._tell_now()
            self.error = error
            self._ended(error)
        except Exception as error:
            _log.exception("the committer broke")
            self._tell_now()
            self.error = StoreFailed(
                f"the committer broke: {error!r}; restart to recover, and report this", code="AM6020"
            )
            self._ended(self.error)
        finally:
            self._reach(self._marks)

    def _reach(self, marks: list[_Mark]) -> None:
        for mark in marks:
            if not mark.reached.done():
                mark.reached.set_result(None)
        self._marks = [mark for mark in self._marks if not mark.reached.done()]

    async def _flush_one(self) -> None:
        body, marks = self._next_body()
        if self._empty() and body is None:
            self._tell_now()
            self._reach(marks)
            return  # a body that was let go was all there was, or a mark
        batch, frames, answered_at = self._batch, self._frames, self._answered_at
        self._fresh()
        if len(frames) > BATCH_FRAMES_MAX:
            frames = self._split(batch, frames, answered_at)
        if self._landed is not None:
            # Whom the batch before belongs to is told once this one is on its way: the store need not wait for that.
            self._loop.call_soon(self._tell_now)
        self._sending = batch
        if body is None:
            refused = await self._commit(lambda: self._store.commit(self._lease(), batch))
            self._tell_now()
            self._landed = (batch, frames, refused, marks)
            self._sending = None
            return
        store = self._store
        assert isinstance(store, Transacting), "the orchestrator has refused others"
        refused, error = await self._commit(
            lambda: store.transact(self._lease(), batch, body.run, limit_ms=body.limit_ms)
        )
        self._tell_now()
        self._tell(batch, frames, refused)
        self._sending = None
        if error is None:
            body.landed()
        else:
            body.failed(error)
        self._reach(marks)

    def _tell_now(self) -> None:
        """Tell whom the last batch that landed belongs to, unless they have been told."""
        landed, self._landed = self._landed, None
        if landed is not None:
            batch, frames, refused, marks = landed
            self._tell(batch, frames, refused)
            if marks:
                self._reach(marks)

    def _next_body(self) -> tuple[Body | None, list[_Mark]]:
        """The next body that is still to be run, and the marks before it; neither beside a batch to be sent in two."""
        marks: list[_Mark] = []
        while self._bodies and len(self._frames) <= BATCH_FRAMES_MAX:
            body = self._bodies.popleft()
            if isinstance(body, _Mark):
                marks.append(body)
            elif body.take():
                return body, marks
        return None, marks

    @staticmethod
    def _tell(batch: Batch, frames: list[Gathered], refused: dict[str, str]) -> None:
        if refused:
            for (owner, at, events), row in zip(frames, batch.frames, strict=True):
                holder = refused.get(row.saga_id)
                if holder is None:
                    owner.durable(at, events)
                else:
                    owner.refused(holder)
        else:
            for owner, at, events in frames:
                owner.durable(at, events)

    def _split(self, batch: Batch, frames: list[Gathered], answered_at: dict[int, int]) -> list[Gathered]:
        """Send an overlong batch in two: what belongs to a frame goes with it, but ends and due times wait."""
        rest = Batch(self._number, frames=batch.frames[BATCH_FRAMES_MAX:])
        batch.frames = batch.frames[:BATCH_FRAMES_MAX]
        later = {row.saga_id for row in rest.frames}
        firsts = {row.saga_id for row in rest.frames if row.seq == 1}
        rest.opened = [saga_id for saga_id in batch.opened if saga_id in firsts]
        rest.keys = [row for row in batch.keys if row.saga_id in firsts]
        rest.closed = [saga_id for saga_id in batch.closed if saga_id in later]
        rest.due = {saga_id: due for saga_id, due in batch.due.items() if saga_id in later}
        batch.opened = [saga_id for saga_id in batch.opened if saga_id not in firsts]
        batch.keys = [row for row in batch.keys if row.saga_id not in firsts]
        batch.closed = [saga_id for saga_id in batch.closed if saga_id not in later]
        batch.due = {saga_id: due for saga_id, due in batch.due.items() if saga_id not in later}
        early = {command for command, count in answered_at.items() if count <= BATCH_FRAMES_MAX}
        rest.answered = {command: error for command, error in batch.answered.items() if command not in early}
        batch.answered = {command: batch.answered[command] for command in early}
        self._answered_at = {
            command: count - BATCH_FRAMES_MAX for command, count in answered_at.items() if command not in early
        }
        self._batch, self._frames = rest, frames[BATCH_FRAMES_MAX:]
        self._rows = rest.frames
        return frames[:BATCH_FRAMES_MAX]

    async def _commit(self, send: Callable[[], Awaitable[T]]) -> T:
        delay = _BACKOFF_S
        while True:
            try:
                return await send()
            except StoreUnavailable:
                await self._sleep(delay)
                delay = min(delay * 2, _BACKOFF_MAX_S)
            except (LeaseLost, StoreFailed):
                raise
            except StoreError as error:
                raise StoreFailed(f"{error.message}; nothing more is acknowledged: restart to recover") from error
            except Exception as error:
                raise StoreFailed(
                    f"the store {self._store.address} could not commit: {error}; "
                    f"nothing more is acknowledged: restart to recover"
                ) from error
