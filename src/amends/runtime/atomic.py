"""Atomic calls: an author's function inside the transaction that writes its own frame.

    intent durable ─▶ queued at the committer ─▶ taken: the saga holds still ─▶ in the writer's thread
                            │ let go                                               │ function, frame, COMMIT
                            ▼                                                      ▼
                      no effect, proven                              folded when durable; the saga goes on

Rules of this file:
  * **The frame is one event,** the success, made in the writer's thread without a look at the state; what
    follows from it is decided afterwards, in the loop, as always.
  * **Its place is kept.** The frame has the number that comes next when the call is taken, so the saga
    hands no other frame over until it has landed or failed. What happens meanwhile waits its turn.
  * **Nothing is unknown.** What raised, or was too slow, or was cut by a crash, was rolled back: it
    failed without effect. Only what has not been taken yet is given up, for a saga that holds still
    decides nothing.
  * It needs no margin of the lease: the lease's epoch is checked in its own transaction.

Codes:
    AM2242  what an atomic function returned cannot be stored, so its writes were taken back
"""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any

from ..core import events as ev
from ..core.calls import Call as Function
from ..core.events import Event, encode_frame
from ..core.sealing import seal_events
from ..errors import UsageError
from ..stores.base import FrameRow
from . import calling
from .executor import ACTION, Call

if TYPE_CHECKING:
    from .actor import Actor

in_atomic_step: contextvars.ContextVar[bool] = contextvars.ContextVar("in_atomic_step", default=False)
CONNECTION = object()  # stands among the arguments for the connection that the transaction will give

_SUCCESSES = (ev.ActionSucceeded, ev.CompensationSucceeded)


class Body:
    """One atomic call on its way through the writer's transaction; the committer takes it.

    Parameters:
        actor: its saga.
        call: the call.
        prepared: the function, its arguments, and how long it may take, in seconds.

    Attributes:
        limit_ms: how long it may take.
        settled: done when its outcome was folded, or it was let go.
    """

    __slots__ = ("_actor", "_args", "_call", "_context", "_function", "_kwargs", "_landed", "_seq", "limit_ms",
                 "settled")  # fmt: skip

    def __init__(self, actor: Actor, call: Call, prepared: calling.Prepared) -> None:
        function, args, kwargs, limit_s = prepared
        self._actor = actor
        self._call = call
        self._function: Function = function
        self._args = args
        self._kwargs = kwargs
        self._context = contextvars.copy_context()
        self._context.run(in_atomic_step.set, True)
        self._landed: tuple[int, list[Event]] = (0, [])
        self._seq = 0
        self.limit_ms = int(limit_s * 1000)
        self.settled: asyncio.Future[None] = actor.engine.loop.create_future()

    def take(self) -> bool:
        """Whether it is still to be run; then its saga holds still until it has landed or failed."""
        actor, call = self._actor, self._call
        if actor.dead or call.given_up:
            return False
        instead = calling.instead(actor, call) if call.op == ACTION else None
        if instead is not None:
            actor.running.pop(call.node, None)
            actor.turn([instead])
            self._settle()
            return False
        self._seq = actor.state.seq + 1
        actor.hold_still()
        return True

    def run(self, connection: Any) -> FrameRow:
        """Call the function in the writer's thread, and make the frame of its success.

        Raises:
            BaseException: whatever it raised, or that its result cannot be stored.
        """
        args = [connection if each is CONNECTION else each for each in self._args]
        kwargs = {name: connection if each is CONNECTION else each for name, each in self._kwargs.items()}
        value = self._context.run(self._function.function, *args, **kwargs)
        event = calling.success(self._actor, self._call, value)
        if not isinstance(event, _SUCCESSES):
            raise UsageError(
                f"{self._function.where}: {getattr(event, 'error', '') or 'it did not return a result'}", code="AM2242"
            )
        engine, saga_id = self._actor.engine, self._actor.saga_id
        at, events = self._landed = (engine.clock.now_ms(), [event])
        written = events if engine.sealing is None else seal_events(engine.sealing, saga_id, events)
        return FrameRow(saga_id, self._seq, encode_frame(at, written))

    def landed(self) -> None:
        """Its writes and its frame are durable."""
        self._actor.running.pop(self._call.node, None)
        self._actor.wrote_itself(*self._landed)
        self._settle()

    def failed(self, error: BaseException) -> None:
        """It was rolled back."""
        event = calling.failure(self._actor, self._call, error)
        if isinstance(event, ev.ActionUnknown):
            event = ev.ActionNotSent(event.node, event.error)
        self._actor.running.pop(self._call.node, None)
        self._actor.go_on([event])
        self._settle()

    def _settle(self) -> None:
        if not self.settled.done():
            self.settled.set_result(None)


async def make(actor: Actor, call: Call, prepared: calling.Prepared) -> None:
    """Make an atomic call, and return when its outcome was folded. Raises only when its worker is cancelled."""
    body = call.body = Body(actor, call, prepared)
    actor.engine.committer.transact(body)
    try:
        await body.settled
    except asyncio.CancelledError:
        if not call.given_up:
            raise
        calling.no_straggler(actor, call)
