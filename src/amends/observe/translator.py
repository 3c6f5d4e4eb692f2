"""From frames to notices: attempts are counted and durations measured here, for those who listen.

Rules of this file:
  * it is told of committed frames only, each saga's in the order of their seq.
  * what it keeps of a saga lives while the saga is awake: the runtime calls `forget` when it lets
    the saga go, and `recall` with the journal when it takes it up again.
  * it makes no decision; a number that it cannot know is left out and never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ..core.events import Event, Frame, Started
from .bus import Notice
from .vocabulary import ROWS, Row


class _Calls:
    """The attempts of one lane of one node."""

    __slots__ = ("at", "count", "error", "first_at")

    def __init__(self) -> None:
        self.count = 0
        self.first_at = 0
        self.at = 0
        self.error = ""


class _Saga:
    """What is remembered of one saga."""

    __slots__ = ("calls", "started")

    def __init__(self) -> None:
        self.started = 0
        self.calls: dict[tuple[str, int], _Calls] = {}


class Translator:
    """Turns durable frames into notices. One belongs to each orchestrator."""

    def __init__(self) -> None:
        self._sagas: dict[str, _Saga] = {}

    def translate(
        self,
        saga_id: str,
        name: str,
        version: int,
        correlation: Mapping[str, str],
        path_of: Callable[[int], str],
        frame: Frame,
    ) -> Iterator[Notice]:
        """The notices of one frame, in the order of its events.

        Exhaust the iterator: the memory of a frame is complete only then.

        Parameters:
            saga_id: the saga.
            name: its definition's name.
            version: its definition's version.
            correlation: the saga's.
            path_of: gives the path of a slot.
            frame: the frame, after it was committed.
        """
        saga = self._sagas.get(saga_id)
        if saga is None:
            saga = self._sagas[saga_id] = _Saga()
        for event in frame.events:
            calls = _remember(saga, event, frame.at)
            node = getattr(event, "node", -1)
            for row in ROWS[type(event)]:
                if row.only is not None and getattr(event, row.only[0]) is not row.only[1]:
                    continue
                yield Notice(
                    event=row.event,
                    at=frame.at,
                    saga_id=saga_id,
                    name=name,
                    version=version,
                    step=path_of(node) if node >= 0 else "",
                    attempt=calls.count if calls is not None else 0,
                    duration=_duration(row, saga, calls, frame.at),
                    error=_error(event) or ("" if calls is None or row.of == "attempt" or row.begins else calls.error),
                    correlation=correlation,
                    details=_details(row, event, path_of),
                )

    def recall(self, saga_id: str, frames: Iterable[Frame]) -> None:
        """Learn a saga's past without a word, so that attempts go on counting after a recovery."""
        saga = self._sagas[saga_id] = _Saga()
        for frame in frames:
            for event in frame.events:
                _remember(saga, event, frame.at)

    def forget(self, saga_id: str) -> None:
        """Let go of a saga that ended, or sleeps; an unknown one is none of its business."""
        self._sagas.pop(saga_id, None)

    def __len__(self) -> int:
        """How many sagas it remembers."""
        return len(self._sagas)


def _remember(saga: _Saga, event: Event, at: int) -> _Calls | None:
    """Take an event in; the attempts of the lane it belongs to."""
    if type(event) is Started:
        saga.started = at
        return None
    row = ROWS[type(event)][0]
    if not row.lane:
        return None
    place = (row.lane, event.node)  # type: ignore[attr-defined]  # every event with a lane has a node
    calls = saga.calls.get(place)
    if calls is None:
        calls = saga.calls[place] = _Calls()
    if row.begins:
        calls.count += 1
        calls.at = at
        calls.first_at = calls.first_at or at
    elif row.of == "attempt":
        calls.error = _error(event)
    return calls


def _duration(row: Row, saga: _Saga, calls: _Calls | None, at: int) -> float | None:
    since = 0
    if row.of == "saga":
        since = saga.started
    elif calls is not None and row.of:
        since = calls.at if row.of == "attempt" else calls.first_at
    return (at - since) / 1_000 if since else None


def _error(event: Event) -> str:
    return getattr(event, "error", "") or getattr(event, "message", "")


def _details(row: Row, event: Event, path_of: Callable[[int], str]) -> dict[str, Any]:
    details = {**row.fixed, **{name: getattr(event, name) for name in row.details}}
    if "stays" in details:
        details["stays"] = [path_of(node) for node in details["stays"]]
    if "step" in details:
        details["step"] = path_of(details["step"])
    return details
