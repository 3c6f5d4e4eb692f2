"""docs/reference/events.md: what is said on the bus, and what stands in the journal."""

from __future__ import annotations

import re
from collections.abc import Iterator

from amends.core import events as journal
from amends.observe import bus
from amends.observe.vocabulary import EVENTS, ROWS
from tools.reference.text import cell, generated, parse, table

INTRODUCTION = """\
Two vocabularies. A **notice** is what a subscriber is told (`orchestrator.subscribe(function, "step.*")`); nothing is
told that is not durable already. An **event** is what the journal holds, one row of it being a *frame* of all events
that were decided together; `amends history ID` prints them.
"""
NOTICES = """\
Every notice has `event`, `at` (milliseconds since the epoch) and, where it is about a saga, `saga_id`, `name`,
`version` and `correlation`. `step` is a path, `attempt` counts from 1, `error` is one text. `duration` is in seconds,
and None where the beginning is not known. What stands in brackets is in `details`.
"""
JOURNAL = """\
On disk a frame is `[wire version, time, [event, ...]]` in JSON, and an event `["tag", field, ...]`. Tags and the
order of fields never change; a new field goes last and has a default. `node` is an index into the saga's graph, times
are milliseconds since the epoch. An event whose name ends in *Started* is an intent: it is durable before the call.
"""


def page() -> str:
    """The whole page."""
    lines = [
        *generated("Events", "src/amends/observe and src/amends/core/events.py"),
        INTRODUCTION, "## Notices", "", NOTICES, *_notices(), "## The journal", "", JOURNAL, *_journal(),
    ]  # fmt: skip
    return "\n".join(lines).rstrip() + "\n"


def _notices() -> Iterator[str]:
    rows = []
    for line in (bus.__doc__ or "").splitlines():
        found = re.match(r"^ {4}(\w+\.\w+)(?: {2,}(.*))?$", line)
        if found and found[1] in EVENTS:
            rest = line[4:]
            rows.append((f"`{found[1]}`", rest[27:42].strip(), rest[42:].strip()))
    assert {name.strip("`") for name, *_ in rows} == EVENTS, "the catalogue of bus.py and its vocabulary differ"
    yield from table(("notice", "`duration` of", "further fields"), rows)


def _journal() -> Iterator[str]:
    rows = []
    for event in sorted(journal.Event.__subclasses__(), key=lambda each: each.__name__):
        fields = ", ".join(f"`{name}`" for name in event.__struct_fields__)
        notices = ", ".join(f"`{row.event}`" for row in ROWS.get(event, ()))
        # A struct without a docstring of its own inherits its base's.
        told = parse(event.__doc__).text if event.__doc__ and event.__doc__ != journal.Event.__doc__ else ""
        rows.append((f"`{event.__name__}`", f'`"{event.__struct_config__.tag}"`', fields, cell(told), notices))
    yield from table(("event", "tag", "fields", "", "told as"), rows)
