"""Sagas whose steps fail as they are told, run by the real orchestrator, and what was undone then."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any

from amends import (
    Conflict,
    Context,
    NotSent,
    Orchestrator,
    Rejected,
    Retry,
    Saga,
    SagaFailed,
    call,
    choose,
    each,
    first_of,
    parallel,
    step,
    wait_for,
    when,
)  # fmt: skip
from amends.lint.failing import Way

FAST = Retry(attempts=2, base="1ms", cap="1ms", jitter="none")


@dataclass
class Order:
    big: bool = False


@dataclass
class Done:
    step: str


@dataclass
class Stage:
    """What fails, by the path of the step, and what was undone: (step, whether its result was given).

    The step that fails waits for those in `first`: the table takes what stands beside it as done. One in `refused`
    is an earlier alternative, and does not.
    """

    fails: dict[str, Way] = field(default_factory=dict)
    first: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    acted: set[str] = field(default_factory=set)
    undone: list[tuple[str, bool]] = field(default_factory=list)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    async def act(self, ctx: Context) -> Done:
        if ctx.step in self.refused:
            raise Rejected("no")
        way = self.fails.get(ctx.step)
        if way is not None and not self.first <= self.acted:
            await self.ready.wait()
        for _ in range(20 if way else 0):  # until what they returned is folded
            await asyncio.sleep(0)
        self.acted.add(ctx.step)
        if self.first <= self.acted:
            self.ready.set()
        if way is Way.REJECTED:
            raise Rejected("no")
        if way is Way.NOT_SENT:
            raise NotSent("no connection")
        if way is Way.UNKNOWN:
            raise RuntimeError("no answer")
        if way is Way.CANCEL:
            self.reached.set()
            await self.cancelled.wait()
        return Done(ctx.step)


def made(name: str, undo: str = "may", **options: Any) -> Any:
    """A step; its compensation `may` take None for its result, `needs` it, or there is `none`."""

    async def action(order: Order, ctx: Context, stage: Stage) -> Done:
        return await stage.act(ctx)

    async def may(order: Order, done: Done | None, ctx: Context, stage: Stage) -> None:
        stage.undone.append((ctx.step, done is not None))

    async def needs(done: Done, ctx: Context, stage: Stage) -> None:
        stage.undone.append((ctx.step, True))

    action.__name__ = name
    found = step(retry=FAST, **options)(action)
    if undo != "none":
        function = may if undo == "may" else needs
        function.__name__ = f"undo_{name}"
        found.compensation(retry=FAST)(function)
    return found


def is_big(order: Order) -> bool:
    return order.big


def two_items(order: Order) -> list[str]:
    return ["one", "two"]


def saga(name: str, *nodes: Any, **options: Any) -> Saga[Order, Any]:
    return Saga(name, *nodes, input=Order, resources=[Stage], **options)


def linear() -> Saga[Order, Any]:
    return saga(
        "linear", made("look", "none", read_only=True), made("hold"), made("note", "none"),
        made("count", best_effort=True), made("charge", "needs"), made("ship"),
    )  # fmt: skip


def careful() -> Saga[Order, Any]:
    return saga("careful", made("hold"), made("wire", on_unknown="park"), made("ship"))


def beside() -> Saga[Order, Any]:
    return saga("beside", made("a"), parallel((made("b"), made("c")), made("d")), made("e"))


def branches() -> Saga[Order, Any]:
    return saga(
        "branches", made("a"), choose(when(is_big, made("b"), wait_for("go", Done, timeout="5ms"))),
        made("p", "none", pivot=True), made("r", "none", retriable=True),
    )  # fmt: skip


def ending() -> Saga[Order, Any]:
    """Tried again until the deadline, which therefore has to be waited for."""
    return saga("ending", made("a"), made("p", "none", pivot=True), made("r", "none", retriable=True), deadline="2s")


def late() -> Saga[Order, Any]:
    return saga("late", made("a"), wait_for("go", Done, timeout="5ms", on_timeout=made("b")), made("c"))


def items() -> Saga[Order, Any]:
    return saga("items", made("a"), each(two_items, made("pick"), made("pack"), limit=1), made("z"))


def many() -> Saga[Order, Any]:
    return saga("many", made("a"), each(two_items, made("pick")), made("z"))


def alternatives() -> Saga[Order, Any]:
    return saga("alternatives", made("a"), first_of((made("b"), made("c")), made("d"), name="pay"), made("z"))


def called() -> Saga[Order, Any]:
    return saga("called", made("a"), call(beside()), made("z"))


SAGAS = (linear, careful, beside, branches, ending, late, items, many, alternatives, called)


async def play(definition: Saga[Order, Any], order: Order, stage: Stage, signals: list[str]) -> str:
    """Run it, and say where it stands when nothing moves any more."""
    fails = stage.fails
    async with Orchestrator("sqlite://", sagas=[definition], resources=[stage]) as orchestrator:
        started = await orchestrator.start(definition, order)
        for name in signals:
            with contextlib.suppress(Conflict):  # it has failed already
                await orchestrator.signal(started.id, name, Done("signal"))
        if Way.CANCEL in fails.values():
            await stage.reached.wait()
            cancel = asyncio.ensure_future(orchestrator.cancel(started.id, reason="why"))
            for _ in range(50):  # the verb of a pivot is answered only when its outcome is known
                await asyncio.sleep(0)
            stage.cancelled.set()
            await asyncio.gather(cancel, return_exceptions=True)
        try:
            await asyncio.wait_for(started.result(), 20)
        except SagaFailed as failed:
            return str(failed.status)
        return "completed"
