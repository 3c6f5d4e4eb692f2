"""What functions of the database are given: rows as columns, each an array.

Rules of this file: pure. A text that PostgreSQL cannot keep (one with a NUL) is changed in what lists show, and
nowhere else; the summary itself, and every frame, is bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from ...core.shards import shard_of
from ...core.summary import SHAPE, Summary, hold_of
from ..base import Batch, FrameRow, KeyRow

_encode = msgspec.json.encode
_REPLACEMENT = "�"

Columns = tuple[Any, ...]


def frames_of(rows: Sequence[FrameRow]) -> tuple[list[str], list[int], list[int], list[bytes]]:
    """Ids, numbers, shards and bodies."""
    saga_ids = [row.saga_id for row in rows]
    return saga_ids, [row.seq for row in rows], [shard_of(each) for each in saga_ids], [row.body for row in rows]


def keys_of(rows: Sequence[KeyRow]) -> Columns:
    """Names, keys, ids and hashes."""
    return (
        [row.name for row in rows], [row.key for row in rows], [row.saga_id for row in rows],
        [row.input_hash for row in rows],
    )  # fmt: skip


def batch_of(epoch: int, batch: Batch) -> Columns:
    """What `commit.sql` binds."""
    saga_ids, seqs, shards, bodies = frames_of(batch.frames)
    held = set(shards)
    if batch.due or batch.closed:
        held.update(map(shard_of, batch.due), map(shard_of, batch.closed))
    return (
        epoch, batch.number, list(held), saga_ids, seqs, shards, bodies,
        batch.opened, [shard_of(each) for each in batch.opened], *keys_of(batch.keys),
        batch.closed, list(batch.due), list(batch.due.values()),
        list(batch.answered), [_kept(each) for each in batch.answered.values()],
    )  # fmt: skip


def summaries_of(summaries: Collection[Summary]) -> Columns:
    """What `amends_summarise_1` is given: small columns as JSON, the summaries, their labels, their failed steps."""
    told, bodies = [], []
    for place, each in enumerate(summaries, 1):
        told.append({
            "place": place, "saga_id": each.saga_id, "shape": SHAPE, "name": _kept(each.name), "version": each.version,
            "key": _kept(each.key), "started": each.started, "status": each.status, "step": _kept(each.step),
            "hold": hold_of(each), "waiting": each.waiting_since, "updated": each.updated, "ended": each.ended,
            "deadline": each.deadline, "seq": each.seq, "cause": _kept(each.cause), "paused": int(each.paused),
            "turned_back": int(each.turned_back), "anomalous": int(each.anomalous),
            "followup_failed": int(each.followup_failed), "manual": int(each.manual),
            "intervened": int(each.intervened),
        })  # fmt: skip
        bodies.append(_encode(each))
    labels = [(_kept(key), _kept(value), each.saga_id) for each in summaries for key, value in each.correlation.items()]
    failed = [(_kept(step), each.saga_id) for each in summaries for step in each.failed]
    return _encode(told).decode(), bodies, *_columns(labels, 3), *_columns(failed, 2)


def _columns(rows: Sequence[tuple[str, ...]], width: int) -> tuple[list[str], ...]:
    return tuple([row[at] for row in rows] for at in range(width))


def _kept(text: str) -> str:
    return text.replace("\0", _REPLACEMENT) if "\0" in text else text
