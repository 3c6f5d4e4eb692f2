"""One saga, drawn: a row for each step, with a lane forward and a lane of undoing.

      STEP         STATUS       AT    FORWARD 2.1s                    UNDO 800ms
    ↩ book_flight  compensated  +0ms  ━━━━━━━●             1.0s                 ═════●  400ms
    ↩ book_hotel   compensated  +1.0s         ━━✗···┃━━●   900ms x2      ═══✗═║═●         400ms x2
    ✗ book_car     rejected     +1.9s                  ━━✗  200ms

The lanes are `lanes.py`, which rows there are is `grouping.py`, and the legend says what the signs mean that
were used.

Rules of this file: pure. A `SagaView`, its history, the time and the room go in, lines come out. It
draws what it is told, also of events and statuses that a newer release wrote. Lines of bars fit into the
room; where there is none for bars, words remain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from rich.cells import cell_len
from rich.text import Text

from ..core.transitions import ENDS, StepStatus
from ..runtime.views import HistoryEntry, SagaView, StepView
from .grouping import Row, grouped
from .lanes import (
    DONE,
    FORWARD,
    GOING,
    LEGEND,
    MARKS,
    NO,
    PARKED,
    UNDO,
    UNKNOWN,
    Axis,
    Lane,
    Lanes,
    bar,
    lanes_of,
    together,
)
from .words import SAGA_ICONS, STEP_ICONS, UNSEEN, clock_time, length, safe, since, style_of, word_of

_MARK_STYLES = MappingProxyType(
    {DONE: "green", NO: "red", UNKNOWN: "bold magenta", PARKED: "bold red", GOING: "cyan"}
)  # fmt: skip
_ASKED = MappingProxyType(
    {
        FORWARD: frozenset({StepStatus.ACCEPTED, StepStatus.POLLING}),
        UNDO: frozenset({StepStatus.UNDO_ACCEPTED, StepStatus.UNDO_POLLING}),
    }
)  # the statuses in which a step is asked for
_NAME_CELLS_MAX = 28
_NAME_CELLS_MIN = 8
_LANE_CELLS_MAX = 44
_LANE_CELLS_MIN = 8
_LENGTH_HEAD_CELLS = 7  # of the length behind a direction's name
_ROOM = 100  # when nobody says how wide a line may be


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
        "lapses": "" if ended else safe(", ".join(_lapsing(view, now))),
        "key": safe(view.key),
        "correlation": "  ".join(f"{safe(name)}={safe(value)}" for name, value in view.correlation.items()),
    }
    return [title(view), *(Text.assemble((f"  {name:<12}", "dim"), said) for name, said in facts.items() if said)]


def _lapsing(view: SagaView, now: datetime) -> Iterator[str]:
    """The steps whose effect lapses by itself, and when."""
    for step in view.steps:
        if step.expires_at is not None:
            yield f"{step.path} {since(step.expires_at, now)}"


def rows(view: SagaView, history: Sequence[HistoryEntry], *, now: datetime, room: int) -> list[Text]:
    """The steps with their lanes."""
    found = grouped(view)
    lanes = _by_row(lanes_of(history, view.started_at), found)
    directions = [FORWARD, UNDO] if any(direction == UNDO for _, direction in lanes) else [FORWARD]
    table = [_words(view, row, lanes, directions) for row in found]
    heads = ["", "STEP", "STATUS", "AT", *[""] * len(directions)]
    widths = [max(cell_len(row[column]) for row in [heads, *table]) for column in range(len(heads))]
    widths[1] = min(widths[1], _NAME_CELLS_MAX)
    free = room - sum(widths) - 2 * (len(widths) - 1) - 2 * len(directions)
    cells = min(free // len(directions), _LANE_CELLS_MAX)
    if cells < _LANE_CELLS_MIN:
        widths[1] = max(_NAME_CELLS_MIN, widths[1] + min(0, free))
        cells = 0
        for column, each in enumerate(directions, 4):  # a head without a bar below it needs its room in the column
            widths[column] = max(widths[column], _LENGTH_HEAD_CELLS + len(each))
    until = (now - view.started_at).total_seconds()
    axes = {each: Axis([lane for (_, way), lane in lanes.items() if way == each], cells, until) for each in directions}
    polls = _polls(history)
    lines, drawn = [_head(widths, axes)], ""
    for row, words in zip(found, table, strict=True):
        bars = [bar(lanes.get((row.step.path, each)), axes[each], each) for each in directions]
        lines += [_row(words, widths, bars), *_errors(row, lanes, polls, room)]
        drawn += "".join(bars)
    return lines + _legend(drawn, axes, room)


def _by_row(lanes: Lanes, found: Sequence[Row]) -> Lanes:
    """The lanes of each row, by its first step's path: those of several steps as one."""
    by_row: Lanes = {}
    for row in found:
        for way in (FORWARD, UNDO):
            lane = together([lane for step in row.steps if (lane := lanes.get((step.path, way)))])
            if lane is not None:
                by_row[row.step.path, way] = lane
    return by_row


