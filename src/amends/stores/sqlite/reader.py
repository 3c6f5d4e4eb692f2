"""Everything that reads: functions on the reader's connection, in its thread.

Rules of this file: many rows come as one, with JSON for what is small and one blob for all bodies.
The driver waits for the interpreter's lock at every row, which beside a busy event loop costs
milliseconds each; so a page of rows must cost one step.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ...core.filters import Filter
from ...core.summary import SHAPE, Summary, hold_of
from ..base import CommandRow, DefinitionRow, FrameRow, GroupBy, JournalRow, KeyRow, Lease, OpenRow, Owner, Tally, Trace
from ..figures import PERCENTS, Figures, counted
from ..filter import conditions, grouping
from ..owner import is_gone
from ..projection import Outlines, fold_row, outlines_of
from .faults import when_opening, when_reading
from .sql import query

_encode = msgspec.json.encode

_Index = list[tuple[str, int, int]]
_index = msgspec.json.Decoder(_Index)
_positions = msgspec.json.Decoder(list[tuple[int, str, int, int]])
_ids = msgspec.json.Decoder(list[str])
_open_rows = msgspec.json.Decoder(list[OpenRow])
_command_rows = msgspec.json.Decoder(list[tuple[int, str, str]])
_numbers = msgspec.json.Decoder(set[int])
_tally = msgspec.json.Decoder(Tally)
_summaries = msgspec.json.Decoder(list[Summary])
_counts = msgspec.json.Decoder(list[list[Any]])


class Folded(NamedTuple):
    """A step of the projection: the mark it begins at, the mark it ends at, its frames, and what to write."""

    before: int
    after: int
    frames: int
    listed: tuple[str | bytes, ...]


class Reader:
    """A connection that only reads.

    Parameters:
        path: the database file, opened and migrated before.
        busy_s: how long a read waits for another program's lock, in seconds.
    """

    def __init__(self, path: Path, busy_s: float) -> None:
        self._path = path
        self._busy_s = busy_s
        self._outlines: Outlines = {}

    def connect(self) -> sqlite3.Connection:
        """Open, for reading only."""
        try:
            db = sqlite3.connect(self._path, timeout=self._busy_s, isolation_level=None)
            db.execute("PRAGMA query_only = ON")
            return db
        except sqlite3.Error as error:
            raise when_opening(error, self._path) from error

    def holder(self, db: sqlite3.Connection, now: int) -> Lease | None:
        """The lease in force."""
        found = self._lease(db, now)
        return None if found is None else found[0]

    def owner(self, db: sqlite3.Connection, now: int) -> tuple[Owner, int] | None:
        """Whose it is, and until when."""
        found = self._lease(db, now)
        return None if found is None else (found[1], found[0].expires)

    def _lease(self, db: sqlite3.Connection, now: int) -> tuple[Lease, Owner] | None:
        epoch, expires, *held = self._one(db, "select_lease")
        owner = Owner(*held)
        if not owner.id or expires <= now or is_gone(owner):
            return None
        return Lease(epoch, owner.id, expires), owner

    def commands(self, db: sqlite3.Connection, limit: int) -> list[CommandRow]:
        """The oldest unanswered commands."""
        rows = _command_rows.decode(self._one(db, "select_commands", limit)[0])
        return [CommandRow(number, saga_id, bytes.fromhex(body)) for number, saga_id, body in rows]

    def command(self, db: sqlite3.Connection, command_id: int) -> CommandRow | None:
        """A command, answered or not."""
        row = self._one(db, "select_command", command_id)
        return CommandRow(row[0], row[1], row[2], bool(row[3]), row[4]) if row else None

    def unanswered(self, db: sqlite3.Connection, command_ids: Sequence[int]) -> set[int]:
        """Those of these commands that wait for their answer still."""
        return _numbers.decode(self._one(db, "select_unanswered", _encode(command_ids).decode())[0])

    def open_sagas(
        self, db: sqlite3.Connection, after: int, due_from: int, due_before: int, limit: int
    ) -> list[OpenRow]:
        """A page of the open set."""
        return _open_rows.decode(self._one(db, "select_open", after, due_from, due_before, limit)[0])

    def frames(self, db: sqlite3.Connection, saga_ids: Sequence[str]) -> dict[str, list[FrameRow]]:
        """The journals of these sagas."""
        return self._journals(self._one(db, "select_frames", _encode(saga_ids).decode()))

    def _journals(self, packed: tuple[str, bytes | None]) -> dict[str, list[FrameRow]]:
        index, bodies = packed
        found: dict[str, list[FrameRow]] = {}
        for row in _unpacked(_index.decode(index), bodies):
            found.setdefault(row.saga_id, []).append(row)
        return found

    def journal(self, db: sqlite3.Connection, after: int, limit: int) -> list[JournalRow]:
        """The first rows after a position."""
        return _placed(*self._one(db, "select_journal", after, limit))

    def journal_end(self, db: sqlite3.Connection, before: int, limit: int) -> list[JournalRow]:
        """The last rows before a position."""
        return _placed(*self._one(db, "select_journal_end", before, limit))

    def later_frames(self, db: sqlite3.Connection, after: Mapping[str, int]) -> dict[str, list[FrameRow]]:
        """Of these sagas the frames behind a seq."""
        return self._journals(self._one(db, "select_later_frames", _encode(after).decode()))

    def key(self, db: sqlite3.Connection, name: str, key: str) -> KeyRow | None:
        """The start key's row."""
        row = self._one(db, "select_key", name, key)
        return KeyRow(*row) if row else None

    def definitions(self, db: sqlite3.Connection) -> list[DefinitionRow]:
        """All registered definitions."""
        with self._reading():
            return [DefinitionRow(*row) for row in db.execute(query("select_definitions"))]

    # -- the projection --------------------------------------------------------------------------

    def position(self, db: sqlite3.Connection) -> int:
        """The journal's last position."""
        return int(self._one(db, "select_position")[0])

    def projected(self, db: sqlite3.Connection) -> int:
        """The projection's high-water mark."""
        return int(self._one(db, "select_projected")[0])

    def unprojected(self, db: sqlite3.Connection, limit: int) -> Folded:
        """Fold what comes after the mark."""
        before, after, index, bodies, known = self._one(db, "select_unprojected", limit)
        rows = list(_unpacked(_index.decode(index), bodies))
        if not rows:
            return Folded(before, before, 0, ())
        if not self._outlines or any(row.seq == 1 for row in rows):  # a saga may begin with a new definition
            self._outlines = outlines_of(self.definitions(db))
        folded: dict[str, Summary] = {summary.saga_id: summary for summary in _summaries.decode(known)}
        for row in rows:
            folded[row.saga_id] = fold_row(folded.get(row.saga_id), row, self._outlines)
        return Folded(before, after, len(rows), _listed(folded.values()))

    def summaries(self, db: sqlite3.Connection, which: Filter, before: str, limit: int) -> list[Summary]:
        """A page of the list, newest first."""
        text, values = conditions(which, before)
        with self._reading():
            row = db.execute(query("select_summaries").replace("{conditions}", text), [*values, limit]).fetchone()
        return _summaries.decode(row[0])

    def count(self, db: sqlite3.Connection, which: Filter) -> int:
        """How many summaries match."""
        text, values = conditions(which)
        with self._reading():
            return int(db.execute(query("count_summaries").replace("{conditions}", text), values).fetchone()[0])

    def prunable(self, db: sqlite3.Connection, which: Filter, limit: int) -> list[str]:
        """Ended sagas that are not open, those that ended first."""
        text, values = conditions(which)
        with self._reading():
            row = db.execute(query("select_prunable").replace("{conditions}", text), [*values, limit]).fetchone()
        return _ids.decode(row[0])

    def count_prunable(self, db: sqlite3.Connection, which: Filter) -> int:
        """How many ended sagas are not open."""
        text, values = conditions(which)
        with self._reading():
            return int(db.execute(query("count_prunable").replace("{conditions}", text), values).fetchone()[0])

    def trace(self, db: sqlite3.Connection, saga_id: str) -> Trace | None:
        """What is left of a pruned saga."""
        row = self._one(db, "select_pruned", saga_id)
        return Trace(*row) if row else None

    def tally(self, db: sqlite3.Connection, which: Filter, by: Sequence[GroupBy]) -> Tally:
        """How many summaries match, by the values of these fields."""
        text, values = conditions(which)
        sql = query("tally_summaries").replace("{groups}", grouping(by)).replace("{conditions}", text)
        with self._reading():
            return _tally.decode(db.execute(sql, values).fetchone()[0])

    def figures(self, db: sqlite3.Connection, which: Filter, since: int) -> list[Figures]:
        """What became of sagas, by definition and version: counts in one scan, lengths by their rank."""
        text, values = conditions(which)
        counts = query("select_figures").replace("{conditions}", text)
        length = query("select_length").replace("{conditions}", text)
        with self._reading():
            db.execute("BEGIN")  # the counts and the lengths are of one moment
            try:
                ended, still_open, failed = map(
                    _counts.decode, db.execute(counts, (since, *values, *values, *values)).fetchone()
                )
                lengths = {
                    (name, version): [
                        db.execute(
                            length, (since, name, version, *values, found - (found * percent + 99) // 100)
                        ).fetchone()[0]
                        for percent in PERCENTS
                    ]
                    for name, version, found, *_ in ended
                }
            finally:
                db.execute("COMMIT")
        return counted(ended, lengths, still_open, failed)

    # -- inside ----------------------------------------------------------------------------------

    def _one(self, db: sqlite3.Connection, name: str, *bound: Any) -> Any:
        with self._reading():
            return db.execute(query(name), bound).fetchone()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise when_reading(error, self._path) from error


def _unpacked(index: _Index, bodies: bytes | None) -> Iterator[FrameRow]:
    at, blob = 0, bodies or b""
    for saga_id, seq, size in index:
        yield FrameRow(saga_id, seq, blob[at : at + size])
        at += size


def _placed(index: bytes, bodies: bytes | None) -> list[JournalRow]:
    placed = _positions.decode(index)
    rows = _unpacked([(saga_id, seq, size) for _, saga_id, seq, size in placed], bodies)
    return [
        JournalRow(position, row.saga_id, row.seq, row.body)
        for (position, _, _, _), row in zip(placed, rows, strict=True)
    ]


def _listed(summaries: Collection[Summary]) -> tuple[str | bytes, ...]:
    """What `insert_projected` binds for these summaries."""
    rows, bodies, at = [], [], 1
    for summary in summaries:
        body = _encode(summary)
        rows.append((
            summary.saga_id, SHAPE, summary.name, summary.version, summary.key, summary.started,
            summary.status, summary.step, hold_of(summary), summary.waiting_since, summary.updated, summary.ended,
            summary.deadline, summary.paused, summary.turned_back, summary.anomalous, summary.followup_failed,
            summary.manual, summary.intervened, at, len(body),
        ))  # fmt: skip
        bodies.append(body)
        at += len(body)
    correlation = [(*pair, each.saga_id) for each in summaries for pair in each.correlation.items()]
    failed = [(step, each.saga_id) for each in summaries for step in each.failed]
    return _encode(rows).decode(), b"".join(bodies), _encode(correlation).decode(), _encode(failed).decode()
