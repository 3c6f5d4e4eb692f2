"""A step of the projection: frames behind the marks, folded into summaries.

Each shard has a mark of its own, because only within a shard is the order of positions the order of commits: its
worker's batches follow one another. What others start stands outside that order and brings its summary along, so
a frame that its saga's summary holds already is passed over.

Rules of this file: it reads only.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import msgspec

from ...core.summary import Summary
from ..base import DefinitionRow, FrameRow
from ..projection import Outlines, fold_row, outlines_of
from .session import Connection
from .sql import query

_summary = msgspec.json.Decoder(Summary)


class Folded(NamedTuple):
    """What a step writes: the marks it moves, shard -> (from, to); how many frames it folded; the summaries."""

    marks: dict[int, tuple[int, int]]
    frames: int
    summaries: Collection[Summary]


class Projection:
    """Remembers the definitions' outlines between steps."""

    def __init__(self) -> None:
        self._outlines: Outlines = {}

    def step(self, db: Connection, shards: Sequence[int], limit: int) -> Folded:
        """Fold at most `limit` frames of these shards."""
        marks = {
            shard: mark
            for shard, mark, last in db.execute(query("select_marks"), (list(shards),)).fetchall()
            if last is not None and last > mark
        }
        rows = self._next(db, marks, limit)
        if not rows:
            return Folded({}, 0, ())
        if not self._outlines or any(row[3] == 1 for row in rows):  # a saga may begin with a new definition
            self._outlines = outlines_of(definitions(db))
        known = db.execute(query("select_known"), (list({row[2] for row in rows}),)).fetchall()
        folded = {summary.saga_id: summary for summary in (_summary.decode(body) for (body,) in known)}
        after: dict[int, int] = {}
        for shard, position, saga_id, seq, body in rows:
            after[shard] = position
            before = folded.get(saga_id)
            if before is None or before.seq < seq:
                folded[saga_id] = fold_row(before, FrameRow(saga_id, seq, body), self._outlines)
        return Folded({shard: (marks[shard], end) for shard, end in after.items()}, len(rows), folded.values())

    @staticmethod
    def _next(db: Connection, marks: dict[int, int], limit: int) -> list[tuple[Any, ...]]:
        """The first frames behind the marks; of each shard at first only about its part of them."""
        if not marks:
            return []
        each = -(-limit // len(marks)) * 2
        while True:
            bound = {"shards": list(marks), "each": min(each, limit), "limit": limit}
            rows = db.execute(query("select_unprojected"), bound).fetchall()
            if len(rows) == limit or each >= limit:
                return rows
            counts: dict[int, int] = {}
            for row in rows:
                counts[row[0]] = counts.get(row[0], 0) + 1
            if each not in counts.values():
                return rows
            each = limit


def definitions(db: Connection) -> list[DefinitionRow]:
    """All registered definitions."""
    return [DefinitionRow(*row) for row in db.execute(query("select_definitions")).fetchall()]


def behind(db: Connection, shards: Sequence[int]) -> dict[int, int]:
    """Where the journal of each shard ends that the projection has not come to the end of."""
    rows = db.execute(query("select_marks"), (list(shards),)).fetchall()
    return {shard: last for shard, mark, last in rows if last is not None and last > mark}


def marks(db: Connection, shards: Sequence[int]) -> dict[int, int]:
    """The marks of these shards."""
    return {shard: mark for shard, mark, _ in db.execute(query("select_marks"), (list(shards),)).fetchall()}
