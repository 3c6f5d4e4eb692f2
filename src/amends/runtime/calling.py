"""From an intent to an outcome: one call of an action, a compensation or a probe.

The table of outcomes (DESIGN section 4) is here. What is not proven is unknown: only `Rejected`, a
type in `rejects=`, `NotSent`, or a call we can prove we never made, are anything else.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

import msgspec

from ..core import calls, events as ev
from ..core.accepted import Accepted, poll_of
from ..core.context import Context, Outcome
from ..core.events import Event
from ..core.seen import Seen
from ..core.state import Slot
from ..core.verbs import late_success
from ..errors import AmendsError, NotSent, PayloadError, Rejected, UsageError
from ..limits import ATOMIC_MS_MAX
from ..policies.durations import human
from . import atomic
from .executor import ACTION, COMPENSATION, COMPENSATION_POLL, POLL, POLLS, PROBE, Call, Drive, NotBegun
from .polling import accepted, pending, polled
from .texts import error_text, unawaited

if TYPE_CHECKING:
    from .actor import Actor

_log = logging.getLogger("amends")


def make(actor: Actor, call: Call) -> Awaitable[None] | None:
    """Make the call and fold its answer.

    Returns:
        None when that is done: a coroutine that returns without waiting costs no task, no future and no timer. Else
        what is to be awaited; it raises only when its own worker is cancelled.
    """
    if actor.dead or call.given_up or actor.leaving:
        return None
    if actor.stragglers:
        return _make_behind(actor, call)
    return _begin(actor, call)


async def _make_behind(actor: Actor, call: Call) -> None:
    """Attempts of one step never overlap: wait for the one that was given up first."""
    try:
        await _wait_for_straggler(actor, call)
    except asyncio.CancelledError:
        if not call.given_up:
            raise
        no_straggler(actor, call)
        return  # given up before it was made; answered for already
    if actor.engine.executor.too_late:
        actor.engine.executor.submit(call)  # the lease's margin went by while we waited: begin it later, or never
        return
    rest = _begin(actor, call)
    if rest is not None:
        await rest


def _begin(actor: Actor, call: Call) -> Awaitable[None] | None:
    state = actor.state
    slot = state.slot(call.node)
    event: Event | None = None
    if call.op == ACTION and (slot.late is not None or state.back or state.deadline or state.leaving):
        event = instead(actor, call)
    prepared = event or _prepare(actor, call, slot)
    if not isinstance(prepared, tuple):
        _answer(actor, call, prepared)
        return None
    function, args, kwargs, timeout = prepared
    if function.connection is not None:
        return atomic.make(actor, call, prepared)
    executor = actor.engine.executor
    context = contextvars.copy_context()
    call.until = executor.time() + timeout
    if not function.is_async:
        return _await(actor, call, executor.in_thread(call, context, function.function, args, kwargs))
    try:
        coroutine = context.run(function.function, *args, **kwargs)
        waits_for = _first_wait(context, coroutine)
    except asyncio.CancelledError as error:
        if actor.engine.stopped:
            raise
        event = failure(actor, call, error)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        event = failure(actor, call, error)
    else:
        if type(waits_for) is not _Returned:
            call.arm(executor.timers)
            return _await(actor, call, Drive(coroutine, context, waits_for))
        event = success(actor, call, waits_for.value)
    _answer(actor, call, event)
    return None


class _Returned:
    """A coroutine returned without waiting."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def _first_wait(context: contextvars.Context, coroutine: Any) -> Any:
    """What a coroutine waits for first, or what it `_Returned`."""
    try:
        return context.run(coroutine.send, None)
    except StopIteration as stop:
        return _Returned(stop.value)


async def _await(actor: Actor, call: Call, answer: Awaitable[Any]) -> None:
    """Wait for a call that did not return at once, and fold its answer."""
    try:
        value = await answer
    except asyncio.CancelledError as error:
        if not call.given_up and actor.engine.stopped:
            raise
        event = failure(actor, call, error)
    except NotBegun as error:
        event = failure(actor, call, NotSent(f"no thread was free for {human(_timeout_ms(actor, call))}"))
        del error
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        event = failure(actor, call, error)
    else:
        event = success(actor, call, value)
    if call.given_up:
        await _late(actor, call, event)
    else:
        _answer(actor, call, event)


def _answer(actor: Actor, call: Call, event: Event) -> None:
    """Fold the outcome, unless the call was given up, and so answered for."""
    if call.given_up:
        no_straggler(actor, call)
    else:
        actor.running.pop(call.node, None)
        actor.turn([event])


