"""Calls of the author's functions: a pool of tasks, bounded and fair, with timeouts that cancel.

Why a pool and not a task per call: a task costs 8 to 15 us, more than all the rest of a step. A
worker task runs one call after another; while calls return without waiting, a single worker clears
the whole queue without going back to the event loop. `asyncio.current_task()` inside a call is the
worker, so `asyncio.timeout`, anyio and cancellation work as everywhere; each call runs in a context
of its own, so context variables never leak from one saga into another.

Rules of this file:
  * fair: of each saga one call stands in the queue; a saga with many calls has one taken per turn.
  * bounded: at most `concurrency` calls run; sync functions run in at most `threads` threads.
  * one heap: a timeout is armed only when a call really waits.
  * a call that is given up (timeout, cut) is answered at once and cancelled. Until it has really
    ended it is a *straggler*: the next call for the same step waits for it, at most one timeout more.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from concurrent.futures import Future as ThreadFuture, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

from ..core.context import Op
from .timers import DeadlineHeap, Timer

if TYPE_CHECKING:
    from .atomic import Body

ACTION: Op = "action"
COMPENSATION: Op = "compensation"
PROBE: Op = "probe"
POLL: Op = "poll"
COMPENSATION_POLL: Op = "compensation_poll"
POLLS = frozenset({POLL, COMPENSATION_POLL})
# The executor whose call this is: a start from inside one must not wait for what waits for that very call.
in_call_of: contextvars.ContextVar[object] = contextvars.ContextVar("in_call_of", default=None)
_STOP_S = 1.0  # how long a cancelled call may take to notice, at the end
_WITHOUT_WAITING_MAX = 128  # calls a worker clears before it lets the loop breathe


class NotBegun(Exception):
    """No thread was free before the call's time was over: it was never made."""


class Caller(Protocol):
    """Who asks for calls and takes their answers: one saga."""

    queued: bool  # whether a call of it stands in the queue
    more: deque[Call]  # its calls behind that one

    def make(self, call: Call) -> Awaitable[None] | None:
        """Make one call and fold its answer; what it must be awaited for, or None when that is done.

        It raises only when its own worker is cancelled.
        """

    def gave_up(self, call: Call) -> None:
        """The call was given up and has not ended yet: answer for it now."""


class Call:
    """One call of an action, compensation, probe or poll: `op` of the node in slot `node`.

    Attributes:
        given_up: why it was given up, "" while it was not.
        until: when its time is over, on the loop's clock.
    """

    __slots__ = ("_timer", "body", "caller", "ended", "given_up", "node", "op", "task", "thread", "until")

    def __init__(self, caller: Caller, op: Op, node: int) -> None:
        self.caller = caller
        self.op = op
        self.node = node
        self.given_up = ""
        self.task: asyncio.Task[None] | None = None
        self.thread: ThreadFuture[Any] | None = None
        self.body: Body | None = None  # of an atomic call, on its way through the writer's transaction
        self.ended: asyncio.Future[None] | None = None
        self.until = 0.0
        self._timer: Timer | None = None

    def arm(self, timers: DeadlineHeap) -> None:
        """Give the call up at `until`."""
        self._timer = timers.at(self.until, self._timeout)

    def disarm(self) -> None:
        """It ended in time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _timeout(self) -> None:
        self._timer = None
        self.give_up("timeout")

    def give_up(self, cause: str) -> None:
        """Answer for it now, and cancel it; does nothing twice.

        One that has not begun is left to the deadline's own check before the call, which can prove
        that it was never made.
        """
        if self.given_up or (self.task is None and cause == "deadline"):
            return
        self.given_up = cause
        self.disarm()
        self.caller.gave_up(self)
        if self.task is not None:
            self.task.cancel()


class Drive:
    """Awaitable that runs a coroutine on in a context of its own.

    Parameters:
        coroutine: it has begun.
        context: where it runs.
        waits_for: what it yielded when it first waited.
    """

    __slots__ = ("_context", "_coroutine", "_waits_for")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], context: contextvars.Context, waits_for: Any) -> None:
        self._coroutine = coroutine
        self._context = context
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, Any]:
        run, send, throw = self._context.run, self._coroutine.send, self._coroutine.throw
        waits_for = self._waits_for
        try:
            while True:
                try:
                    answer = yield waits_for
                except BaseException as error:
                    waits_for = run(throw, error)
                else:
                    waits_for = run(send, answer)
        except StopIteration as stop:
            return stop.value


def _in_context(context: contextvars.Context, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """A sync function's answer. No future holds a StopIteration (one `next()` too many): it would never be answered."""
    try:
        return context.run(function, *args, **kwargs)
    except StopIteration as error:
        raise RuntimeError("the function raised StopIteration") from error


