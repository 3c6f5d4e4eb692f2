"""The commands that follow journals: tail, and history --follow.

Rules of this file: whatever is printed is printed at once and never again; when it ends, standard error
says from which position to go on.
"""

from __future__ import annotations

import asyncio

from rich.text import Text

from ..errors import UsageError
from ..runtime.tailing import TailEntry
from . import output, records
from .exits import OK, say
from .looking import details_of, looking
from .options import Common
from .subjects import looking_at

_EVENT_CELLS = 22  # of an event's name, so that what follows stands in line
_LAST = 10  # events that `tail` begins with when nothing is said


async def tail(common: Common, *, filter: str, follow: bool, last: int | None, start: int | None) -> int:
    """Print journal events of all sagas as they land."""
    if follow and common.output == "json":
        raise UsageError("--follow never ends, and -o json prints one value: give -o jsonl", code="AM2553")
    if last is not None and start is not None:
        raise UsageError("-n counts from the end and --from from a position: give one of them", code="AM2553")
    if (last or 0) < 0 or (start or 0) < 0:
        raise UsageError("-n and --from are numbers from 0", code="AM2553")
    seen, gathered = start, []
    async with looking(common) as (orchestrator, _):
        events = orchestrator.tail(filter, after=start, last=_LAST if last is None else last, follow=follow)
        try:
            async for each in events:
                if common.output == "json":
                    gathered.append(records.tailed(each))
                else:
                    _write(each, common)
                seen = each.position
        except asyncio.CancelledError:
            _tell_position(seen)
            raise
    if common.output == "json":
        output.write_json(gathered)
    _tell_position(seen)
    return OK


def _tell_position(seen: int | None) -> None:
    if seen is not None:
        say(f"go on with: amends tail --from {seen}")


def _write(each: TailEntry, common: Common) -> None:
    if common.output == "jsonl":
        output.write_jsonl(records.tailed(each))
        return
    record = records.entry(each.entry)
    line = output.text(f"{each.position:>7}  {record['at']}", "dim")
    line.append_text(output.text(f"  {each.saga_id}  {each.name} v{each.version}  "))
    line.append_text(output.text(f"{record['event']:<{_EVENT_CELLS}}", "bold"))
    _finish(line, each.entry.step, details_of(record))


def _finish(line: Text, *pieces: str) -> None:
    for piece in pieces:
        if piece:
            line.append("  ")
            line.append_text(output.text(piece))
    line.rstrip()
    room = output.width()
    if room is not None:
        line.truncate(room, overflow="ellipsis")
    output.write([line])


async def follow_history(common: Common, said: str) -> int:
    """Print one saga's journal, event by event, until nothing is left to do for it."""
    if common.output == "json":
        raise UsageError("--follow prints events as they come, and -o json one value: give -o jsonl", code="AM2553")
    async with looking_at(common, said) as subject:
        async for entry in subject.orchestrator.follow(subject.saga_id):
            record = records.entry(entry)
            if common.output == "jsonl":
                output.write_jsonl(record)
            else:
                line = output.text(f"{entry.seq:>4}  {record['at']}", "dim")
                line.append("  ")
                line.append_text(output.text(f"{entry.event:<{_EVENT_CELLS}}", "bold"))
                _finish(line, entry.step, details_of(record))
    return OK
