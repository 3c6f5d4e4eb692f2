"""What is read: functions on a connection.

Rules of this file: each page is one query, ordered and cut off by the server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ...core.filters import Filter
from ...core.summary import Summary
from ..base import CommandRow, FrameRow, GroupBy, JournalRow, KeyRow, OpenRow, Tally, Trace
from ..figures import Figures, counted
from ..filter import conditions, grouping
from .session import Connection
from .sql import query

_summary = msgspec.json.Decoder(Summary)

_LARGE, _SMALL = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
# Letters of ASCII only, as in every other store: what `lower` does depends on the server's locale.
_CAUSE = f"position(translate(?, '{_LARGE}', '{_SMALL}') in translate(cause, '{_LARGE}', '{_SMALL}')) > 0"


def frames(db: Connection, saga_ids: Sequence[str]) -> dict[str, list[FrameRow]]:
    """The journals of these sagas."""
    return _journals(db.execute(query("select_frames"), (list(saga_ids),), binary=True).fetchall())


def later_frames(db: Connection, after: Mapping[str, int]) -> dict[str, list[FrameRow]]:
    """Of these sagas the frames behind a seq."""
    bound = (list(after), list(after.values()))
    return _journals(db.execute(query("select_later_frames"), bound, binary=True).fetchall())


def _journals(rows: list[tuple[Any, ...]]) -> dict[str, list[FrameRow]]:
    found: dict[str, list[FrameRow]] = {}
    for saga_id, seq, body in rows:
        found.setdefault(saga_id, []).append(FrameRow(saga_id, seq, body))
    return found


def settled(db: Connection) -> int:
    """The position before which nothing can appear any more."""
    row = db.execute(query("select_settled")).fetchone()
    assert row is not None
    return int(row[0])


def journal(db: Connection, after: int, limit: int) -> list[JournalRow]:
    """The first rows after a position, as far as they are settled."""
    bound = {"after": after, "limit": limit, "settled": settled(db)}  # in this order: the rows must be read last
    return [JournalRow(*row) for row in db.execute(query("select_journal"), bound, binary=True).fetchall()]


def journal_end(db: Connection, before: int, limit: int) -> list[JournalRow]:
    """The last settled rows before a position, oldest first."""
    bound = {"before": min(before, settled(db)), "limit": limit}
    rows = db.execute(query("select_journal_end"), bound, binary=True).fetchall()
    return [JournalRow(*row) for row in reversed(rows)]


def open_sagas(
    db: Connection, shards: Sequence[int], after: int, due_from: int, due_before: int, limit: int, *, outside: bool
) -> list[OpenRow]:
    """A page of the open set."""
    bound = {"shards": list(shards), "after": after, "due_from": due_from, "due_before": due_before, "limit": limit}
    rows = db.execute(query("select_open_outside" if outside else "select_open"), bound).fetchall()
    return [OpenRow(*row) for row in rows]


def commands(db: Connection, shards: Sequence[int], limit: int) -> list[CommandRow]:
    """The oldest unanswered commands of these shards."""
    return [CommandRow(*row) for row in db.execute(query("select_commands"), (list(shards), limit)).fetchall()]


def command(db: Connection, command_id: int) -> CommandRow | None:
    """A command, answered or not."""
    row = db.execute(query("select_command"), (command_id,)).fetchone()
    return None if row is None else CommandRow(*row)


def unanswered(db: Connection, command_ids: Sequence[int]) -> set[int]:
    """Those of these commands that wait for their answer still."""
    return {row[0] for row in db.execute(query("select_unanswered"), (list(command_ids),)).fetchall()}


def key(db: Connection, name: str, key: str) -> KeyRow | None:
    """The start key's row."""
    row = db.execute(query("select_key"), (name, key)).fetchone()
    return None if row is None else KeyRow(*row)


def trace(db: Connection, saga_id: str) -> Trace | None:
    """What is left of a pruned saga."""
    row = db.execute(query("select_pruned"), (saga_id,)).fetchone()
    return None if row is None else Trace(*row)


# -- lists ---------------------------------------------------------------------------------------


def summaries(db: Connection, which: Filter, before: str, limit: int) -> list[Summary]:
    """A page of the list, newest first."""
    text, values = _conditions(which, before)
    rows = db.execute(query("select_summaries").replace("{conditions}", text), [*values, limit]).fetchall()
    return [_summary.decode(body) for (body,) in rows]


def count(db: Connection, which: Filter) -> int:
    """How many summaries match."""
    return _count(db, "count_summaries", which)


def prunable(db: Connection, which: Filter, limit: int) -> list[str]:
    """Ended sagas that are not open, those that ended first."""
    text, values = _conditions(which)
    rows = db.execute(query("select_prunable").replace("{conditions}", text), [*values, limit]).fetchall()
    return [row[0] for row in rows]


def count_prunable(db: Connection, which: Filter) -> int:
    """How many ended sagas are not open."""
    return _count(db, "count_prunable", which)


def tally(db: Connection, which: Filter, by: Sequence[GroupBy]) -> Tally:
    """How many summaries match, by the values of these fields."""
    text, values = _conditions(which)
    asked = query("tally_summaries").replace("{groups}", grouping(by)).replace("{conditions}", text)
    return [(tuple(row[:-1]), row[-1]) for row in db.execute(asked, values).fetchall()]


def figures(db: Connection, which: Filter, since: int) -> list[Figures]:
    """What became of sagas, by definition and version, as of one moment."""
    text, values = _conditions(which)
    with db.transaction():
        db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        ended, still_open, failed = (
            db.execute(query(name).replace("{conditions}", text), [since, since, *values][skip:]).fetchall()
            for name, skip in (("figures_ended", 0), ("figures_open", 0), ("figures_failed", 0))
        )
    lengths = {(row[0], row[1]): row[8] for row in ended}
    return counted([row[:8] for row in ended], lengths, still_open, failed)


def _count(db: Connection, name: str, which: Filter) -> int:
    text, values = _conditions(which)
    row = db.execute(query(name).replace("{conditions}", text), values).fetchone()
    assert row is not None
    return int(row[0])


def _conditions(which: Filter, before: str = "") -> tuple[str, list[str | int]]:
    text, values = conditions(which, before, cause=_CAUSE)
    return text.replace("?", "%s"), values
