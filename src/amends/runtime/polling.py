"""Answers that say "taken, not done yet", and the polls that ask for the end.

Rules of this file: every answer becomes an event with the time of the next poll in it, so that a poll is
due after a restart as before; a poll that fails is only a poll that has to be made again.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from msgspec import Raw

from ..core import calls, events as ev
from ..core.accepted import Accepted, name_of, poll_of
from ..core.codec import NULL, Codec
from ..core.events import Event
from ..errors import PayloadError
from ..policies.durations import milliseconds
from .executor import ACTION, COMPENSATION_POLL, POLLS, Call
from .texts import error_text, unawaited

if TYPE_CHECKING:
    from .actor import Actor

_tokens = Codec(Any)


def accepted(actor: Actor, call: Call, answer: Accepted) -> Event:
    """Taken, and not done: when and how to ask.

    Raises:
        UsageError, PayloadError: it cannot be asked after.
    """
    index, now = call.node, actor.engine.clock.now_ms()
    every_ms = milliseconds(answer.every)
    what = f'saga "{actor.saga.name}", step "{actor.state.path_of(index)}", its token'
    token = NULL if answer.token is None else _tokens.encode(answer.token, what=what)
    if call.op in POLLS:
        return pending(actor, call, every_ms, token=token)
    poll = "" if answer.poll is None else name_of(_function(actor, call), answer.poll)
    if poll:
        poll_of(_function(actor, call), poll)  # a parameter that fits nothing is told now, and not in a week
    kind = ev.ActionAccepted if call.op == ACTION else ev.CompensationAccepted
    return kind(index, now + every_ms, now + milliseconds(answer.until), every_ms, poll, token)


def polled(actor: Actor, call: Call, value: Any) -> Event:
    """What a poll returned: the result, or that it is not done."""
    index = call.node
    if call.op == COMPENSATION_POLL:
        if isinstance(value, Awaitable):
            return pending(actor, call, error=error_text(unawaited(value, _function(actor, call).where)))
        done = value is not None and value is not False
        return ev.CompensationSucceeded(index) if done else pending(actor, call)
    try:
        found = actor.saga.encode_probed(actor.state.nodes[index].index, value)
    except PayloadError as error:
        return pending(actor, call, error=error_text(error))
    return pending(actor, call) if found is None else ev.ActionSucceeded(index, found)


def pending(actor: Actor, call: Call, every_ms: int = 0, *, error: str = "", token: Raw = NULL) -> Event:
    """It is not done, or could not be asked (`error`): when to ask again."""
    every_ms = every_ms or actor.state.slot(call.node).every_ms
    due = actor.engine.clock.now_ms() + every_ms
    return ev.PollPending(call.node, due, every_ms, call.op == COMPENSATION_POLL, error, token)


def _function(actor: Actor, call: Call) -> calls.Call:
    binding = actor.saga.bindings[actor.state.nodes[call.node].index]
    function = binding.action if call.op == ACTION else binding.compensation
    assert function is not None, "it was called"
    return function
