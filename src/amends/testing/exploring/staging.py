"""The stage: calls of the author's functions, each going the way that the scenario has for it.

    saga ──staged──▶ the same definition, its functions behind the stage
                           │ call
                           ▼
              fault of this call?  ──no──▶ the function, as it is
                           │ yes
                           ▼
              raise, or run and raise, or die, or run another saga, ...

Rules of this file:
  * **The author's functions run, and nothing in their place.** What is made up is what happens around them.
  * A call is numbered among those of its op and path, over all lives of the process.
  * A function that is run once more gets arguments of its own; doubles are shared, as participants are.
  * What a function raises by itself is kept apart from what it was given to raise.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
import functools
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NoReturn, Protocol

from ...core.calls import Argument, Binding, Call, Source
from ...core.context import Context
from ...core.definition import Saga
from ...errors import NotSent, Rejected
from ..virtual import VirtualLoop
from .network import Network
from .running import THREAD, Point, Running, entered, told
from .scenario import Fault, Scenario
from .ways import ACTION, COMPENSATION, PROBE


class Death(BaseException):
    """The process is dead: what cannot be left standing in the middle of a line is unwound by this."""


_CONTEXT = "amends_context"  # the argument by which the stage learns whose call it is
_HELD_MAX = 60  # calls that fail alike before the world is well again: what is retried for ever goes on then
_SLOW_S = 2.0
_NO_ERRORS = (Rejected, NotSent, asyncio.CancelledError, Death, GeneratorExit, KeyboardInterrupt, SystemExit)
_AGAIN = ("late", "delivered-again")


class World(Protocol):
    """What the stage asks of the world around it."""

    loop: VirtualLoop

    def die(self) -> None:
        """The process that calls is dead from here on."""

    def cancel(self) -> None:
        """Somebody cancels the saga."""

    def past_deadline_s(self) -> float:
        """How long until the saga's deadline has passed."""

    def run_another(self) -> None:
        """Another saga runs on the same doubles, from its start to its end."""

    def called(self, context: Context) -> None:
        """A call begins."""


class Staged:
    """The same definition, its actions, compensations and probes called by way of a stage.

    Attributes:
        saga: the definition.
        stage: the stage of the moment; a definition is made once, and each run has its own stage.
    """

    def __init__(self, saga: Saga[Any, Any]) -> None:
        self.saga = copy.copy(saga)
        self.saga.bindings = tuple(self._bound(binding) for binding in saga.bindings)
        self.stage: Stage | None = None

    def _bound(self, binding: Binding) -> Binding:
        return replace(
            binding,
            action=self._behind(ACTION, binding.action),
            compensation=self._behind(COMPENSATION, binding.compensation),
            probe=self._behind(PROBE, binding.probe),
        )

    def _behind(self, op: str, call: Call | None) -> Call | None:
        if call is None:
            return None
        context = Argument(_CONTEXT, Source.CONTEXT, by_keyword=True)
        if call.connection is not None:

            @functools.wraps(call.function)
            def at_once(*args: Any, **kwargs: Any) -> Any:
                assert self.stage is not None, "a run has a stage"
                return self.stage.perform_now(op, call, kwargs.pop(_CONTEXT), args, kwargs)

            return replace(call, function=at_once, wired=(*call.wired, context))

        @functools.wraps(call.function)
        async def performed(*args: Any, **kwargs: Any) -> Any:
            assert self.stage is not None, "a run has a stage"
            return await self.stage.perform(op, call, kwargs.pop(_CONTEXT), args, kwargs)

        return replace(call, function=performed, is_async=True, wired=(*call.wired, context))


