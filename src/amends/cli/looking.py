"""The commands that look: list, count, show, history.

Rules of this file: they need no definitions, for structures are stored with the sagas, and so they
never import the user's app: looking must work when that is broken. A database that is not there is not
made.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from rich.text import Text

from ..core.transitions import STUCK
from ..errors import UsageError
from ..runtime.clock import SystemClock
from ..runtime.orchestrator import Orchestrator
from ..runtime.reading import Reader
from ..runtime.views import HistoryEntry, SagaView
from ..stores.base import GroupBy as By, Store
from . import output, records, timeline
from .exits import OK, say
from .moments import moment
from .options import Common, keys, open_store
from .remedies import Remedy, remedies
from .subjects import looking_at
from .words import SAGA_ICONS, UNSEEN, iso, safe, since, style_of, word_of

_NOTHING: tuple[object, ...] = ("", None, [], {}, False)  # details that say nothing
_VALUES = frozenset({"input", "result", "payload", "token", "branch", "position"})  # of which a zero says something
_VALUE_CHARS_MAX = 60  # of one detail in a history's table; JSON has the whole


@asynccontextmanager
async def looking(common: Common) -> AsyncIterator[tuple[Orchestrator, Store]]:
    """An orchestrator that runs nothing, on a store that is there."""
    store = open_store(common, make=False)
    async with Orchestrator(store, worker=False, encryption=keys()) as orchestrator:
        yield orchestrator, store


def pairs(correlation: Sequence[str]) -> dict[str, str]:
    """`k=v` words as a mapping. Raises UsageError."""
    found = {}
    for each in correlation:
        name, equals, value = each.partition("=")
        if not (name and equals and value):
            raise UsageError(f"--correlation {each!r}: write name=value", code="AM2520")
        found[name] = value
    return found


# --- list ----------------------------------------------------------------------------------------


async def list_sagas(
    common: Common, *, filter: str, status: Sequence[str], name: str, key: str, hold: str,
    correlation: Sequence[str], limit: int,
) -> int:  # fmt: skip
    """Print the newest sagas that fit."""
    if limit < 1:
        raise UsageError(f"--limit {limit}: give a number of at least 1", code="AM2521")
    labels: Mapping[str, str] = pairs(correlation)
    async with looking(common) as (orchestrator, _):
        views = orchestrator.list(
            filter, status=status, name=name, key=key, hold=hold, correlation=labels, limit=limit + 1
        )
        if common.output == "table":
            _write_table([view async for view in views], limit)
        else:
            await output.write_all(_first(views, limit), common.output)
    return OK


async def _first(views: AsyncIterator[SagaView], limit: int) -> AsyncIterator[records.Record]:
    left = limit
    async for view in views:
        if not left:
            _tell_more(limit)
            return
        left -= 1
        yield records.saga(view)


def _tell_more(limit: int) -> None:
    say(f"there are more than {limit}; see them with --limit, or narrow the list")


def _write_table(views: list[SagaView], limit: int) -> None:
    heads = ["ID", "STATUS", "NAME", "STEP", "STARTED", "WHY"]
    now = present()
    rows = [_list_row(view, now) for view in views[:limit]]
    if rows:
        output.write(output.grid(heads, rows, room=output.width(), elastic=(5, 3, 2)))
    else:
        say("no saga fits")
    if len(views) > limit:
        _tell_more(limit)


def _list_row(view: SagaView, now: datetime) -> list[Text]:
    icon = SAGA_ICONS.get(view.status, UNSEEN)
    why = ", ".join(each for each in (view.hold and f"on hold: {view.hold}", view.cause) if each)
    return [
        output.text(view.id),
        output.text(f"{icon} {word_of(view.status)}", style_of(icon)),
        output.text(f"{view.name} v{view.version}"),
        output.text(view.step),
        output.text(since(view.started_at, now), "dim"),
        output.text(why),
    ]


def present() -> datetime:
    """What time it is."""
    return datetime.fromtimestamp(SystemClock().now_ms() / 1000, UTC)


# --- count ---------------------------------------------------------------------------------------


async def count_sagas(common: Common, *, filter: str, by: Sequence[By]) -> int:
    """Print how many sagas fit, or how many for each value of some fields."""
    async with looking(common) as (orchestrator, _):
        if not by:
            count = await orchestrator.count(filter)
            if common.output == "table":
                output.write([output.text(count)])
            else:
                output.write_one({"count": count}, common.output)
            return OK
        fields = _fields(by)
        found = await orchestrator.count_by(*fields, filter=filter)
    if common.output == "table":
        _write_counts(fields, found)
    elif common.output == "json":
        output.write_json([records.counted(fields, *pair) for pair in found.items()])
    else:
        for pair in found.items():
            output.write_jsonl(records.counted(fields, *pair))
    return OK


def _fields(by: Sequence[By]) -> list[By]:
    """What is grouped by; a version says nothing without its name."""
    found: list[By] = []
    for each in by:
        found += ["name", each] if each == "version" else [each]
    return list(dict.fromkeys(found))


def _write_counts(fields: Sequence[str], found: Mapping[tuple[str | int, ...], int]) -> None:
    heads = [*(field.upper() for field in fields), "COUNT"]
    rows = [[output.text(each) for each in (*group, count)] for group, count in found.items()]
    if rows:
        output.write(output.grid(heads, rows, room=output.width(), elastic=()))
    else:
        say("no saga fits")


# --- show ----------------------------------------------------------------------------------------


async def show_saga(common: Common, said: str, *, at: str = "") -> int:
    """Print one saga, now or at a past moment: its timeline, and what a person may do about it now."""
    now = present()
    then = moment(at, now) if at else None
    async with looking_at(common, said) as subject:
        view = await subject.orchestrator.get(subject.saga_id, at=then)
        history = await subject.orchestrator.history(subject.saga_id, at=then)
        reader = Reader(subject.store, {})
        frames = len(await reader.rows(subject.saga_id))
        # What was possible then may not be now, and nothing can be done in the past.
        state = None if at else await reader.state(subject.saga_id)
    found = remedies(state, now_ms=int(now.timestamp() * 1000), store=subject.place) if state else []
    if common.output == "table":
        as_of = ""
        if then is not None:
            now = then if isinstance(then, datetime) else history[-1].at
            as_of = f"{iso(now)}, frame {view.seq} of {frames}"
        lines = timeline.draw(view, history, now=now, room=output.width(), as_of=as_of)
        output.write([*lines, *needs(view, found)])
    else:
        output.write_one(records.shown(view, found), common.output)
    return OK


def needs(view: SagaView, found: Sequence[Remedy]) -> list[Text]:
    """What waits for a person, and the lines that end it."""
    if not found:
        return []
    lines = [Text(), Text("What can be done", "bold")]
    reasons = {step.path: step for step in view.steps}
    by_step: dict[str, list[Remedy]] = {}
    for each in found:
        by_step.setdefault(each.step, []).append(each)
    for path, own in by_step.items():
        if path:
            step = reasons[path]
            why = f" ({step.reason})" if step.reason else ""
            lines.append(output.text(f"  {path} is {word_of(step.status)}{why}"))
        else:
            lines.append(Text("  the saga"))
        for each in own:
            lines.append(Text(f"    {safe(each.command)}"))
            lines[-1].append(f"   # {each.means}", "dim")
    left_out = sum(step.status in STUCK and step.path not in by_step for step in view.steps)
    if left_out:
        lines.append(Text(f"  and {left_out:,} more steps are parked or owed"))
    return lines


# --- history -------------------------------------------------------------------------------------


async def show_history(common: Common, said: str) -> int:
    """Print one saga's journal, event by event."""
    async with looking_at(common, said) as subject:
        entries = await subject.orchestrator.history(subject.saga_id)
    if common.output == "table":
        heads = ["SEQ", "TIME", "EVENT", "STEP", "DETAILS"]
        output.write(output.grid(heads, [_history_row(each) for each in entries], room=output.width(), elastic=(4, 3)))
    elif common.output == "json":
        output.write_json([records.entry(each) for each in entries])
    else:
        for each in entries:
            output.write_jsonl(records.entry(each))
    return OK


def _history_row(entry: HistoryEntry) -> list[Text]:
    record = records.entry(entry)
    return [
        output.text(entry.seq, "dim"),
        output.text(record["at"], "dim"),
        output.text(entry.event),
        output.text(entry.step),
        output.text(details_of(record)),
    ]


def details_of(record: records.Record) -> str:
    """What an event says beside its step, in one line; what says nothing is left out."""
    said = ((name, value) for name, value in record["details"].items() if _says(name, value))
    return " ".join(f"{name}={_short(value)}" for name, value in said)


def _says(name: str, value: object) -> bool:
    return value is not None if name in _VALUES else value not in _NOTHING


def _short(value: object) -> str:
    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return said if len(said) <= _VALUE_CHARS_MAX else said[: _VALUE_CHARS_MAX - 1] + "…"
