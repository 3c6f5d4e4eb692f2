"""The event bus, and the catalogue of what is said on it.

    subscription = orchestrator.subscribe(print, "saga.*", "step.parked")
    ...
    subscription.close()

A notice speaks of what is already durable: those about sagas are made from committed frames. Every
notice has `event`, `at` (milliseconds since the epoch) and, where it is about a saga, `saga_id`,
`name`, `version` and `correlation`. `step` is a path, `attempt` counts from 1, `error` is one text.
`duration` is in seconds, and None where the beginning is not known.

    event                      duration of    further fields; `details` in brackets
    -------------------------  -------------  --------------------------------------------------------
    saga.started                              [key]
    saga.began                 time queued    an orchestrator took it up
    saga.turned_back           the saga       step, error [cause]
    saga.deadline_passed       the saga
    saga.requires_manual       the saga       something is parked and nothing else moves
    saga.reactivated           the saga       it moves again
    saga.held                  the saga       error [reason]: `version` or `poison`
    saga.released              the saga       the hold's reason is gone
    saga.paused                the saga       [reason, actor]
    saga.resumed               the saga       [reason, actor]
    saga.ended                 the saga       [status]: completed, compensated or closed
    saga.followups_ended       the saga       the steps after the end are done
    saga.followup_failed       the saga       a step after the end is exhausted
    saga.anomaly                              step, error [after_undo]: a late answer nothing can use
    signal.received                           [name, id]
    operator.verb                             step [verb, reason, actor, outcome, undo, refused]
    step.started                              step, attempt: the intent, before the call
    step.attempt_failed        the attempt    step, attempt, error [outcome, cause, conclusive]
    step.accepted                             step, attempt: taken, not done [due, until]
    step.abandoned                            step [op]: a given-up call still runs; none waits for it
    step.retrying                             step, attempt, error [due, delay_ms]
    step.succeeded             the attempt    step, attempt [late]
    step.rejected              all attempts   step, attempt, error: settled, proven without effect
    step.failed                all attempts   step, attempt, error: settled, proven without effect
    step.unknown               all attempts   step, attempt, error: settled, it may have taken effect
    step.passed                all attempts   step, attempt, error: best effort, without success
    step.parked                all attempts   step, attempt, error [reason]: a person decides
    step.skipped                              step [reason, actor]: left out for good
    probe.started                             step, attempt
    probe.found                the attempt    step, attempt: it took effect
    probe.not_seen             the attempt    step, attempt: it may still land
    probe.rejected             the attempt    step, attempt, error: it never can take effect
    probe.failed               the attempt    step, attempt, error [cause]
    probe.retrying                            step, attempt, error [due, delay_ms]
    poll.started                              step, attempt [undo]: asks whether it is done
    poll.pending               the poll       step, attempt, error: it is not, or the poll failed [undo, due]
    poll.cut                   the poll       step, attempt [undo, cause]
    compensation.started                      step, attempt
    compensation.succeeded     the attempt    step, attempt
    compensation.refused       the attempt    step, attempt, error: a "no" for good
    compensation.failed        the attempt    step, attempt, error [cause]
    compensation.accepted                     step, attempt: taken, not done [due, until]
    compensation.retrying                     step, attempt, error [due, delay_ms]
    compensation.owed          all attempts   step, attempt, error [reason]: a person decides
    choice.made                               step [branch]
    each.listed                               step [limit]: its items are known
    call.entered                              step: a called saga's nodes begin
    alternative.started                       step [position]: a first_of tries one
    alternative.failed                        step [cause, step]: it is undone before the next is tried
    first_of.failed                           step: what an alternative did is not undone
    wait.started                              step [due]
    wait.satisfied             the wait       step
    wait.timed_out             the wait       step
    sleep.started                             step [due]
    sleep.ended                the sleep      step
    orchestrator.started
    orchestrator.stopped
    lease.acquired                            this orchestrator runs the sagas of its store now
    lease.released                            it gave them back, at its stop
    lease.lost                                it no longer may: another took the lease, or the store failed
    store.failed                              error: nothing more is acknowledged

    AM2060  a subscriber is a coroutine function
    AM2061  a pattern fits no event of the catalogue

Rules of this file:
  * a subscriber is a plain function, called in the engine's own turn: it must return at once, and
    hands slow work to a queue or a thread of its own.
  * one that raises is logged, once per subscription, and harms nobody.
  * without subscribers `Bus.active` is False, and the engine makes no notice at all.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from ..errors import UsageError
from .vocabulary import EVENTS

_log = logging.getLogger(__name__)
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Notice(Struct, frozen=True, kw_only=True):
    """One thing that happened; the catalogue says which fields go with which event."""

    event: str
    at: int
    saga_id: str = ""
    name: str = ""
    version: int = 0
    step: str = ""
    attempt: int = 0
    duration: float | None = None
    error: str = ""
    correlation: Mapping[str, str] = _NOTHING
    details: Mapping[str, Any] = _NOTHING


Subscriber = Callable[[Notice], object]


def _fits(event: str, pattern: str) -> bool:
    return event.startswith(pattern[:-1]) if pattern.endswith("*") else event == pattern


class Subscription:
    """One function's wish to be told; `close` ends it, and may be called twice."""

    __slots__ = ("_bus", "_complained", "events", "function")

    def __init__(self, bus: Bus, function: Subscriber, events: tuple[str, ...]) -> None:
        self._bus = bus
        self._complained = False
        self.function = function
        self.events = events

    def close(self) -> None:
        """From now on the function is not called any more."""
        self._bus._drop(self)  # noqa: SLF001 -- the two classes are one thing

    def wants(self, event: str) -> bool:
        """Whether one of the patterns fits."""
        return not self.events or any(_fits(event, pattern) for pattern in self.events)

    def tell(self, notice: Notice) -> None:
        """Call the function; what it raises is logged the first time and then swallowed."""
        try:
            self.function(notice)
        except Exception:
            if not self._complained:
                self._complained = True
                _log.exception(
                    "a subscriber failed at %s: %r; it is called further, and not reported again",
                    notice.event,
                    self.function,
                )


