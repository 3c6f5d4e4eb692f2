"""What the journal's events say of each step and of each first_of, by an observer of its own.

It reads events and the graph, never a `Slot`, so it can disagree with the kernel.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from amends.core import events as ev
from amends.core.graph import Node


class Known(NamedTuple):
    """What is known of a step."""

    intent: bool = False
    success: bool = False
    maybe: bool = False  # some attempt may have taken effect, and nothing has proven otherwise
    taken: bool = False  # it was accepted, and nothing has proven what became of it
    asking: bool = False  # a poll of it runs
    running: bool = False
    late: bool = False  # a late success that waits for the running attempt's end
    undo_begun: bool = False  # and is not over
    undo_over: bool = False  # its undo was acknowledged, parked, resolved or skipped once
    acknowledged: bool = False
    refused: bool = False  # a "no" ended the attempts, and no person asked for another since
    undo_refused: bool = False  # the same of its compensation

    def identity(self) -> Any:
        """What tells two explored situations apart: not what the kernel's own state tells well enough."""
        return True if self.acknowledged else self[:-2]


class Choice(NamedTuple):
    """What is known of a first_of."""

    position: int = -1  # of the alternative tried last
    given_up: bool = False  # that alternative, before another one began

    def identity(self) -> Any:
        """What tells two explored situations apart."""
        return self


Knowledge = tuple[Known | Choice, ...]  # by slot

ENDS_OF_ATTEMPTS = frozenset({
    ev.ActionRejected, ev.ActionNotSent, ev.ActionUnknown, ev.ActionCut, ev.ActionAccepted, ev.ProbeNotSeen,
    ev.ProbeRejected, ev.ProbeFailed, ev.ProbeCut, ev.PollPending, ev.PollCut, ev.StepParked, ev.ActionSucceeded,
    ev.ProbeFound,
})  # fmt: skip


def owes(known: Known) -> bool:
    """Whether it took effect, or may have: turning back past it, it must be undone."""
    return known.success or known.maybe or known.taken


def observed(known: Known, event: Any, *, back: bool, certain: bool) -> Known:
    """What is known of a step after one more event of it.

    `certain` is a step about which nothing can be unknown: it is read-only, or its journal is its effect's (atomic).
    """
    kind = type(event)
    if kind is ev.ActionStarted:
        return known._replace(intent=True, running=True)
    if kind is ev.ProbeStarted:  # it is asked after no more
        return known._replace(running=True, maybe=known.maybe or known.taken, taken=False)
    if getattr(event, "undo", False) and kind is not ev.Resolved:
        return known  # polls of its compensation
    if kind is ev.PollStarted:
        return known._replace(running=True, asking=True)
    if kind is ev.CompensationStarted:
        return known._replace(undo_begun=not known.undo_over)
    resolved = event.outcome if kind is ev.Resolved else ""
    if kind in (ev.ActionSucceeded, ev.ProbeFound) or (resolved == "done" and not event.undo):
        known = known._replace(success=True)
    elif kind is ev.LateSucceeded:
        known = known._replace(success=known.success or not known.running, late=known.running)
    elif kind is ev.ActionAccepted:
        known = known._replace(taken=not certain)
    elif kind in (ev.ActionUnknown, ev.ActionCut):
        known = known._replace(maybe=not certain)
    elif kind is ev.ProbeRejected or resolved == "not_done" or (kind is ev.ActionRejected and event.conclusive):
        over = known.undo_over or (resolved != "" and event.undo)
        known = known._replace(maybe=False, taken=False, undo_over=over)
    elif kind is ev.ActionRejected and known.asking:
        known = known._replace(taken=False)  # of what was accepted it is proof, of another attempt it is none
    elif kind in (ev.ActionRejected, ev.ActionNotSent) and known.taken:
        known = known._replace(maybe=True, taken=False)  # called again, it proves nothing of what was accepted
    elif kind is ev.CompensationRefused:
        known = known._replace(undo_refused=True)
    elif kind is ev.CompensationSucceeded or resolved:
        known = known._replace(undo_over=True, acknowledged=True)
    elif kind is ev.StepOwed or (kind is ev.Skipped and back):
        known = known._replace(undo_over=True)
    if kind is ev.ActionRejected or resolved:
        known = known._replace(refused=not resolved)
    if kind in ENDS_OF_ATTEMPTS:
        known = known._replace(running=False, asking=False, late=False, success=known.success or known.late)
    if known.undo_over and known.undo_begun:
        known = known._replace(undo_begun=False)
    return known._replace(maybe=False, taken=False) if known.success else known


def called_again(known: Known) -> Known:
    """A person had everything called again: what was accepted may have taken effect, and is asked after no more."""
    known = known._replace(refused=False, undo_refused=False)
    return known._replace(maybe=True, taken=False) if known.taken and not known.running else known


def chosen(choice: Choice, event: Any) -> Choice:
    """What is known of a first_of after one more event of it."""
    kind = type(event)
    if kind is ev.AlternativeStarted:
        return Choice(event.position)
    return choice._replace(given_up=True) if kind is ev.AlternativeFailed else choice


def disposable(node: Node) -> bool:
    """Best effort without compensation: its effect may stay."""
    return node.best_effort and not node.compensation