async def _late(actor: Actor, call: Call, event: Event) -> None:
    """A call that was given up has ended: only a success still matters."""
    no_straggler(actor, call)
    if actor.dead:
        return
    if call.op != ACTION or not isinstance(event, ev.ActionSucceeded):
        actor.engine.let_go_when_still(actor)
        return
    try:
        # The saga may have left memory since, and come back as another actor.
        async with actor.engine.visit(actor.saga_id) as present:
            await present.moves()
            present.turn(late_success(present.state, call.node, event.result))
    except AmendsError as error:
        _log.warning("a late success of saga %s, step %s is lost: %s", actor.saga_id, call.node, error)


def no_straggler(actor: Actor, call: Call) -> None:
    """A call that was given up is over."""
    if actor.stragglers.get(call.node) is call:
        actor.stragglers = {node: other for node, other in actor.stragglers.items() if other is not call}


def still_runs(actor: Actor, node: int) -> bool:
    """Whether a call of this node that was given up may still take effect; after one more timeout it is abandoned."""
    straggler = actor.stragglers.get(node)
    if straggler is None or straggler.ended is None or straggler.ended.done():
        return False
    return actor.engine.loop.time() < straggler.until + _timeout_ms(actor, straggler) / 1000


# --- before the call ------------------------------------------------------------------------------


def instead(actor: Actor, call: Call) -> Event | None:
    """What is journalled instead of making an action's call, because it must not be made any more."""
    state, index = actor.state, call.node
    if state.slot(index).late is not None:
        return ev.ActionNotSent(index, "a late success of an earlier attempt arrived before this call")
    if not (state.back or state.deadline or state.leaving) or state.nodes[index].follow_up:
        return None
    if state.turned(index):
        return ev.ActionNotSent(index, "the saga turned back before the call")
    if state.deadline and actor.engine.clock.now_ms() >= state.deadline:
        return ev.ActionNotSent(index, "the deadline was spent before the call")
    return None


async def _wait_for_straggler(actor: Actor, call: Call) -> None:
    """Attempts of one step never overlap: wait for the one that was given up, one timeout more."""
    straggler = actor.stragglers.get(call.node)
    if straggler is None or straggler is call:
        return
    assert straggler.ended is not None
    await asyncio.wait([straggler.ended], timeout=_timeout_ms(actor, call) / 1000)
    if not straggler.ended.done():
        no_straggler(actor, straggler)
        actor.turn([ev.AttemptAbandoned(call.node, straggler.op)])


def _timeout_ms(actor: Actor, call: Call) -> int:
    policy = actor.state.policy_of(call.node)
    if call.op in (ACTION, POLL):
        return policy.timeout_ms
    return policy.probe_timeout_ms if call.op == PROBE else policy.compensation_timeout_ms


Prepared = tuple[calls.Call, list[Any], dict[str, Any], float]


def _prepare(actor: Actor, call: Call, slot: Slot) -> Prepared | Event:
    """The function and its arguments, decoded from the journal; poison when they do not decode."""
    state, index, engine, op = actor.state, call.node, actor.engine, call.op
    node = state.nodes[index]
    binding = actor.saga.bindings[node.index]
    own = None
    outcome: Outcome | None = None
    if op is ACTION:
        function, attempt = binding.action, slot.calls
        timeout_ms = state.graph.policies[node.index].timeout_ms
    else:
        timeout_ms = _timeout_ms(actor, call)
        if op in (COMPENSATION, COMPENSATION_POLL):
            function, attempt = binding.compensation, slot.undo_calls
            own = slot.result
            outcome = "unknown" if slot.unknown else "succeeded"
        elif op == PROBE:
            function, attempt = binding.probe, slot.probe_calls
            outcome = "unknown"
        else:
            function, attempt = binding.action, slot.calls
    assert function is not None, "the graph announces only what the definition has"
    resources = engine.resources
    if function.connection is not None:
        timeout_ms = min(timeout_ms, ATOMIC_MS_MAX)
        resources = {**resources, function.connection: atomic.CONNECTION}
    started = state.started
    assert started is not None
    until = engine.clock.now_ms() + timeout_ms
    if op is ACTION and state.deadline and not (state.committed or node.pivot or node.follow_up):
        until = min(until, state.deadline)  # it cuts no pivot, and nothing that comes after one
    path = state.path_of(index) if state.blocks else node.path
    context = Context(
        actor.saga_id, started.name, path, attempt, op, outcome, until,
        actor.correlation, engine.clock.now_ms, _log_of,
    )  # fmt: skip
    try:
        if op in POLLS:
            function = poll_of(function, slot.poll)
        if slot.poll_until:
            context.accepted = msgspec.json.decode(slot.token)
        args, kwargs = function.arguments(Seen(state, index), own, context, resources)
    except Exception as error:
        return _poison(actor, call, error_text(error))
    return function, args, kwargs, timeout_ms / 1000


