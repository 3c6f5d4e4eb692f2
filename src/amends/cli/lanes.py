"""What a history says of each step, as spans in lanes, and the lanes as text.

Each direction has a time axis of its own, for undoing begins when going forward is over: a quick undo after
a day's work is not squeezed into one cell. Within an axis a long stretch in which nothing is called (a
wait, a night's backoff) is folded.

Rules of this file: pure; seconds and cells. An event of a newer release is no span.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from ..runtime.views import HistoryEntry

FORWARD, UNDO = "forward", "undo"
DONE, NO, UNKNOWN, PARKED, GOING = "●", "✗", "?", "!", "▸"
MARKS = MappingProxyType(
    {DONE: "done", NO: "failed", UNKNOWN: "unknown", PARKED: "parked", GOING: "under way"}
)  # fmt: skip
_FILLS = MappingProxyType(
    {(FORWARD, "call"): "━", (FORWARD, "probe"): "≈", (UNDO, "call"): "═", "gap": "·", "wait": "┄",
     (UNDO, "probe"): "≈", "accepted": "╌"}
)  # fmt: skip
_TICKS = MappingProxyType({FORWARD: "┃", UNDO: "║"})
LEGEND = MappingProxyType(
    {
        "━": "call",
        "┃": "next attempt",
        "≈": "probe or poll",
        "·": "backing off",
        "┄": "waiting",
        "╌": "accepted, not done",
        "═": "undo",
        "║": "next attempt",
    }
)

_BEGINS = MappingProxyType(
    {
        "ActionStarted": (FORWARD, "call"),
        "RetryScheduled": (FORWARD, "gap"),
        "ProbeStarted": (FORWARD, "probe"),
        "ProbeRetryScheduled": (FORWARD, "gap"),
        "WaitStarted": (FORWARD, "wait"),
        "SleepStarted": (FORWARD, "wait"),
        "CompensationStarted": (UNDO, "call"),
        "CompensationRetryScheduled": (UNDO, "gap"),
        "ActionAccepted": (FORWARD, "accepted"),
        "CompensationAccepted": (UNDO, "accepted"),
        "PollStarted": (FORWARD, "probe"),
        "PollPending": (FORWARD, "accepted"),
        "PollCut": (FORWARD, "accepted"),
    }
)  # an event -> the lane in which something begins, and what; of a poll for an undo it is the other lane
_ENDS_WITH = MappingProxyType(
    {
        "ActionSucceeded": (FORWARD, DONE),
        "ActionRejected": (FORWARD, NO),
        "ActionNotSent": (FORWARD, NO),
        "ActionUnknown": (FORWARD, UNKNOWN),
        "ActionCut": (FORWARD, UNKNOWN),
        "LateSucceeded": (FORWARD, DONE),
        "ProbeFound": (FORWARD, DONE),
        "ProbeNotSeen": (FORWARD, UNKNOWN),
        "ProbeRejected": (FORWARD, NO),
        "ProbeFailed": (FORWARD, UNKNOWN),
        "ProbeCut": (FORWARD, UNKNOWN),
        "StepParked": (FORWARD, PARKED),
        "WaitSatisfied": (FORWARD, DONE),
        "WaitTimedOut": (FORWARD, NO),
        "SleepEnded": (FORWARD, DONE),
        "CompensationSucceeded": (UNDO, DONE),
        "CompensationRefused": (UNDO, NO),
        "CompensationFailed": (UNDO, NO),
        "CompensationCut": (UNDO, UNKNOWN),
        "StepOwed": (UNDO, PARKED),
    }
)  # an event -> the lane in which something ends there, and its mark

_FOLD = 0.25  # an idle stretch is drawn at most this much of the time in which something was called


# --- what the history says -----------------------------------------------------------------------


@dataclass
class Span:
    """Something that took time. `end` is None while it goes on, `mark` "" when nothing is to be said there."""

    kind: str
    start: float
    end: float | None = None
    mark: str = ""


@dataclass
class Lane:
    """One step's spans in one direction; times in seconds since the saga's start."""

    spans: list[Span] = field(default_factory=list)
    calls: int = 0

    def begin(self, kind: str, at: float) -> None:
        """Something begins, and so whatever went on is over."""
        self.close(at)
        self.spans.append(Span(kind, at))
        self.calls += kind == "call"

    def finish(self, at: float, mark: str) -> None:
        """What goes on ends with a mark; when nothing does, the mark stands alone."""
        if not self.spans or self.spans[-1].end is not None:
            self.spans.append(Span("mark", at))
        self.spans[-1].end, self.spans[-1].mark = at, mark

    def close(self, at: float) -> None:
        """What goes on ends, and there is nothing to say of it."""
        if self.spans and self.spans[-1].end is None:
            self.spans[-1].end = at


def together(lanes: Sequence[Lane]) -> Lane | None:
    """Several lanes as one: from the first beginning to the last end, with the mark that all of them have."""
    if len(lanes) < 2:
        return lanes[0] if lanes else None
    ends = [lane.spans[-1].end for lane in lanes]
    marks = {lane.spans[-1].mark for lane in lanes}
    last = None if None in ends else max(end for end in ends if end is not None)
    return Lane(
        [Span("call", min(lane.spans[0].start for lane in lanes), last, marks.pop() if len(marks) == 1 else "")], 1
    )


Lanes = dict[tuple[str, str], Lane]


def lanes_of(history: Iterable[HistoryEntry], began: datetime) -> Lanes:
    """The lanes of a history, by (path, direction)."""
    lanes: Lanes = {}
    back = False
    for entry in history:
        at = (entry.at - began).total_seconds()
        if entry.event == "TurnedBack":
            back = True
            for lane in lanes.values():
                if lane.spans[-1].kind in ("gap", "wait", "accepted"):
                    lane.close(at)
        if not entry.step:
            continue
        if entry.event in _BEGINS:
            direction, kind = _BEGINS[entry.event]
            direction = UNDO if entry.details.get("undo") else direction
            lanes.setdefault((entry.step, direction), Lane()).begin(kind, at)
        elif (ending := _ending(entry, back=back)) is not None:
            lanes.setdefault((entry.step, ending[0]), Lane()).finish(at, ending[1])
    return lanes


def _ending(entry: HistoryEntry, *, back: bool) -> tuple[str, str] | None:
    if entry.event == "Resolved":
        return (UNDO if entry.details.get("undo") else FORWARD), DONE if entry.details.get("outcome") == "done" else NO
    if entry.event == "Skipped":
        return (UNDO if back else FORWARD), NO
    return _ENDS_WITH.get(entry.event)


# --- time to cells -------------------------------------------------------------------------------


class Axis:
    """The time axis of one direction.

    Parameters:
        lanes: all lanes of that direction.
        cells: how wide it is drawn; 0 for not at all.
        now: where it ends while something goes on.

    Attributes:
        seconds: the time it spans.
        folded: whether an idle stretch is drawn shorter than it was.
    """

    def __init__(self, lanes: Sequence[Lane], cells: int, now: float) -> None:
        spans = [span for lane in lanes for span in lane.spans]
        self.cells = cells
        self.begin = min((span.start for span in spans), default=0.0)
        self.end = max((now if span.end is None else span.end for span in spans), default=self.begin)
        self.seconds = self.end - self.begin
        self.folded = False
        self._points = self._fold(
            sorted((span.start, self.end if span.end is None else span.end) for span in spans if _busy(span))
        )

    def _fold(self, busy: list[tuple[float, float]]) -> list[tuple[float, float]]:
        """Points (time, place) between which the axis is straight."""
        limit = _FOLD * _covered(busy)
        points = [(self.begin, 0.0)]
        for start, end in [*busy, (self.end, self.end)]:
            at, place = points[-1]
            if start > at:
                idle = min(start - at, limit) if limit else start - at
                self.folded = self.folded or idle < start - at
                place += idle
                points.append((start, place))
                at = start
            if end > at:
                points.append((end, place + end - at))
        return points

    def cell(self, at: float) -> int:
        """The cell in which a moment lies."""
        total = self._points[-1][1]
        if total <= 0:
            return 0
        return max(0, min(int(self._place(at) / total * self.cells), self.cells - 1))

    def cells_of(self, span: Span) -> tuple[int, int]:
        """The first and the last cell of a span."""
        return self.cell(span.start), self.cell(self.end if span.end is None else span.end)

    def _place(self, at: float) -> float:
        after = bisect_left(self._points, (at, 0.0), lo=1)
        if after == len(self._points):
            return self._points[-1][1]
        (start, low), (end, high) = self._points[after - 1], self._points[after]
        return low + (high - low) * max(at - start, 0.0) / (end - start)


def _busy(span: Span) -> bool:
    return span.kind in ("call", "probe")


def _covered(intervals: list[tuple[float, float]]) -> float:
    total, until = 0.0, float("-inf")
    for start, end in intervals:
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


def bar(lane: Lane | None, axis: Axis, direction: str) -> str:
    """A lane as text: fills, then the marks of attempts, then ticks, then how it ended."""
    cells = [" "] * axis.cells
    if lane is None or not cells:
        return "".join(cells)
    spans = [(span, *axis.cells_of(span)) for span in lane.spans]
    for span, first, last in spans:
        fill = _FILLS.get((direction, span.kind)) or _FILLS.get(span.kind, " ")
        cells[first : last + 1] = fill * (last + 1 - first)
    for span, _, last in spans:
        if span.mark:
            cells[last] = span.mark
    calls = [first for span, first, _ in spans if span.kind == "call"]
    for first in calls[1:]:
        cells[first] = _TICKS[direction]
    ended, _, last = spans[-1]
    cells[last] = GOING if ended.end is None else ended.mark or cells[last]
    return "".join(cells)