class Executor:
    """The pool of workers and the queue of sagas that have calls to make.

    Parameters:
        loop: the running loop.
        timers: the deadline heap.
        concurrency: calls at a time.
        threads: sync functions at a time.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, timers: DeadlineHeap, concurrency: int, threads: int) -> None:
        self._loop = loop
        self.time = loop.time
        self.timers = timers
        self._concurrency = concurrency
        self._threads_max = threads
        self._threads: ThreadPoolExecutor | None = None
        self._queue: deque[Call] = deque()  # one of each saga
        self._idle: list[asyncio.Future[None]] = []
        self._workers: set[asyncio.Task[None]] = set()
        self._pumping = False
        self._suspended = False
        self._stopped = False
        self.running = 0
        self.begin_until = math.inf  # on the loop's clock: the lease has enough left for a call to begin
        self._when_still: list[asyncio.Future[None]] = []

    def submit(self, call: Call) -> None:
        """Queue a call; it is made as soon as a worker is free."""
        caller = call.caller
        if caller.queued:
            if not caller.more:
                caller.more = deque()
            caller.more.append(call)
        else:
            caller.queued = True
            self._queue.append(call)
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump)

    @property
    def too_late(self) -> bool:
        """Whether the lease's margin is over by our own clock, so that no call may begin."""
        return self._loop.time() > self.begin_until

    def suspend(self) -> None:
        """Begin no call until `go_on`: the lease has no margin left."""
        self._suspended = True

    def go_on(self) -> None:
        """Begin calls again."""
        self._suspended = False
        self._pump_if_queued()

    def _pump_if_queued(self) -> None:
        if self._queue and not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        """Wake one worker; come back while the queue is not empty, for that one may have to wait."""
        self._pumping = False
        if not self._queue or self._suspended or self._stopped:
            return
        while self._idle:
            idle = self._idle.pop()
            if not idle.done():
                idle.set_result(None)
                break
        else:
            if len(self._workers) >= self._concurrency:
                return  # every worker is busy; the first to end takes the next call
            worker = self._loop.create_task(self._work(), name="amends-worker")
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        self._pumping = True
        self._loop.call_soon(self._pump)

    async def _work(self) -> None:
        task = asyncio.current_task(self._loop)
        assert task is not None
        in_call_of.set(self)  # in the worker's own context, of which each call has a copy
        queue, time = self._queue, self.time
        while not self._stopped:
            made = 0
            while queue and not self._suspended and not self._stopped:
                if time() > self.begin_until:
                    self._suspended = True  # we were stopped for so long that the lease may be another's
                    break
                call = queue.popleft()
                caller = call.caller
                if caller.more:
                    queue.append(caller.more.popleft())
                else:
                    caller.queued = False
                call.task = task
                self.running += 1
                try:
                    rest = caller.make(call)
                    if rest is not None:
                        await rest
                finally:
                    self._over(call)
                if task.cancelling():
                    # By us or by the step itself: no trace of that may reach another saga's call, so another
                    # worker takes over from this one.
                    self._workers.discard(task)
                    self._pump_if_queued()
                    return
                made += 1
                if made % _WITHOUT_WAITING_MAX == 0:
                    await asyncio.sleep(0)
            idle = self._loop.create_future()
            self._idle.append(idle)
            await idle

    def _over(self, call: Call) -> None:
        """A call has really ended: give back what it held."""
        self.running -= 1
        call.task = None
        call.disarm()
        if call.ended is not None and not call.ended.done():
            call.ended.set_result(None)
        if self._when_still and not self.running:
            self._tell_still()

    async def in_thread(
        self, call: Call, context: contextvars.Context, function: Callable[..., Any], args: Any, kwargs: Any
    ) -> Any:
        """Run a sync function; when it is given up, go on waiting: only its end makes the thread free.

        Raises:
            NotBegun: no thread was free in time.
            asyncio.CancelledError: it was given up (`call.given_up`).
        """
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._threads_max, thread_name_prefix="amends-step")
        call.thread = self._threads.submit(_in_context, context, function, args, kwargs)
        answer = asyncio.wrap_future(call.thread, loop=self._loop)
        call.arm(self.timers)
        while True:
            try:
                return await asyncio.shield(answer)
            except asyncio.CancelledError:
                if not call.given_up or self._stopped:
                    raise
                if call.thread.cancelled():
                    raise NotBegun from None
                if answer.cancelled():
                    raise

    def still(self) -> asyncio.Future[None]:
        """A future that is done when no call runs."""
        future: asyncio.Future[None] = self._loop.create_future()
        if self.running:
            self._when_still.append(future)
        else:
            future.set_result(None)
        return future

    def _tell_still(self) -> None:
        for future in self._when_still:
            if not future.done():
                future.set_result(None)
        self._when_still.clear()

    async def stop(self) -> None:
        """Cancel every worker. Threads cannot be cancelled: they end by themselves."""
        self._stopped = True
        workers = list(self._workers)
        for worker in workers:
            worker.cancel()
        if workers:  # a step that ignores its cancellation must not keep us from closing
            await asyncio.wait(workers, timeout=_STOP_S)
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
