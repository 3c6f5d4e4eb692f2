"""One saga, drawn: a row for each step, with a lane forward and a lane of undoing.

      STEP         STATUS       AT    FORWARD 2.1s                    UNDO 800ms
    ↩ book_flight  compensated  +0ms  ━━━━━━━●             1.0s                 ═════●  400ms
    ↩ book_hotel   compensated  +1.0s         ━━✗···┃━━●   900ms x2      ═══✗═║═●         400ms x2
    ✗ book_car     rejected     +1.9s                  ━━✗  200ms

Each lane has a time axis of its own, for undoing begins when going forward is over: a quick undo after
a day's work is not squeezed into one cell. Within an axis a long stretch in which nothing is called (a
wait, a night's backoff) is folded, and the legend says so.

Rules of this file: pure. A `SagaView`, its history, the time and the room go in, lines come out. It
draws what it is told, also of events and statuses that a newer release wrote. Lines of bars fit into the
room; where there is none for bars, words remain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from rich.cells import cell_len
from rich.text import Text

from ..core.transitions import ENDS, StepStatus
from ..runtime.views import HistoryEntry, SagaView, StepView
from .words import SAGA_ICONS, STEP_ICONS, UNSEEN, clock_time, length, safe, since, style_of, word_of

FORWARD, UNDO = "forward", "undo"
DONE, NO, UNKNOWN, PARKED, GOING = "●", "✗", "?", "!", "▸"
_MARKS = MappingProxyType(
    {DONE: "done", NO: "failed", UNKNOWN: "unknown", PARKED: "parked", GOING: "under way"}
)  # fmt: skip
_MARK_STYLES = MappingProxyType(
    {DONE: "green", NO: "red", UNKNOWN: "bold magenta", PARKED: "bold red", GOING: "cyan"}
)  # fmt: skip
_FILLS = MappingProxyType(
    {(FORWARD, "call"): "━", (FORWARD, "probe"): "≈", (UNDO, "call"): "═", "gap": "·", "wait": "┄"}
)  # fmt: skip
_TICKS = MappingProxyType({FORWARD: "┃", UNDO: "║"})
_LEGEND = MappingProxyType(
    {
        "━": "call",
        "┃": "next attempt",
        "≈": "probe",
        "·": "backing off",
        "┄": "waiting",
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
    }
)  # an event -> the lane in which something begins, and what
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

_NAME_CELLS_MAX = 28
_NAME_CELLS_MIN = 8
_LANE_CELLS_MAX = 44
_LANE_CELLS_MIN = 8
_ROOM = 100  # when nobody says how wide a line may be
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
                if lane.spans[-1].kind in ("gap", "wait"):
                    lane.close(at)
        if not entry.step:
            continue
        if entry.event in _BEGINS:
            direction, kind = _BEGINS[entry.event]
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
        for (start, low), (end, high) in zip(self._points, self._points[1:], strict=False):
            if at <= end:
                return low + (high - low) * max(at - start, 0.0) / (end - start)
        return self._points[-1][1]


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


# --- lines ---------------------------------------------------------------------------------------


def draw(
    view: SagaView, history: Sequence[HistoryEntry], *, now: datetime, room: int | None = None, as_of: str = ""
) -> list[Text]:
    """The heading, the rows and the legend of one saga.

    Parameters:
        now: the time at which it is looked at.
        room: cells of a line; None when nothing limits it.
        as_of: which past moment this is; "" for the present.
    """
    return [*heading(view, now, as_of), Text(), *rows(view, history, now=now, room=room or _ROOM)]


def title(view: SagaView) -> Text:
    """How it stands, and who it is."""
    icon = SAGA_ICONS.get(view.status, UNSEEN)
    line = Text(f"{icon} {word_of(view.status)}", f"bold {style_of(icon)}".strip())
    line.append(f"  {safe(view.name)} v{view.version}  {safe(view.id)}", "default")
    return line


def heading(view: SagaView, now: datetime, as_of: str = "") -> list[Text]:
    """Who it is, how it stands and why."""
    ended = view.ended_at
    ago = since(view.started_at, now)
    took = f"took {length((ended - view.started_at).total_seconds())}" if ended else ago
    deadline = clock_time(view.deadline) if view.deadline else ""
    left = f", {since(view.deadline, now)}" if view.deadline and not ended else ""
    flags = [name for name in ("paused", "anomalous", "followup_failed") if getattr(view, name)]
    facts = {
        "as of": as_of,
        "cause": safe(view.cause),
        "hold": safe(view.hold),
        "flags": ", ".join(word_of(flag) for flag in flags),
        "stays": safe(", ".join(view.stays)),
        "started": f"{clock_time(view.started_at)}, {took}",
        "ended": clock_time(ended) if ended else "",
        "deadline": deadline + left,
        "key": safe(view.key),
        "correlation": "  ".join(f"{safe(name)}={safe(value)}" for name, value in view.correlation.items()),
    }
    return [title(view), *(Text.assemble((f"  {name:<12}", "dim"), said) for name, said in facts.items() if said)]


def rows(view: SagaView, history: Sequence[HistoryEntry], *, now: datetime, room: int) -> list[Text]:
    """The steps with their lanes."""
    lanes = lanes_of(history, view.started_at)
    directions = [FORWARD, UNDO] if any(direction == UNDO for _, direction in lanes) else [FORWARD]
    table = [_words(view, step, lanes, directions) for step in view.steps]
    heads = ["", "STEP", "STATUS", "AT", *[""] * len(directions)]
    widths = [max(cell_len(row[column]) for row in [heads, *table]) for column in range(len(heads))]
    widths[1] = min(widths[1], _NAME_CELLS_MAX)
    free = room - sum(widths) - 2 * (len(widths) - 1) - 2 * len(directions)
    cells = min(free // len(directions), _LANE_CELLS_MAX)
    if cells < _LANE_CELLS_MIN:
        widths[1] = max(_NAME_CELLS_MIN, widths[1] + min(0, free))
        cells = 0
    until = (now - view.started_at).total_seconds()
    axes = {each: Axis([lane for (_, way), lane in lanes.items() if way == each], cells, until) for each in directions}
    lines, drawn = [_head(widths, axes)], ""
    for step, words in zip(view.steps, table, strict=True):
        bars = [bar(lanes.get((step.path, each)), axes[each], each) for each in directions]
        lines += [_row(words, widths, bars), *_errors(step, lanes, room)]
        drawn += "".join(bars)
    return lines + _legend(drawn, axes, room)


def _words(view: SagaView, step: StepView, lanes: Lanes, directions: Sequence[str]) -> list[str]:
    """Icon, name, status, when it began, and how long each direction took."""
    word = word_of(step.status)
    if step.status == StepStatus.PENDING and view.status in ENDS:
        word = "not reached"  # of a saga that has ended, "pending" would promise something
    begins = [lane.spans[0].start for way in (FORWARD, UNDO) if (lane := lanes.get((step.path, way)))]
    began = f"+{length(begins[0])}" if begins else ""
    spent = [_spent(lanes.get((step.path, each))) for each in directions]
    return [STEP_ICONS.get(step.status, UNSEEN), safe(step.path), word, began, *spent]


def _spent(lane: Lane | None) -> str:
    if lane is None:
        return ""
    end = lane.spans[-1].end
    took = length(end - lane.spans[0].start) if end is not None else "…"
    return f"{took} x{lane.calls}" if lane.calls > 1 else took


def _head(widths: Sequence[int], axes: dict[str, Axis]) -> Text:
    pieces = ["", "STEP", "STATUS", "AT"]
    line = "  ".join(f"{piece:<{width}}" for piece, width in zip(pieces, widths, strict=False))
    for (direction, axis), width in zip(axes.items(), widths[4:], strict=True):
        said = f"{direction.upper()} {length(axis.seconds)}"
        line += "  " + f"{said:<{axis.cells + 2 + width if axis.cells else width}}"
    return Text(line.rstrip(), "bold")


def _row(words: Sequence[str], widths: Sequence[int], bars: Sequence[str]) -> Text:
    icon, name, status, at, *spent = words
    style = style_of(icon)
    line = Text()
    line.append(f"{icon:<{widths[0]}}  ", style)
    line.append_text(_fitted(name, widths[1]))
    line.append(f"  {status:<{widths[2]}}", style)
    line.append(f"  {at:<{widths[3]}}", "dim")
    for drawn, took, width in zip(bars, spent, widths[4:], strict=True):
        line.append("  ")
        if drawn:
            for cell in drawn:
                line.append(cell, _MARK_STYLES.get(cell, "dim" if cell in "·┄" else ""))
            line.append("  ")
        line.append(f"{took:<{width}}", "dim")
    line.rstrip()
    return line


def _fitted(said: str, cells: int) -> Text:
    piece = Text(said)
    piece.truncate(cells, overflow="ellipsis", pad=True)
    return piece


def _errors(step: StepView, lanes: Lanes, room: int) -> list[Text]:
    """What went wrong last in each direction, unless it went well in the end."""
    said = []
    for way, error in ((FORWARD, step.error), (UNDO, step.compensation_error)):
        lane = lanes.get((step.path, way))
        if error and not (lane and lane.spans[-1].mark == DONE):
            said.append(f"undo: {error}" if way == UNDO else error)
    lines = [Text(f"   └ {safe(each)}", "dim") for each in said]
    for line in lines:
        line.truncate(room, overflow="ellipsis")
    return lines


def _legend(drawn: str, axes: dict[str, Axis], room: int) -> list[Text]:
    """What the signs mean that were used."""
    words = [f"{sign} {means}" for sign, means in {**_LEGEND, **_MARKS}.items() if sign in drawn]
    if drawn and any(axis.folded for axis in axes.values()):
        words.append("(idle time is folded)")
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + 2 + len(word) > room:
            lines.append("")
        lines[-1] += f"  {word}" if lines[-1] else word
    return [Text(), *(Text(line, "dim") for line in lines)] if words else []