class Bus:
    """Tells subscribers what happened. One belongs to each orchestrator; nothing is global.

    Attributes:
        active: whether anybody listens. Ask before making a notice.
    """

    def __init__(self) -> None:
        self.active = False
        self._subscriptions: tuple[Subscription, ...] = ()
        self._routes: dict[str, tuple[Subscription, ...]] = {}

    def subscribe(self, function: Subscriber, *events: str) -> Subscription:
        """Call `function` with every notice that one of `events` names.

        Parameters:
            function: a plain function of one notice.
            events: names of the catalogue, or prefixes such as `"step.*"`; none means all.

        Raises:
            UsageError: a coroutine function, or a pattern that fits no event of the catalogue.
        """
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
            raise UsageError(
                f"{function!r} is a coroutine function, and a subscriber is called in the engine's own turn; "
                "subscribe a plain function that puts the notice into a queue",
                code="AM2060",
            )
        for pattern in events:
            if not any(_fits(event, pattern) for event in EVENTS):
                raise UsageError(
                    f"no event is called {pattern!r}; the catalogue is the docstring of amends.observe.bus",
                    code="AM2061",
                )
        subscription = Subscription(self, function, events)
        self._set((*self._subscriptions, subscription))
        return subscription

    def publish(self, notice: Notice) -> None:
        """Tell everybody who wants to know, in the order in which they subscribed."""
        route = self._routes.get(notice.event)
        if route is None:
            route = tuple(each for each in self._subscriptions if each.wants(notice.event))
            self._routes[notice.event] = route
        for subscription in route:
            subscription.tell(notice)

    def _drop(self, subscription: Subscription) -> None:
        self._set(tuple(each for each in self._subscriptions if each is not subscription))

    def _set(self, subscriptions: tuple[Subscription, ...]) -> None:
        # Tuples are replaced, never changed: a subscriber may close itself while it is being told.
        self._subscriptions = subscriptions
        self._routes = {}
        self.active = bool(subscriptions)