class Stage:
    """Where the functions of one run are called.

    Parameters:
        world: what is around.
        scenario: which calls go which way.
        error: makes what a call raises when its answer is lost.
        network: where functions run that use real sockets; None for in virtual time.

    Attributes:
        points: the calls that were made, in their order.
        came: the faults that came about.
        dies_at: the (op, path) at whose recorded outcome the process dies.
    """

    def __init__(
        self, world: World, scenario: Scenario, error: Callable[[], Exception], network: Network | None = None
    ) -> None:
        self.world = world
        self.points: list[Point] = []
        self.came: list[Fault] = []
        self.dies_at: tuple[str, str] | None = None
        self._faults = {(fault.op, fault.path, fault.call): fault for fault in scenario.faults}
        self._error = error
        self._network = network
        self._counts: Counter[tuple[str, str]] = Counter()
        self._held: dict[tuple[str, str], Callable[[], Exception]] = {}
        self._held_calls = 0
        self._raised: set[int] = set()
        self._errors: list[BaseException] = []  # kept, so that no other one gets the id of one that is gone
        self._later: list[Callable[[], Any]] = []

    # --- a call --------------------------------------------------------------------------------------

    def run_another(self) -> None:
        """Another saga runs, from its start to its end."""
        self.world.run_another()

    def _running(self, point: Point, fault: Fault | None) -> Running:
        return Running(self, point, fault, at_once=self._network is not None)

    def _meets(self, op: str, context: Context) -> tuple[Point, Fault | None]:
        """Note that a call begins, and look up the way it goes."""
        path = context.step
        self._counts[op, path] += 1
        point = Point(op, path, self._counts[op, path], at_ms=int(self.world.loop.time() * 1_000))
        self.points.append(point)
        self.world.called(context)
        fault = self.fault_of(op, path, point.call)
        return point, fault

    def fault_of(self, op: str, path: str, call: int = 1) -> Fault | None:
        """The fault of a call, which comes about now."""
        fault = self._faults.get((op, path, call))
        if fault is not None and not fault.at:
            self.came.append(fault)
        return fault

    async def perform(self, op: str, call: Call, context: Context, args: Any, kwargs: Any) -> Any:
        """Call a function, its call going the way that the scenario has for it."""
        point, fault = self._meets(op, context)
        self._raise_if_held(point)
        running = self._running(point, fault)
        way = fault.way if fault is not None else ""
        again = self._again(op, call, context, args, kwargs) if way in _AGAIN else _nothing
        match way:
            case "refused":
                raise Rejected("refused")
            case "not-sent":
                self._hold(point, lambda: NotSent("never sent"))
            case "lost" | "stuck" | "fails":
                self._hold(point, self.error)
            case "late":
                self._later.append(again)
                self._hold(point, self.error)
            case "not-seen":
                return None
            case "crash-before":
                await self.dies()
            case "cancelled":
                self.world.cancel()
                await asyncio.sleep(0.001)
            case "deadline-before":
                await asyncio.sleep(self.world.past_deadline_s())
            case "slow":
                await asyncio.sleep(min(_SLOW_S, context.remaining() / 2))
            case "other" if fault is not None and not fault.at:
                self.world.run_another()
        value = await self._run(running, call, args, kwargs)
        match way:
            case "unanswered":
                self._hold(point, self.error)
            case "answer-lost":
                raise self.error()
            case "delivered-again":
                self._later.append(again)
            case "crash-after":
                await self.dies()
            case "crash-recorded":
                self.dies_at = (op, context.step)
            case "deadline":
                await asyncio.sleep(self.world.past_deadline_s())
        return value

    def perform_now(self, op: str, call: Call, context: Context, args: Any, kwargs: Any) -> Any:
        """An atomic function: inside the transaction of its own frame, where it leaves all or nothing."""
        point, fault = self._meets(op, context)
        self._raise_if_held(point)
        match fault.way if fault is not None else "":
            case "refused":
                raise Rejected("refused")
            case "not-sent" | "lost" | "stuck" | "late" | "unanswered":
                self._hold(point, self.error)
            case "cancelled":
                self.world.cancel()
            case "crash-before":
                self.dies_now()
            case "other" if fault is not None and not fault.at:
                self.world.run_another()
            case "answer-lost" | "crash-after" | "deadline" | "deadline-before":
                with entered(self._running(point, fault)):
                    call.function(*args, **kwargs)
                if fault is not None and fault.way == "crash-after":
                    self.dies_now()
                raise self.error()
            case "crash-recorded":
                self.dies_at = (op, context.step)
        with self._noting(point), entered(self._running(point, fault)):
            value = call.function(*args, **kwargs)
        point.complete = True
        return value

    async def _run(self, running: Running, call: Call, args: Any, kwargs: Any) -> Any:
        point = running.point
        try:
            with self._noting(point), entered(running):
                function = functools.partial(call.function, *args, **kwargs)
                if not call.is_async:
                    value = await self._in_thread(function)
                elif self._network is None:
                    value = await function()
                else:
                    value = await self._in_thread(functools.partial(self._network.run, function))
        except Death:
            await self.dies()
        point.complete = True
        return value

    async def _in_thread(self, function: Callable[[], Any]) -> Any:
        """Call a plain function in a thread of its own, which keeps nobody waiting who gave it up."""
        loop = self.world.loop
        answer: asyncio.Future[Any] = loop.create_future()
        context = contextvars.copy_context()

        def settle(value: Any, error: BaseException | None) -> None:
            loop.thread_ended()
            if answer.done():
                return
            if error is None:
                answer.set_result(value)
            else:
                answer.set_exception(error)

        def run() -> None:
            try:
                value = context.run(function)
            except StopIteration as error:  # no future holds one
                loop.call_soon_threadsafe(settle, None, RuntimeError(f"the function raised {error!r}"))
            except BaseException as error:
                loop.call_soon_threadsafe(settle, None, error)
            else:
                loop.call_soon_threadsafe(settle, value, None)

        loop.thread_begins()
        threading.Thread(target=run, name=THREAD, daemon=True).start()
        return await answer

    @contextmanager
    def _noting(self, point: Point) -> Iterator[None]:
        """Around a function: what it raises by itself is noted."""
        try:
            yield
        except _NO_ERRORS:
            raise
        except BaseException as error:
            if not self.was_given(error):
                point.own_error = told(error)
            raise

    # --- what goes wrong -------------------------------------------------------------------------------

    def error(self) -> Exception:
        """What a call raises when its answer is lost."""
        error = self._error()
        self._errors.append(error)
        self._raised.add(id(error))
        return error

    def was_given(self, error: BaseException | None) -> bool:
        """Whether an error comes, by way of whatever causes, from one that was made here."""
        seen: set[int] = set()
        while error is not None and id(error) not in seen:
            if id(error) in self._raised:
                return True
            seen.add(id(error))
            error = error.__cause__ or error.__context__
        return False

    def _hold(self, point: Point, error: Callable[[], Exception]) -> NoReturn:
        self._held[point.op, point.path] = error
        raise error()

    def _raise_if_held(self, point: Point) -> None:
        held = self._held.get((point.op, point.path))
        if held is None:
            return
        self._held_calls += 1
        if self._held_calls > _HELD_MAX:
            self.heal()
            return
        point.held = True
        raise held()

    def heal(self) -> None:
        """From here on nothing fails again and again."""
        self._held.clear()

    async def dies(self) -> NoReturn:
        """The process dies here: this coroutine never goes on."""
        self.world.die()
        await asyncio.get_running_loop().create_future()
        raise AssertionError("a dead process went on")

    def dies_now(self) -> NoReturn:
        """The process dies here, where nothing can be awaited."""
        self.world.die()
        raise Death

    # --- what arrives late -------------------------------------------------------------------------------

    def _again(self, op: str, call: Call, context: Context, args: Any, kwargs: Any) -> Callable[[], Any]:
        """The same request once more, with arguments of its own."""
        shared = {each.name for each in call.wired if each.source in (Source.RESOURCE, Source.CONTEXT)}
        by_position = [each.name for each in call.wired if not each.by_keyword]
        own_args = [arg if name in shared else copy.deepcopy(arg) for name, arg in zip(by_position, args, strict=True)]
        own_kwargs = {name: arg if name in shared else copy.deepcopy(arg) for name, arg in kwargs.items()}

        async def deliver() -> None:
            self._counts[op, context.step] += 1
            point = Point(op, context.step, self._counts[op, context.step], again=True)
            self.points.append(point)
            await self._run(self._running(point, None), call, own_args, own_kwargs)

        return deliver

    async def deliver_late(self) -> None:
        """What was held up arrives; what it answers, nobody hears."""
        later, self._later = self._later, []
        for deliver in later:
            try:
                await deliver()
            except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
                raise
            except BaseException:  # noqa: S112 -- a refusal, say: nobody waits for it
                continue


async def _nothing() -> None:
    """What arrives late, of a call of which nothing does."""
