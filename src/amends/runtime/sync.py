"""The orchestrator for code that does not await: Django, Flask, scripts.

    orchestrator = SyncOrchestrator("sqlite:///orders.db", sagas=[place_order])     # opens nothing yet
    saga = orchestrator.start(place_order, order, key=order.order_id)
    receipt = saga.result(timeout=10)

It has an event loop of its own in a daemon thread, and an `Orchestrator` there. Each verb is that one's
verb, handed over and waited for; a test compares the two classes.

Rules of this file:
  * **Opened when first used,** so that it can be made where a module is imported, and also before a server
    forks. One that was open at the fork serves the parent only: its thread and its connections are there.
  * **Any thread may call,** several at a time; but none that an answer would have to wait for: not one
    in which an event loop runs, and not an atomic step.
  * An interrupt or a timeout ends the waiting, and never the saga.
  * It is closed by `close`, by leaving its `with`, or when the process ends.

Codes:
    AM2090  called in a thread in which an event loop runs
    AM2091  called by an atomic step
    AM2092  used in a process that was forked off while it was open
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import logging
import os
import threading
import weakref
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from ..core.definition import Saga
from ..core.sealing import Sealing
from ..core.transitions import SagaStatus
from ..errors import StoreError, UsageError
from ..observe.bus import Bus, Notice, Subscription
from ..policies.durations import Duration, milliseconds
from ..stores.base import Store
from .atomic import in_atomic_step
from .clock import Clock
from .executor import in_call_of
from .handle import Handle
from .loop_thread import LoopEnded, LoopThread, LoopToAsk
from .orchestrator import Orchestrator

In = TypeVar("In")
Out = TypeVar("Out")
P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger("amends")
_END: Any = object()
_ALL: weakref.WeakSet[SyncOrchestrator] = weakref.WeakSet()
_OPEN: set[SyncOrchestrator] = set()  # kept until they are closed, also when nobody else keeps them


def _blocking(
    verb: Callable[Concatenate[Orchestrator, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[SyncOrchestrator, P], T]:
    """The verb of the same name that waits for the answer."""

    def wait(self: SyncOrchestrator, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._wait(lambda orchestrator: verb(orchestrator, *args, **kwargs))

    functools.update_wrapper(wait, verb)
    return wait


def _iterating(
    verb: Callable[Concatenate[Orchestrator, P], AsyncIterable[T]],
) -> Callable[Concatenate[SyncOrchestrator, P], Iterator[T]]:
    """The verb of the same name that gives a plain iterator."""

    def iterate(self: SyncOrchestrator, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        async def begin(orchestrator: Orchestrator) -> AsyncIterator[T]:
            return aiter(verb(orchestrator, *args, **kwargs))

        async def following(items: AsyncIterator[T]) -> Any:
            return await anext(items, _END)

        items = self._wait(begin)
        while (item := self._wait(lambda _: following(items))) is not _END:
            yield item

    functools.update_wrapper(iterate, verb)
    return iterate


class SyncOrchestrator:
    """Runs sagas on a store, durably; for code that does not await.

    Parameters:
        store, sagas, resources, worker, encryption, clock, settings: as `Orchestrator` takes them.

    Raises:
        DefinitionError, UsageError: as `Orchestrator` does.
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
        # Its mistakes are told here, and not at the first request.
        self._inner = Orchestrator(
            store, sagas=sagas, resources=resources, worker=worker, encryption=encryption, clock=clock, **settings
        )
        self._loop: LoopToAsk | None = None
        self._opening = threading.Lock()
        self._closed = False
        self._forked = False
        _ALL.add(self)

    # --- life ------------------------------------------------------------------------------------------

    def open(self) -> Self:
        """Open it now, and not at the first use; does nothing twice.

        Raises:
            StoreError, Conflict: as entering an `Orchestrator` does.
        """
        self._running()
        return self

    def __enter__(self) -> Self:
        """Open it."""
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Let running calls end within `grace`, hand the rest over, and end the thread. May be called twice."""
        _check_caller()
        with self._opening:
            self._closed = True
            _OPEN.discard(self)
            loop, self._loop = self._loop, None
            if loop is not None:
                try:
                    loop.ask(self._inner.close)
                finally:
                    loop.stop()

    def _running(self) -> LoopToAsk:
        """The thread with the loop, with an open orchestrator in it."""
        _check_caller()
        loop = self._loop
        if loop is not None:
            return loop
        self._check_fork()
        with self._opening:
            if self._loop is None and not self._closed:
                loop = self._begin_loop()
                try:
                    loop.ask(self._inner.__aenter__)
                except BaseException:
                    loop.stop()
                    raise
                self._loop = loop
                _OPEN.add(self)
            if self._loop is None:
                raise _closed()
            return self._loop

    def _begin_loop(self) -> LoopToAsk:
        return LoopThread("amends-loop")

    def _check_fork(self) -> None:
        if self._forked:
            raise UsageError(
                "this process was forked off one that had this orchestrator open: its thread and its connections are "
                "in the parent. Open it behind the fork only (in gunicorn's post_fork, say), or close it before",
                code="AM2092",
            )

    def _after_fork(self) -> None:
        """In the child: the thread is not there, and the parent's connections must not be touched."""
        self._forked = self._loop is not None or self._forked
        self._loop = None
        _OPEN.discard(self)
        self._opening = threading.Lock()  # a thread of the parent may have held the other one

    def _wait(self, ask: Callable[[Orchestrator], Awaitable[T]], timeout: float | None = None) -> T:
        """What the orchestrator in the other thread answers.

        Raises:
            TimeoutError: no answer within `timeout` seconds.
        """
        try:
            return self._running().ask(lambda: ask(self._inner), timeout)
        except LoopEnded as error:
            raise _closed() from error  # in the middle of it

    # --- starting --------------------------------------------------------------------------------------

    @overload
    def start(
        self, saga: Saga[In, Out], input: In, *, key: str | None = None,
        correlation: Mapping[str, str] | None = None, transaction: object = None,
    ) -> SyncHandle[Out]: ...  # fmt: skip
    @overload
    def start(
        self, saga: str, input: Any = None, *, key: str | None = None,
        correlation: Mapping[str, str] | None = None, transaction: object = None,
    ) -> SyncHandle[Any]: ...  # fmt: skip
    def start(
        self, saga: Saga[Any, Any] | str, input: Any = None, *, key: str | None = None,
        correlation: Mapping[str, str] | None = None, transaction: object = None,
    ) -> SyncHandle[Any]:  # fmt: skip
        """Start a saga, as `Orchestrator.start` does; returns when that is durable.

        With `transaction`, it is written on that connection in the calling thread, and nothing is opened:
        opening writes to the file too, and would wait for that very transaction. `look`, behind the
        commit, opens.
        """
        if transaction is not None:
            self._check_fork()
            if self._closed:
                raise _closed()
            # By itself, and not through the loop: the connection belongs to this thread.
            saga_id = self._inner._join_here(saga, input, key, correlation, transaction)  # noqa: SLF001
            return SyncHandle(self, self._inner.handle(saga_id))
        step_of = in_call_of.get()

        async def begin(orchestrator: Orchestrator) -> Handle[Any]:
            in_call_of.set(step_of)
            return await orchestrator.start(saga, input, key=key, correlation=correlation)

        return SyncHandle(self, self._wait(begin))

    def look(self) -> None:
        """Take up at once what was committed beside this orchestrator; otherwise that waits for its next `poll`."""
        self._running().call(self._inner.look)

    def handle(self, saga_id: str) -> SyncHandle[Any]:
        """A handle for a saga's id; nothing is asked of the store yet."""
        return SyncHandle(self, self._inner.handle(saga_id))

    # --- looking and acting: as `Orchestrator` does ----------------------------------------------------

    get = _blocking(Orchestrator.get)
    history = _blocking(Orchestrator.history)
    why = _blocking(Orchestrator.why)
    follow = _iterating(Orchestrator.follow)
    tail = _iterating(Orchestrator.tail)
    export = _blocking(Orchestrator.export)
    list = _iterating(Orchestrator.list)
    count = _blocking(Orchestrator.count)
    count_by = _blocking(Orchestrator.count_by)
    top = _blocking(Orchestrator.top)
    signal = _blocking(Orchestrator.signal)
    cancel = _blocking(Orchestrator.cancel)
    retry = _blocking(Orchestrator.retry)
    resolve = _blocking(Orchestrator.resolve)
    skip = _blocking(Orchestrator.skip)
    pause = _blocking(Orchestrator.pause)
    resume = _blocking(Orchestrator.resume)
    bulk = _iterating(Orchestrator.bulk)
    prune = _blocking(Orchestrator.prune)
    drain = _blocking(Orchestrator.drain)

    @property
    def bus(self) -> Bus:
        """Who listens."""
        return self._inner.bus

    def subscribe(self, function: Callable[[Notice], None], *events: str) -> Subscription:
        """As `Orchestrator.subscribe`; `function` is called in the orchestrator's thread, and must not wait there."""
        return self._inner.subscribe(function, *events)

    @property
    def leading(self) -> bool:
        """Whether this orchestrator runs the store's sagas now; it opens nothing."""
        return self._loop is not None and self._inner.leading

    @property
    def failed(self) -> StoreError | None:
        """Why nothing is acknowledged any more; None while all is well."""
        return self._inner.failed


