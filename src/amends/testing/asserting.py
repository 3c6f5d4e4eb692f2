"""What became of a saga, asserted; a failure shows the saga's timeline.

    saga = amends.start(sell_tickets, order)
    assert_compensated(saga)
    assert_undone(saga, "charge_card", "hold_seats")

Rules of this file:
  * Each waits for the saga's outcome, as `SyncHandle.result` does: in virtual time it lets pass what that takes.
  * Nothing is asserted of how the saga came there; the history is for that.
  * The timeline is the one of `amends show`, which takes rich (`amends[cli]`); without it the history is listed.
"""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Any, NoReturn, TypeVar

from ..core.steps import Step
from ..core.transitions import SagaStatus, StepStatus
from ..errors import SagaFailed
from ..runtime.sync import SyncHandle
from ..runtime.views import HistoryEntry, SagaView, stamp, when

Out = TypeVar("Out")
ROOM = 100  # cells of a line: pytest wraps nothing, and terminals are rarely narrower


def assert_completed(saga: SyncHandle[Out]) -> Out:
    """Fail when the saga did not complete; give its result.

    Parameters:
        saga: what `start` gave.

    Raises:
        AssertionError: it did not, or it has not ended.
    """
    __tracebackhide__ = True
    _assert_status(saga, SagaStatus.COMPLETED)
    return saga.result()


def assert_compensated(saga: SyncHandle[Any]) -> None:
    """Fail when the saga did not turn back, or when not everything was made good.

    Parameters:
        saga: what `start` gave.

    Raises:
        AssertionError: it is not compensated, or it has not ended.
    """
    __tracebackhide__ = True
    _assert_status(saga, SagaStatus.COMPENSATED)


def assert_requires_manual(saga: SyncHandle[Any]) -> None:
    """Fail when the saga does not wait for a person.

    Parameters:
        saga: what `start` gave.

    Raises:
        AssertionError: it is not parked.
    """
    __tracebackhide__ = True
    _assert_status(saga, SagaStatus.REQUIRES_MANUAL)


def assert_undone(saga: SyncHandle[Any], *steps: str | Step[..., Any, Any]) -> None:
    """Fail when other steps than these were undone, each with its compensation acknowledged.

    Parameters:
        saga: what `start` gave.
        steps: all that must be undone, in any order, as steps or by their paths; none: nothing may be undone.

    Raises:
        AssertionError: a step too many or too few, or the saga has no outcome yet.
    """
    __tracebackhide__ = True
    view = _ended(saga)
    wanted = {each if isinstance(each, str) else each.name for each in steps}
    unknown = sorted(wanted - {step.path for step in view.steps})
    if unknown:
        raise AssertionError(f"{view.name} has no step {', '.join(unknown)}")
    undone = {step.path for step in view.steps if step.status == StepStatus.COMPENSATED}
    said = [
        f"{_listed(paths)} {what}"
        for paths, what in ((wanted - undone, "not undone"), (undone - wanted, "undone, which was not expected"))
        if paths
    ]
    if said:
        _fail(saga, view, "; ".join(said))


def _assert_status(saga: SyncHandle[Any], status: SagaStatus) -> None:
    __tracebackhide__ = True
    view = _ended(saga)
    if view.status != status:
        _fail(saga, view, f"{view.status}, and not {status}")


def _ended(saga: SyncHandle[Any]) -> SagaView:
    """The saga when it has its outcome. Raises AssertionError."""
    __tracebackhide__ = True
    orchestrator = saga._orchestrator
    try:
        with contextlib.suppress(SagaFailed):
            saga.result()
    except TimeoutError as error:
        _fail(saga, orchestrator.get(saga.id), f"still without an outcome: {error}")
    return orchestrator.get(saga.id)


def _listed(paths: set[str]) -> str:
    return f"{', '.join(sorted(paths))} {'is' if len(paths) == 1 else 'are'}"


def _fail(saga: SyncHandle[Any], view: SagaView, what: str) -> NoReturn:
    __tracebackhide__ = True
    history = saga._orchestrator.history(saga.id)
    now = when(saga._orchestrator._inner._clock.now_ms())
    raise AssertionError(f"{view.name}: {what}\n\n" + "\n".join(drawn(view, history, now)))


def drawn(view: SagaView, history: list[HistoryEntry], now: datetime) -> list[str]:
    """The timeline as lines; without rich, the history."""
    try:
        from ..cli.timeline import draw
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "rich":
            raise
        return [f"{stamp(entry.at)}  {entry.event}  {entry.step}".rstrip() for entry in history]
    return [line.plain.rstrip() for line in draw(view, history, now=now, room=ROOM)]