def _words(view: SagaView, row: Row, lanes: Lanes, directions: Sequence[str]) -> list[str]:
    """Icon, name, status, when it began, and how long each direction took."""
    step, word = row.step, word_of(row.step.status)
    if step.status == StepStatus.PENDING and view.status in ENDS:
        word = "not reached"  # of a saga that has ended, "pending" would promise something
    begins = [lane.spans[0].start for way in (FORWARD, UNDO) if (lane := lanes.get((row.step.path, way)))]
    began = f"+{length(begins[0])}" if begins else ""
    spent = [_spent(lanes.get((row.step.path, each))) for each in directions]
    return [STEP_ICONS.get(step.status, UNSEEN), safe(row.name), word, began, *spent]


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


def _polls(history: Sequence[HistoryEntry]) -> dict[tuple[str, str], list[str]]:
    """What the polls of each step and direction came to, so far as it was not done: their errors, "" for none."""
    found: dict[tuple[str, str], list[str]] = {}
    for entry in history:
        if entry.event == "PollPending":
            way = UNDO if entry.details.get("undo") else FORWARD
            found.setdefault((entry.step, way), []).append(entry.details.get("error") or "")
    return found


def _polled(step: StepView, errors: Sequence[str]) -> str:
    """How often an accepted step was asked for, how the last time came out, and when it is asked for again."""
    times = "once" if len(errors) == 1 else f"{len(errors)} times"
    next_one = f"; next at {clock_time(step.due)}" if step.due else ""
    return f"polled {times}, last: {errors[-1] or 'not done yet'}{next_one}"


def _errors(row: Row, lanes: Lanes, polls: Mapping[tuple[str, str], Sequence[str]], room: int) -> list[Text]:
    """What went wrong last in each direction, unless it went well in the end; and of what is polled, how that goes."""
    said = []
    for way, last in ((FORWARD, row.step.error), (UNDO, row.step.compensation_error)):
        lane, asked = lanes.get((row.step.path, way)), polls.get((row.step.path, way))
        told = row.step.status in _ASKED[way] and len(row.steps) == 1
        error = _polled(row.step, asked) if asked and told else last
        if error and not (lane and lane.spans[-1].mark == DONE):
            said.append(f"undo: {error}" if way == UNDO else error)
    lines = [Text(f"   └ {safe(each)}", "dim") for each in said]
    for line in lines:
        line.truncate(room, overflow="ellipsis")
    return lines


def _legend(drawn: str, axes: dict[str, Axis], room: int) -> list[Text]:
    """What the signs mean that were used."""
    words = [f"{sign} {means}" for sign, means in {**LEGEND, **MARKS}.items() if sign in drawn]
    if drawn and any(axis.folded for axis in axes.values()):
        words.append("(idle time is folded)")
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + 2 + len(word) > room:
            lines.append("")
        lines[-1] += f"  {word}" if lines[-1] else word
    return [Text(), *(Text(line, "dim") for line in lines)] if words else []