def _log_of(context: Context) -> logging.LoggerAdapter[logging.Logger]:
    """What `ctx.log` is: a logger of the saga's own name, its lines labelled as those of `LoggingSubscriber`."""
    extra = {
        "saga": context.saga_id,
        "saga_name": context.saga_name,
        "step": context.step,
        "attempt": context.attempt,
        "correlation": dict(context.correlation),
    }
    return logging.LoggerAdapter(logging.getLogger(f"amends.saga.{context.saga_name}"), extra)


def _poison(actor: Actor, call: Call, message: str) -> Event:
    if call.op in POLLS:
        return pending(actor, call, error=message)
    if call.op == ACTION:
        return ev.StepParked(call.node, "poison", message)
    if call.op == COMPENSATION:
        return ev.StepOwed(call.node, "poison", message)
    return ev.ProbeFailed(call.node, message)


# --- after the call ---------------------------------------------------------------------------------


def success(actor: Actor, call: Call, value: Any) -> Event:
    """The event for a call that returned."""
    index = call.node
    if type(value) is Accepted and call.op != PROBE:
        try:
            return accepted(actor, call, value)
        except UsageError as error:  # it was taken, and cannot be asked after: as good as an answer that was lost
            return failure(actor, call, error)
    if call.op == COMPENSATION:
        if value is not None and isinstance(value, Awaitable):  # nothing of it has run
            return failure(actor, call, unawaited(value, _function(actor, call).where))
        return ev.CompensationSucceeded(index)
    if call.op == PROBE:
        return _probed(actor, index, value)
    if call.op in POLLS:
        return polled(actor, call, value)
    try:
        return ev.ActionSucceeded(index, actor.saga.encode_result(actor.state.nodes[index].index, value))
    except PayloadError as error:
        # The effect is there and its result cannot be kept: as good as an answer that was lost.
        wrong = unawaited(value, _function(actor, call).where) if isinstance(value, Awaitable) else error
        return ev.ActionUnknown(index, error_text(wrong))


def _function(actor: Actor, call: Call) -> calls.Call:
    binding = actor.saga.bindings[actor.state.nodes[call.node].index]
    function = binding.action if call.op == ACTION else binding.compensation
    assert function is not None, "it was called"
    return function


def _probed(actor: Actor, index: int, value: Any) -> Event:
    try:
        found = actor.saga.encode_probed(actor.state.nodes[index].index, value)
    except PayloadError as error:
        return ev.ProbeFailed(index, error_text(error))
    return ev.ProbeNotSeen(index) if found is None else ev.ProbeFound(index, found)


def failure(actor: Actor, call: Call, error: BaseException) -> Event:
    """The event for a call that raised."""
    index, text = call.node, error_text(error)
    binding = actor.saga.bindings[actor.state.nodes[index].index]
    if call.op == COMPENSATION_POLL:
        return ev.CompensationRefused(index, text) if isinstance(error, Rejected) else pending(actor, call, error=text)
    if call.op == COMPENSATION:
        return (
            ev.CompensationRefused(index, text) if isinstance(error, Rejected) else ev.CompensationFailed(index, text)
        )
    if call.op == PROBE:
        return ev.ProbeRejected(index, text) if isinstance(error, Rejected) else ev.ProbeFailed(index, text)
    if isinstance(error, Rejected):
        return ev.ActionRejected(index, text, error.conclusive)
    if isinstance(error, binding.rejects):
        return ev.ActionRejected(index, text)
    if call.op == POLL:
        return pending(actor, call, error=text)
    if isinstance(error, NotSent):
        return ev.ActionNotSent(index, text)
    return ev.ActionUnknown(index, text)


def given_up(actor: Actor, call: Call) -> Event | None:
    """The event for a call that is given up; None when nothing may be written any more."""
    index, cause = call.node, call.given_up
    if cause == "lease":
        return None
    polls = call.op in POLLS
    if polls and cause == "shutdown":
        return ev.PollCut(index, actor.engine.clock.now_ms(), call.op == COMPENSATION_POLL, cause)
    if cause == "shutdown":
        cut = {ACTION: ev.ActionCut, COMPENSATION: ev.CompensationCut, PROBE: ev.ProbeCut}[call.op]
        return cut(index, "shutdown")
    limit = human(_timeout_ms(actor, call))
    text = "cut off by the saga's deadline" if cause == "deadline" else f"no answer within {limit}"
    if call.body is not None:
        return failure(actor, call, NotSent(f"{text}, and it had not begun"))
    never_begun = call.thread is not None and call.thread.cancel()
    if never_begun:
        return failure(actor, call, NotSent(f"no thread was free for {limit}"))
    if polls:
        return pending(actor, call, error=text)
    if call.op == ACTION:
        return ev.ActionUnknown(index, text, cause)
    if call.op == COMPENSATION:
        return ev.CompensationFailed(index, text, cause)
    return ev.ProbeFailed(index, text)