class SyncHandle(Generic[Out]):
    """One saga.

    Attributes:
        id: its id.
    """

    __slots__ = ("_handle", "_orchestrator", "id")

    def __init__(self, orchestrator: SyncOrchestrator, handle: Handle[Out]) -> None:
        self._orchestrator = orchestrator
        self._handle = handle
        self.id = handle.id

    def __repr__(self) -> str:
        return f"<saga {self.id}>"

    def result(self, timeout: Duration | None = None) -> Out:
        """Wait for the end, and give the saga's result.

        A timeout, or an interrupt from the keyboard, ends the waiting and never touches the saga.

        Parameters:
            timeout: how long to wait, in seconds or as a text such as `"10s"`; None for as long as it takes.

        Raises:
            TimeoutError: it has not ended by then.
            UsageError: the timeout is no length of time.
            SagaFailed, NotFound: as `Handle.result` does.
        """
        limit_s = None if timeout is None else milliseconds(timeout, what="timeout") / 1_000
        return self._orchestrator._wait(lambda _: self._handle.result(), limit_s)  # noqa: SLF001 -- two names of one thing

    def status(self) -> SagaStatus:
        """Where it stands now. Raises NotFound."""
        return self._orchestrator.get(self.id).status


def _closed() -> UsageError:
    return UsageError("this orchestrator is closed; its sagas live on in the store", code="AM2021")


def _check_caller() -> None:
    """Refuse a thread that the answer would have to wait for."""
    if in_atomic_step.get():
        raise UsageError(
            "an atomic step called a SyncOrchestrator, whose answer waits for the step's own transaction: start a saga "
            "from it with start_in_transaction(connection, ...)",
            code="AM2091",
        )
    if asyncio._get_running_loop() is not None:  # noqa: SLF001 -- the public one raises, and costs ten times as much
        raise UsageError(
            "an event loop runs in this thread, and waiting here would stop it: use Orchestrator, and await it "
            "(or call from another thread, with asyncio.to_thread)",
            code="AM2090",
        )


def _close_all() -> None:
    for orchestrator in list(_OPEN):
        try:
            orchestrator.close()
        except Exception:  # the others are closed all the same
            _log.exception("an orchestrator could not be closed; its lease runs out by itself")


def _forget_all() -> None:
    for orchestrator in list(_ALL):
        orchestrator._after_fork()  # noqa: SLF001 -- the module's own hook


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
