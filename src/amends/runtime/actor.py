"""One awake saga: its folded state, its calls under way, and who waits for it.

An actor is driven, it never waits: `turn` folds what happened and what the kernel decides, hands the
frame to the committer, and returns. `durable` makes the calls whose intents have landed. Frames of
one saga may follow each other before the first has landed; the committer keeps their order, and a
failed batch ends all of them together.

Rules of this file: no call before `durable`; a turn folds results before a deadline or a cancel; an
actor never reads the store.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..core import events as ev
from ..core.context import Op
from ..core.decide import Command, Evaluate, decide, has_nothing_to_decide, next_due
from ..core.definition import Saga
from ..core.events import Event
from ..core.fold import fold
from ..core.state import SagaState
from ..core.straight import begin, go_on
from ..core.transitions import BACKING_OFF
from ..core.verbs import no_way_back
from ..stores.base import ASLEEP, KeyRow
from . import calling
from .commands import encode_error
from .evaluate import evaluate
from .executor import ACTION, COMPENSATION, COMPENSATION_POLL, POLL, PROBE, Call

if TYPE_CHECKING:
    from .engine import Engine
    from .timers import Timer

_LAUNCH = {ev.ActionStarted: ACTION, ev.CompensationStarted: COMPENSATION, ev.ProbeStarted: PROBE, ev.PollStarted: POLL}
_NEWS = frozenset({ev.Completed, ev.Compensated, ev.Closed, ev.RequiresManual, ev.TurnedBack, ev.CancelRefused})
_ENDS = frozenset({ev.Completed, ev.Compensated, ev.Closed})
_NONE: MappingProxyType[str, str] = MappingProxyType({})
# What a saga mostly has nothing of is shared while it has none: a waiting one is to cost little memory.
_NO_CALLS: deque[Call] = deque()  # never written to
_NO_STRAGGLERS: Mapping[int, Call] = MappingProxyType({})
_HOPS = 4  # turns of the loop a due time waits for results that are in hand already


class Actor:
    """One awake saga.

    Parameters:
        engine: what it is driven by.
        saga: its definition.
        state: its folded journal.
        correlation: the saga's.
    """

    __slots__ = (
        "_armed", "_due_on_disk", "_held_back", "_moving", "_timer", "cancels", "correlation", "dead", "durable_seq",
        "engine", "holder", "leaving", "more", "news", "outcome_known", "queued", "running", "saga", "saga_id",
        "state", "stragglers", "visitors", "written",
    )  # fmt: skip

    def __init__(self, engine: Engine, saga: Saga[Any, Any], state: SagaState, correlation: Mapping[str, str]) -> None:
        self.engine = engine
        self.saga = saga
        self.state = state
        self.saga_id = state.saga_id
        self.correlation = MappingProxyType(correlation) if correlation else _NONE  # what contexts show
        self.queued = False  # in the executor's queue
        self.more: deque[Call] = _NO_CALLS
        self.running: dict[int, Call] = {}  # announced, without an answer yet
        self.stragglers: Mapping[int, Call] = _NO_STRAGGLERS  # given up, not ended yet
        self.durable_seq = state.seq
        self.written: Sequence[tuple[int, asyncio.Future[None]]] = ()  # (seq, who waits for its frame)
        self.news: Sequence[asyncio.Future[None]] = ()  # who waits for an end, or for the fate of a cancel
        self.cancels: Sequence[int] = ()  # commands of the inbox that wait for the outcome of the pivot
        self.visitors = 0  # who looks at it right now, and keeps it in memory
        self.dead = False
        self.leaving = False  # its shard is let go: nothing new is begun
        self.holder = ""  # the saga that has the start key, when this one was refused
        self.outcome_known = state.ended  # an end is durable
        self._held_back: list[tuple[list[Event], int, KeyRow | None]] | None = None  # turns, while it holds still
        self._moving: Sequence[asyncio.Future[None]] = ()  # who waits until it moves again
        self._timer: Timer | None = None
        self._armed = 0
        self._due_on_disk = -1 if state.seq else 0  # -1: taken up from its journal, and the open row is not known

    # --- what happened, and what follows ---------------------------------------------------------

    def turn(self, happened: list[Event], *, command: int = 0, key: KeyRow | None = None) -> None:
        """Fold what happened and all that follows from it, as one frame.

        Parameters:
            happened: facts, in their order.
            command: the inbox command whose answer lands with the frame; 0 for none.
            key: the start key's row, for a saga's first frame.
        """
        if self.dead:
            return
        if self._held_back is not None:
            self._held_back.append((happened, command, key))
            return
        state = self.state
        now = self.engine.clock.now_ms()
        try:
            frame = self._fold_and_decide(happened, now)
        except Exception as error:
            self.dead = True
            self.engine.broke(self, error)
            return
        if frame:
            self._hand_over(now, frame, command, key)
        if self.durable_seq:  # else `durable` does: a saga whose start may yet be refused must write no second frame
            self._rest(now)
        if state.turned_back is not None and self.running:
            self._cut_for_deadline()

    def _fold_and_decide(self, happened: Sequence[Command], now: int) -> list[Event]:
        """The whole frame: what happened, and all that the kernel decides on it."""
        state = self.state
        draining = self.leaving or self.engine.draining
        state.at = now
        if len(happened) == 1 and not draining:
            event = happened[0]
            kind = type(event)
            if kind is ev.ActionSucceeded:
                straight = go_on(state, event, now)  # type: ignore[arg-type]
                if straight is not None:
                    return straight
            elif kind is ev.Started:
                straight = begin(state, event, now)  # type: ignore[arg-type]
                if straight is not None:
                    return straight
        frame: list[Event] = []
        commands = happened
        while True:
            for command in commands:
                event = self._answered(command, now) if isinstance(command, Evaluate) else command
                fold(state, event)
                frame.append(event)
            if draining or (frame and not state.agenda and has_nothing_to_decide(state)):
                return frame
            commands = decide(state.graph, state, now)
            if not commands:
                return frame

    def _answered(self, question: Evaluate, now: int) -> Event:
        return evaluate(self.saga, self.state, question.node, self.engine.resources, now)

    def _hand_over(self, now: int, frame: list[Event], command: int, key: KeyRow | None) -> None:
        state, committer = self.state, self.engine.committer
        state.seq += 1
        batch = committer.append(self, self.saga_id, state.seq, now, frame)
        if state.seq == 1:
            committer.open(batch, self.saga_id, key)
        if command:
            committer.answer_with_frame(command, "")
        if self.cancels:
            self._answer_cancels(frame)
        if state.finished:
            batch.closed.append(self.saga_id)
            batch.due.pop(self.saga_id, None)
        elif self._due_on_disk and not self._resting(now):
            self._due_on_disk = batch.due[self.saga_id] = 0

    def _answer_cancels(self, frame: list[Event]) -> None:
        """Those that waited for the pivot, in the very frame that decides them: a crash leaves both or neither."""
        decided = next((event for event in frame if isinstance(event, (ev.TurnedBack, ev.CancelRefused))), None)
        if decided is not None:
            error = "" if isinstance(decided, ev.TurnedBack) else encode_error(no_way_back(self.state))
            for command in self.cancels:
                self.engine.committer.answer_with_frame(command, error)
            self.cancels = ()

    def _cut_for_deadline(self) -> None:
        """Only the deadline cuts running actions when a saga turns back."""
        turned_back = self.state.turned_back
        if turned_back is not None and turned_back.cause == "deadline":
            for call in list(self.running.values()):
                if call.op == ACTION and not self.state.nodes[call.node].follow_up:
                    call.give_up("deadline")

    def durable(self, at: int, events: list[Event]) -> None:
        """These events have landed: make the calls they announce, tell those who wait."""
        self.durable_seq += 1
        engine = self.engine
        if len(events) == 2 and type(events[1]) is ev.ActionStarted and type(events[0]) is ev.ActionSucceeded:
            self._call(ACTION, events[1].node)  # nine of ten frames
        else:
            self._announce(events)
        if self.written:
            self._tell_written()
        if engine.bus.active:
            engine.publish(self, at, events)
        state = self.state
        if self.durable_seq == 1:
            self._rest(state.at)
        if state.finished:
            if self.durable_seq == state.seq:
                engine.forget(self)
        elif self._due_on_disk > 0:
            engine.let_go_when_still(self)

    def _announce(self, events: list[Event]) -> None:
        """Make the calls that these events announce; tell who waits for news."""
        news = False
        for event in events:
            kind = type(event)
            op = _LAUNCH.get(kind)
            if op is not None:
                undo = op is POLL and event.undo  # type: ignore[attr-defined]
                self._call(COMPENSATION_POLL if undo else op, event.node)  # type: ignore[attr-defined]
            elif kind in _NEWS:
                news = True
                if kind in _ENDS:
                    self.outcome_known = True
        if news and self.news:
            if self.written:
                self._tell_written()
            self._tell_news()

    def _call(self, op: Op, node: int) -> None:
        call = self.running[node] = Call(self, op, node)
        self.engine.executor.submit(call)

    def refused(self, holder: str) -> None:
        """The saga was never started: the saga `holder` has its start key."""
        self.dead = True
        self.holder = holder
        self.engine.forget(self)
        for _, future in self.written:
            if not future.done():
                future.set_result(None)
        self.written = ()

    # --- while an atomic call writes a frame by itself -----------------------------------------------

    @property
    def holds_still(self) -> bool:
        """Whether an atomic call of it is in the store's transaction."""
        return self._held_back is not None

    def hold_still(self) -> None:
        """Hand no frame over until `go_on`: an atomic call writes the one that comes next by itself."""
        self._held_back = []

    def wrote_itself(self, at: int, events: list[Event]) -> None:
        """An atomic call's frame has landed: fold it, and go on."""
        if self.dead:
            return
        self.state.at = at
        self.state.seq += 1
        try:
            for event in events:
                fold(self.state, event)
        except Exception as error:
            self.dead = True
            self.engine.broke(self, error)
            return
        self.durable(at, events)
        self.go_on([])

    def go_on(self, happened: list[Event]) -> None:
        """What happened at last, as a turn; then those that were held back."""
        held_back, self._held_back = self._held_back or [], None
        self.turn(happened)
        for waited, command, key in held_back:
            self.turn(waited, command=command, key=key)
        moving, self._moving = self._moving, ()
        for future in moving:
            if not future.done():
                future.set_result(None)

    async def moves(self) -> None:
        """Wait while it holds still: what is decided on its state must be folded into that very state.

        Raises:
            StoreError: it will not move any more.
        """
        while self._held_back is not None and not self.dead:
            future: asyncio.Future[None] = self.engine.loop.create_future()
            self._moving = [*self._moving, future]
            await future
        if self.dead:
            raise self.engine.answer()

    # --- who waits ---------------------------------------------------------------------------------

    def landed(self) -> asyncio.Future[None]:
        """Done when every frame handed over so far is durable, or refused (`holder`)."""
        future: asyncio.Future[None] = self.engine.loop.create_future()
        if self.durable_seq >= self.state.seq:
            future.set_result(None)
        elif self.dead:
            future.set_exception(self.engine.answer())
        else:
            self.written = [*self.written, (self.state.seq, future)]
        return future

    def next_news(self) -> asyncio.Future[None]:
        """Done when an end, a parking or the fate of a cancel has landed."""
        future: asyncio.Future[None] = self.engine.loop.create_future()
        self.news = [*self.news, future]
        return future

    def _tell_written(self) -> None:
        seq, waiting = self.durable_seq, self.written
        if waiting[-1][0] <= seq:
            self.written = ()
        else:
            self.written = [pair for pair in waiting if pair[0] > seq]
            waiting = [pair for pair in waiting if pair[0] <= seq]
        for _, future in waiting:
            if not future.done():
                future.set_result(None)

    def _tell_news(self) -> None:
        waiting, self.news = self.news, ()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def abandon(self, error: Exception) -> None:
        """The engine is at its end: nothing of this actor will land any more."""
        self.dead = True
        self.disarm()
        for _, future in self.written:
            if not future.done():
                future.set_exception(error)
        self.written = ()
        self._tell_news()
        self.go_on([])
        for call in list(self.running.values()):
            call.give_up("lease")

    # --- rest ---------------------------------------------------------------------------------------

    def _resting(self, now: int) -> bool:
        state = self.state
        if self.running or self.stragglers or (state.agenda and not state.paused):
            return False
        others = state.active - len(state.agenda)
        if others and others > sum(state.slot(index).status in BACKING_OFF for index in state.due):
            return False  # a call's intent is on its way
        due = next_due(state)
        return not due or due > now + self.engine.horizon_ms

    def _rest(self, now: int) -> None:
        """Arm the next due time; leave memory when nothing is near."""
        state = self.state
        if not (state.due or state.deadline or state.paused or self._timer is not None or not state.active):
            return
        due = next_due(state)
        if due != self._armed:
            self.disarm()
            self._armed = due
            if due:  # one beyond the horizon is looked at again there, in case something keeps us in memory
                self._arm(min(due, now + self.engine.horizon_ms), now)
        if not (state.finished or self.leaving or self.engine.draining) and self._resting(now):
            self._leave(due or ASLEEP)

    def _arm(self, due: int, now: int) -> None:
        engine = self.engine
        self._timer = engine.timers.at(engine.loop.time() + max(0, due - now) / 1000, self._on_due)

    def disarm(self) -> None:
        """Forget the due time: it is on disk, or it is over."""
        self._armed = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_due(self) -> None:
        self._timer = None
        self.engine.loop.call_soon(self._after_hops, _HOPS)

    def _after_hops(self, hops: int) -> None:
        """Results in hand are folded before a deadline of the same moment: let them come first."""
        if self.dead or self.engine.actors.get(self.saga_id) is not self:
            return  # it left memory on the way: whoever is taken up next has its due time from disk
        if hops and self.running:
            self.engine.loop.call_soon(self._after_hops, hops - 1)
            return
        self._armed = 0
        self.turn([])

    def _leave(self, due: int) -> None:
        """Only the near future is in memory: note the due time on disk, and go once that is durable."""
        if self._due_on_disk != due:
            self._due_on_disk = due
            self.engine.note_due(self, due)
        self.engine.let_go_when_still(self)

    def still(self) -> bool:
        """Whether the engine may let go of it: all landed, nobody waits, nothing near."""
        return (
            self.durable_seq == self.state.seq
            and not (self.visitors or self.cancels or self.written or self.running or self.stragglers)
            and all(future.done() for future in self.news)
            and self._resting(self.engine.clock.now_ms())
        )

    def begun(self) -> bool:
        """Whether a call of it runs; one that is announced and waits for its turn has not begun."""
        return any(call.task is not None or call.body is not None for call in self.running.values())

    # --- calls ---------------------------------------------------------------------------------------

    def make(self, call: Call) -> Awaitable[None] | None:
        """Make one call and fold its answer; the executor's worker awaits what is left of it."""
        return calling.make(self, call)

    def gave_up(self, call: Call) -> None:
        """A call is given up: answer for it now; until it has really ended it is a straggler."""
        self.running.pop(call.node, None)
        call.ended = self.engine.loop.create_future()
        # One that was given up while it waited for an earlier one has not begun: the earlier one is still to wait for.
        self.stragglers = {call.node: call, **self.stragglers}  # the first of a node stays
        event = calling.given_up(self, call)
        if event is not None:
            self.turn([event])
