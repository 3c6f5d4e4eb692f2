"""What is written, apart from leases: functions on a connection.

Rules of this file: a batch, a set of starts and a step of the projection are one statement each, and so one
transaction and one round trip.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from ...core.shards import shard_of
from ...errors import AmendsError
from ..base import Batch, DefinitionRow, FrameRow, Lease
from ..gathering import Start
from ..messages import exists_already, gap_before, lease_lost, other_definition
from ..posting import Post
from ..projection import fold_row
from .faults import GAP, LEASE_LOST, PROJECTED, UNIQUE_VIOLATION
from .projecting import Folded
from .rows import batch_of, frames_of, keys_of, summaries_of
from .session import Address, Connection
from .sql import query

Taken = dict[str, str]


def commit(db: Connection, address: Address, lease: Lease, batch: Batch) -> Taken:
    """Apply a batch; see Store.commit."""
    try:
        row = db.execute(query("commit"), batch_of(lease.epoch, batch), binary=True).fetchone()
    except psycopg.Error as error:
        raise _refused(db, address, error, lease, batch.frames) from error
    return _taken(row)


def start(db: Connection, address: Address, starts: Sequence[Start]) -> Taken:
    """Start sagas without a lease, all or none of them; the answer is that of `commit`."""
    frames = [frame for frame, _ in starts]
    keys = [key for _, key in starts if key is not None]
    saga_ids, _, shards, bodies = frames_of(frames)
    told, summaries, labels, values, labelled, *_ = summaries_of([fold_row(None, frame, {}) for frame in frames])
    bound = (saga_ids, shards, bodies, *keys_of(keys), told, summaries, labels, values, labelled)
    try:
        return _taken(db.execute(query("start"), bound, binary=True).fetchone())
    except psycopg.Error as error:
        refused = _refused(db, address, error, None, frames)
        # A start that is sent again after its answer was lost is the same start.
        if isinstance(refused, AmendsError) and refused.code == "AM4101" and len(frames) == 1:
            held = db.execute(query("select_body"), (frames[0].saga_id, 1)).fetchone()
            if held is not None and held[0] == frames[0].body:
                return {}
        raise refused from error


def post(db: Connection, posts: Sequence[Post]) -> Sequence[int]:
    """Put commands into the inbox; their ids, in order."""
    saga_ids = [saga_id for saga_id, _, _ in posts]
    bound = (
        saga_ids, [shard_of(each) for each in saga_ids], [body for _, body, _ in posts], [now for _, _, now in posts],
    )  # fmt: skip
    return [row[0] for row in db.execute(query("insert_commands"), bound).fetchall()]


def register(db: Connection, rows: Sequence[DefinitionRow]) -> None:
    """Remember definitions, all of them or none. Raises Conflict."""
    with db.transaction():
        for row in sorted(rows, key=lambda each: (each.name, each.version)):
            db.execute(
                query("insert_definition"), (row.name, row.version, row.fingerprint, row.structure, row.redactions)
            )
            found = db.execute(query("select_fingerprint"), (row.name, row.version)).fetchone()
            if found is None or found[0] != row.fingerprint:
                raise other_definition(row, "" if found is None else found[0])


def project(db: Connection, folded: Folded) -> bool:
    """Write folded summaries; False when another has moved a mark meanwhile."""
    shards = list(folded.marks)
    bound = (
        shards, [folded.marks[shard][0] for shard in shards], [folded.marks[shard][1] for shard in shards],
        *summaries_of(folded.summaries),
    )  # fmt: skip
    try:
        db.execute(query("project"), bound)
    except psycopg.Error as error:
        if error.sqlstate == PROJECTED:
            return False
        raise
    return True


def clear_projection(db: Connection) -> None:
    """Forget every summary and set the marks to the journal's beginning."""
    db.execute(query("clear_projection"))


def prune(db: Connection, saga_ids: Sequence[str], now: int) -> int:
    """Remove those of the sagas that may be removed; how many are gone."""
    with db.transaction():
        # A pruning that a crash takes back is done again; meanwhile the workers wait for no flush of it.
        db.execute("SET LOCAL synchronous_commit = off")
        row = db.execute(query("prune"), (list(saga_ids), now)).fetchone()
    return int(row[0]) if row else 0


def forget(db: Connection, pruned_before: int, posted_before: int, limit: int) -> int:
    """Remove old traces with their start keys, and answered commands; how many."""
    with db.transaction():
        db.execute(query("delete_old_keys"), (pruned_before, limit))
        removed = db.execute(query("delete_old_pruned"), (pruned_before, limit)).rowcount
        return removed + db.execute(query("delete_old_commands"), (posted_before, limit)).rowcount


def _taken(row: tuple[object, ...] | None) -> Taken:
    return row[0] if row is not None and isinstance(row[0], dict) else {}


def _refused(
    db: Connection, address: Address, error: psycopg.Error, lease: Lease | None, frames: Sequence[FrameRow]
) -> Exception:
    """What a refusal of ours means; any other error as it is."""
    if error.sqlstate == LEASE_LOST and lease is not None:
        return lease_lost(address.shown, lease)
    if error.sqlstate == GAP:
        return gap_before(*_first(db, "select_gap", frames))
    if error.sqlstate == UNIQUE_VIOLATION and error.diag.table_name in ("amends_journal", "amends_open"):
        return exists_already(*_first(db, "select_existing", frames))
    return error


def _first(db: Connection, name: str, frames: Sequence[FrameRow]) -> tuple[str, int]:
    saga_ids, seqs, _, _ = frames_of(frames)
    found = db.execute(query(name), {"ids": saga_ids, "seqs": seqs}).fetchone()
    return (str(found[0]), int(found[1])) if found else ("of this batch", 1)
