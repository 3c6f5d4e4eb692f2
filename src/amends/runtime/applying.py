"""Verbs and signals as events of one saga, for whoever asks: this process, the inbox, or a trial run.

Rules of this file:
  * it returns when that is durable, and refuses for what is durable only.
  * what is meant does not change on the way: a command says for which direction of its step it was given.
  * a cancel that waits for its pivot is answered by the frame that decides it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from msgspec import Raw
from msgspec.structs import replace

from ..core import verbs
from ..core.events import Event
from ..core.graph import Kind
from ..core.places import split
from ..core.state import SagaState
from ..errors import AmendsError, Conflict, NotFound, StoreUnavailable, UsageError
from ..policies.durations import human
from . import calling
from .commands import Command
from .views import step_views

if TYPE_CHECKING:
    from .actor import Actor
    from .engine import Engine

_PATHS_SHOWN = 50  # of the paths that an unknown one might have meant


async def apply(
    engine: Engine, saga_id: str, command: Command, command_id: int = 0, noted: asyncio.Event | None = None
) -> bool:
    """Apply a verb or a signal to a saga of this engine; returns when that is durable.

    Parameters:
        noted: set when a cancel that waits for its pivot is durable.

    Returns:
        whether the inbox's row was answered with the frame.

    Raises:
        NotFound, Conflict, UsageError: it was refused; nothing changed.
    """
    async with engine.visit(saga_id) as actor:
        return await _apply_to(actor, command, command_id, noted)


async def apply_within(engine: Engine, saga_id: str, command: Command, patience_s: float) -> bool:
    """Apply a verb or a signal that this process asks for; False when it is asked for, and not yet decided.

    Raises:
        NotFound, Conflict, UsageError: as `apply`. StoreUnavailable: the lease is not ours for certain, or nothing
            was written within the patience.
    """
    noted = asyncio.Event()
    task = asyncio.ensure_future(apply(engine, saga_id, command, noted=noted))
    done, _ = await asyncio.wait([task], timeout=patience_s)
    if not done:
        task.add_done_callback(_forget)
        if noted.is_set():
            return False  # a cancel that waits for its pivot
        raise StoreUnavailable(
            f"the {command.verb} could not be written within {human(round(patience_s * 1000))}; whether it will be is "
            f"unknown: look before you ask again"
        )
    try:
        task.result()
    except Conflict as refused:
        if engine.executor.too_late:  # we were stopped: another may lead, and have moved the saga since
            raise StoreUnavailable("the lease is not ours for certain at the moment; ask again") from refused
        raise
    return True


def _forget(task: asyncio.Future[bool]) -> None:
    if not task.cancelled():
        task.exception()


async def _apply_to(actor: Actor, command: Command, command_id: int, noted: asyncio.Event | None) -> bool:
    engine = actor.engine
    await actor.moves()
    try:
        if command.verb in ("resolve", "skip"):
            _no_call_left(actor, command.step)
        events = events_of(actor.state, actor.saga, command, engine.clock.now_ms())
    except AmendsError:
        await actor.landed()  # what it is refused for: an end that is not durable may yet not have been
        raise
    waits = command.verb == "cancel" and actor.state.pivot >= 0  # a pivot that has begun decides
    answered = bool(command_id) and (bool(events) or (waits and actor.state.cancelling))
    if waits and answered:
        actor.cancels = [*actor.cancels, command_id]
    if events:
        actor.turn(events, command=0 if waits else command_id)
    if waits:
        await actor.landed()
        if noted is not None:
            noted.set()
        while actor.state.cancelling and not actor.dead:
            await actor.next_news()
    await actor.landed()
    if waits and not (answered or actor.state.back or actor.dead):
        raise verbs.no_way_back(actor.state)
    return answered


def _no_call_left(actor: Actor, path: str) -> None:
    """Nobody can say what became of a step whose call was given up and still runs, one timeout more."""
    index = actor.state.find(path)
    if index >= 0 and calling.still_runs(actor, index):
        raise Conflict(
            f"saga {actor.saga_id} is {actor.state.status}: a call of step {path} was given up and has not ended; "
            f"wait for its end; this state allows {verbs.allowed(actor.state)}"
        )


def direction_of(state: SagaState, path: str) -> str:
    """Where the step at a path goes: "back", with the saga or with an alternative of a first_of, or "forward"."""
    index = state.find(path)
    back = state.back if index < 0 else state.turned(index)
    return "back" if back else "forward"


def directed(command: Command, state: SagaState) -> Command:
    """The command as it was meant: "done" speaks of the action going forward, and of the compensation turning back.

    It must not change its meaning because the saga turns back while the command is under way.
    """
    if command.verb not in ("resolve", "skip") or command.direction:
        return command
    return replace(command, direction=direction_of(state, command.step))


def events_of(state: SagaState, saga: Any, command: Command, now: int) -> list[Event]:
    """The events of a verb or signal on this state; without its `saga`, payloads are taken as they are."""
    reason, actor = command.reason, command.actor
    if command.direction and command.direction != direction_of(state, command.step):
        raise Conflict(
            f"saga {state.saga_id} turned back after this {command.verb} was asked for, and {command.verb} means "
            f"something else then; look again: it allows {verbs.allowed(state, now)}"
        )
    match command.verb:
        case "cancel":
            return verbs.cancel(state, reason, actor)
        case "retry":
            return verbs.retry(state, reason, actor, now)
        case "pause":
            return verbs.pause(state, reason, actor)
        case "resume":
            return verbs.resume(state, reason, actor)
        case "signal":
            return verbs.signal(state, command.name, _signal_payload(saga, state, command), command.id)
        case "skip":
            return verbs.skip(state, _index(state, command.step), reason, actor)
        case "resolve":
            index = _index(state, command.step)
            result = command.payload if command.has_payload else None
            if result is not None and saga is not None:
                result = _checked(saga, state.nodes[index].index, result, f"the result given for {command.step}")
            return verbs.resolve(state, index, command.outcome, result, reason, actor)  # type: ignore[arg-type]
    raise UsageError(f"no verb {command.verb!r}", code="AM2012")


def refuse_unknown(state: SagaState, command: Command) -> None:
    """Refuse, before it is queued, a step or signal that the saga's definition does not know.

    Everything else is the holder's to refuse: until it reads the inbox, the saga may stand elsewhere, and an item
    of an `each` may have come to be.

    Raises:
        NotFound: as `apply` would.
    """
    named = command.step or command.name
    if split(named)[0] == named:
        try:
            events_of(state, None, command, state.at)
        except NotFound:
            raise
        except AmendsError:
            return


def _checked(saga: Any, index: int, given: Raw, what: str) -> Raw:
    """What came from outside, as the node's own type stores it."""
    codec = saga.bindings[index].payload
    if codec is None:
        return given  # no step and no wait: the kernel refuses it
    checked: Raw = codec.encode(codec.decode_outside(given, what=what), what=what)
    return checked


def _signal_payload(saga: Any, state: SagaState, command: Command) -> Any:
    """The payload as the wait's own type stores it; an unknown name is the kernel's to refuse."""
    own = state.find(command.name)
    for node in () if saga is None else saga.graph.nodes:
        if node.kind is Kind.WAIT and (node.signal == command.name or (own >= 0 and state.nodes[own] is node)):
            return _checked(saga, node.index, command.payload, f"the payload of signal {command.name!r}")
    return command.payload


def _index(state: SagaState, path: str) -> int:
    index = state.find(path)
    if index < 0:
        known = [view.path for view in step_views(state)]
        paths = ", ".join(known[:_PATHS_SHOWN]) + (", ..." if len(known) > _PATHS_SHOWN else "")
        raise NotFound(f"saga {state.saga_id} has no step {path!r}; it has: {paths}", code="AM3003")
    return index
