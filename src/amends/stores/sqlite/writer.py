"""Everything that writes: functions on the writer's connection, in its thread.

Rules of this file: a batch is one call into SQLite, and so one transaction with one fsync; the
connection is in autocommit, and a refusal rolls all of it back. Everything else that writes is rare,
and opens its transaction in the usual way.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgspec

from ...errors import AmendsError, StoreError, StoreFailed
from ..base import Batch, DefinitionRow, FrameRow, Lease, Owner
from ..gathering import Start
from ..messages import exists_already, gap_before, lease_lost, other_definition
from ..owner import is_gone
from ..posting import Post
from . import transacting
from .faults import check_path, is_busy, refused_for_good, when_opening, when_writing
from .reader import Folded
from .schema import check, configure, migrate
from .sql import query, statements

_encode = msgspec.json.encode

# SQLite's own waiting for the write lock backs off to 100 ms, so that beside busy writers a patient one is
# passed over for seconds. Given so little time it sleeps 1 and 2 ms, and we ask again: everybody has the
# same chance (bench/many_processes.py: p99 of a start 1,700 ms before, 280 after).
_BUSY_MS = 3
_PART_BYTES_MAX = 256 * 1_048_576  # SQLite takes up to 10^9 bytes as one value


class Writer:
    """The one connection that writes to a file.

    After a failed write it refuses every later one: a failed fsync is never tried again, for the
    kernel may have dropped the pages it could not write.

    Parameters:
        path: the database file.
        busy_s: how long a write waits for another program's lock, in seconds.
    """

    def __init__(self, path: Path, busy_s: float) -> None:
        self._path = path
        self._busy_s = busy_s
        self._taken: dict[str, str] = {}
        self._bench = transacting.Bench(path, busy_s, lambda db: self._equip(db, "apply_batch"))
        self._failed: StoreFailed | None = None
        self._version = -1

    def connect(self) -> sqlite3.Connection:
        """Open, check, migrate. Raises StoreUnusable, StoreUnavailable or StoreFailed."""
        check_path(self._path)
        db: sqlite3.Connection | None = None
        try:
            db = sqlite3.connect(self._path, timeout=self._busy_s, isolation_level=None)
            complete = check(db, self._path)
            configure(db, self._busy_s)
            if not complete:
                migrate(db, self._path)
            self._equip(db, "apply_batch", "apply_projection", "apply_pruning")
            if db.execute(query("select_outdated")).fetchone()[0]:
                self.clear_projection(db)
            self.changed(db)
            return db
        except sqlite3.Error as error:
            if db is not None:
                db.close()
            raise when_opening(error, self._path) from error
        except StoreError:
            if db is not None:
                db.close()
            raise

    def disconnect(self, db: sqlite3.Connection) -> None:
        """Close everything."""
        self._bench.close()
        db.close()

    def _equip(self, db: sqlite3.Connection, *names: str) -> None:
        db.create_function("amends_taken", 2, self._taken.__setitem__)
        for name in names:
            for statement in statements(query(name)):
                db.execute(statement)
        db.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")

    # -- batches ---------------------------------------------------------------------------------

    def commit(self, db: sqlite3.Connection, lease: Lease, batch: Batch) -> dict[str, str]:
        """Apply a batch; see Store.commit."""
        return self._apply(db, lease, batch)

    def start(self, db: sqlite3.Connection, starts: Sequence[Start]) -> dict[str, str]:
        """Start sagas without a lease, all or none of them; the answer is that of `commit`."""
        frames = [frame for frame, _ in starts]
        keys = [key for _, key in starts if key is not None]
        batch = Batch(0, frames=frames, opened=[frame.saga_id for frame in frames], keys=keys)
        try:
            return self._apply(db, None, batch)
        except AmendsError as error:
            # A start that is sent again after its answer was lost is the same start.
            if error.code == "AM4101" and len(frames) == 1 and self._holds(db, frames[0]):
                return {}
            raise

    def _apply(self, db: sqlite3.Connection, lease: Lease | None, batch: Batch) -> dict[str, str]:
        with self._writing() if _part(batch.frames, 0) == len(batch.frames) else self._transaction(db):
            return self._insert(db, lease, batch)

    def _insert(self, db: sqlite3.Connection, lease: Lease | None, batch: Batch) -> dict[str, str]:
        self._taken.clear()
        frames, at = batch.frames, _part(batch.frames, 0)
        bound = _bound(lease.epoch if lease else 0, batch, frames[:at])
        try:
            self._insist(db, query("insert_batch"), bound)
            while at < len(frames):
                # The rest of a batch too big for one value: its lease and number were just checked.
                end = _part(frames, at)
                bound = _bound(0, Batch(0, frames=frames[at:end], keys=batch.keys), frames[at:end])
                db.execute(query("insert_batch"), bound)
                at = end
        except sqlite3.IntegrityError as error:
            return self._refused(db, error, lease, *_described(batch))
        return dict(self._taken)

    def _refused(
        self, db: sqlite3.Connection, error: sqlite3.Error, lease: Lease | None, index: str, keys: str
    ) -> dict[str, str]:
        said = str(error)
        if said == "amends: applied before":
            taken: dict[str, str] = msgspec.json.decode(db.execute(query("select_taken"), (keys,)).fetchone()[0])
            return taken
        if db.in_transaction:
            db.execute("ROLLBACK")  # what an earlier part wrote must not be taken for what was there before
        if said == "amends: lease lost" and lease is not None:
            raise lease_lost(str(self._path), lease) from error
        if said == "amends: gap":
            raise gap_before(*_first(db, "select_gap", index)) from error
        if error.sqlite_errorcode in (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY):
            raise exists_already(*_first(db, "select_existing", index)) from error
        raise error

    def _holds(self, db: sqlite3.Connection, frame: FrameRow) -> bool:
        with self._writing():
            found = db.execute(
                "SELECT body FROM amends_journal WHERE saga_id = ? AND seq = ?", (frame.saga_id, frame.seq)
            ).fetchone()
        return bool(found and found[0] == frame.body)

    def transact(
        self,
        db: sqlite3.Connection,
        lease: Lease,
        batch: Batch,
        body: Callable[[sqlite3.Connection], FrameRow],
        limit_ms: int,
    ) -> tuple[dict[str, str], BaseException | None]:
        """Commit a body's writes, the frame it makes and a batch together; see Transacting.transact."""
        try:
            with self._writing(), self._bench.connection() as own, self._transaction(own, transacting.committing):
                self._check_new(own, lease, batch)
                row = self._bench.run(own, body, limit_ms)
                return self._insert(own, lease, replace(batch, frames=[*batch.frames, row])), None
        except transacting.Undone as undone:  # it left no trace: the batch goes on without it
            empty = not (batch.frames or batch.answered or batch.due)
            return {} if empty else self._apply(db, lease, batch), undone.__cause__

    def _check_new(self, db: sqlite3.Connection, lease: Lease, batch: Batch) -> None:
        """Before a body runs: a batch that was applied would be skipped behind it, and its writes be kept."""
        applied = db.execute(query("select_applied"), (lease.epoch,)).fetchone()
        if applied is None:
            raise lease_lost(str(self._path), lease)
        if applied[0] >= batch.number:
            raise refused_for_good(StoreFailed(f"batch {batch.number} was applied before", code="AM6023"), self._path)

    # -- the lease -------------------------------------------------------------------------------

    def acquire(self, db: sqlite3.Connection, owner: Owner, ttl_ms: int, now: int) -> Lease | None:
        """Take the lease, unless a living holder's has not expired."""
        with self._transaction(db):
            epoch, expires, *held = db.execute(query("select_lease")).fetchone()
            if held[0] and expires > now and not is_gone(Owner(*held)):
                return None
            lease = Lease(epoch + 1, owner.id, now + ttl_ms)
            db.execute(
                query("take_lease"),
                (
                    lease.epoch,
                    lease.expires,
                    owner.id,
                    owner.host,
                    owner.boot_id,
                    owner.pid,
                    owner.process_started,
                ),
            )
        return lease

    def renew(self, db: sqlite3.Connection, lease: Lease, ttl_ms: int, now: int) -> Lease:
        """Move the lease's end. Raises LeaseLost."""
        self._on_lease(db, lease, "renew_lease", (lease.epoch, now + ttl_ms))
        return Lease(lease.epoch, lease.owner, now + ttl_ms)

    def release(self, db: sqlite3.Connection, lease: Lease) -> None:
        """Give the lease up. Raises LeaseLost."""
        self._on_lease(db, lease, "release_lease", (lease.epoch,))

    def _on_lease(self, db: sqlite3.Connection, lease: Lease, name: str, bound: tuple[int, ...]) -> None:
        with self._writing():
            touched = self._insist(db, query(name), bound).rowcount
        if touched == 0:
            raise lease_lost(str(self._path), lease)

    # -- the rest --------------------------------------------------------------------------------

    def post(self, db: sqlite3.Connection, posts: Sequence[Post]) -> Sequence[int]:
        """Put commands into the inbox; their ids, in order."""
        rows = _encode([(saga_id, body.decode(), now) for saga_id, body, now in posts]).decode()
        with self._writing():
            last = self._insist(db, query("insert_commands"), (rows,)).lastrowid
        return range(int(last or 0) - len(posts) + 1, int(last or 0) + 1)

    def register(self, db: sqlite3.Connection, rows: Sequence[DefinitionRow]) -> None:
        """Remember definitions, all of them or none. Raises Conflict."""
        with self._transaction(db):
            for row in rows:
                db.execute(query("insert_definition"), msgspec.structs.astuple(row))
                (known,) = db.execute(query("select_fingerprint"), (row.name, row.version)).fetchone()
                if known != row.fingerprint:
                    raise other_definition(row, known)

    def project(self, db: sqlite3.Connection, folded: Folded) -> bool:
        """Write folded summaries; False when another has moved the mark meanwhile."""
        with self._writing():
            try:
                self._insist(db, query("insert_projected"), (folded.before, folded.after, *folded.listed))
            except sqlite3.IntegrityError as error:
                if str(error) == "amends: projected before":
                    return False
                raise
        return True

    def clear_projection(self, db: sqlite3.Connection) -> None:
        """Forget every summary and set the mark to the journal's beginning."""
        with self._transaction(db):
            for statement in statements(query("clear_projection")):
                db.execute(statement)

    def changed(self, db: sqlite3.Connection) -> bool:
        """Whether another connection wrote since the last call.

        SQLite answers this per connection, and leaves a connection's own writes out; so it must be
        asked on the one that writes.
        """
        with self._writing():
            (version,) = db.execute("PRAGMA data_version").fetchone()
        known, self._version = self._version, version
        return bool(version != known)

    # -- pruning ---------------------------------------------------------------------------------

    def prune(self, db: sqlite3.Connection, saga_ids: Sequence[str], now: int) -> int:
        """Remove those of the sagas that may be removed; how many are gone."""
        asked = _encode(saga_ids).decode()
        with self._writing():
            self._insist(db, query("insert_pruning"), (asked, now))
            return int(db.execute(query("count_pruned"), (asked,)).fetchone()[0])

    def forget(self, db: sqlite3.Connection, pruned_before: int, posted_before: int, limit: int) -> int:
        """Remove old traces with their start keys, and answered commands; how many."""
        with self._transaction(db):
            db.execute(query("delete_old_keys"), (pruned_before, limit))
            removed = db.execute(query("delete_old_pruned"), (pruned_before, limit)).rowcount
            return removed + db.execute(query("delete_old_commands"), (posted_before, limit)).rowcount

    def shrink(self, db: sqlite3.Connection) -> int:
        """Write the file anew without its free pages, and empty the WAL; the bytes that were given back."""
        with self._writing():
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # what is in the WAL only belongs to the size
            before = self._path.stat().st_size
            self._insist(db, "VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            return max(0, before - self._path.stat().st_size)

    # -- guards ----------------------------------------------------------------------------------

    @contextmanager
    def _transaction(
        self, db: sqlite3.Connection, committing: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> Iterator[None]:
        with self._writing():
            self._insist(db, "BEGIN IMMEDIATE")
            try:
                yield
                with committing():
                    db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    def _insist(self, db: sqlite3.Connection, text: str, bound: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run a statement that takes the write lock; wait for others to give it back, up to `busy_s`."""
        give_up = time.monotonic() + self._busy_s
        while True:
            try:
                return db.execute(text, bound)
            except sqlite3.OperationalError as error:
                if not is_busy(error) or time.monotonic() >= give_up:
                    raise

    @contextmanager
    def _writing(self) -> Iterator[None]:
        if self._failed is not None:
            raise refused_for_good(self._failed, self._path)
        try:
            yield
        except sqlite3.Error as error:
            sorted_out = when_writing(error, self._path)
            if isinstance(sorted_out, StoreFailed):
                self._failed = sorted_out
            raise sorted_out from error


def _part(frames: Sequence[FrameRow], begin: int) -> int:
    """Where the part that begins at `begin` ends, so that its bodies fit into one bound value."""
    size = 0
    for at in range(begin, len(frames)):
        size += len(frames[at].body)
        if size > _PART_BYTES_MAX and at > begin:
            return at
    return len(frames)


def _described(batch: Batch) -> tuple[str, str]:
    return _encode([(row.saga_id, row.seq) for row in batch.frames]).decode(), _encode(batch.keys).decode()


def _bound(epoch: int, batch: Batch, frames: Sequence[FrameRow]) -> tuple[int | str | bytes, ...]:
    sets = (batch.opened, batch.keys, batch.closed, batch.due, batch.answered)
    return (epoch, batch.number, *_packed(frames), *(_encode(each).decode() for each in sets))


def _packed(frames: Sequence[FrameRow]) -> tuple[str, bytes]:
    # The bodies begin at 2: SQLite takes the substr of an empty blob for NULL, so it is never empty.
    bodies = [row.body for row in frames]
    sizes = [len(body) for body in bodies]
    places = accumulate(sizes[:-1], initial=2)
    index = list(zip([row.saga_id for row in frames], [row.seq for row in frames], places, sizes, strict=False))
    return _encode(index).decode(), b"".join([b"\0", *bodies])


def _first(db: sqlite3.Connection, name: str, index: str) -> tuple[str, int]:
    found = db.execute(query(name), (index,)).fetchone()
    return (str(found[0]), int(found[1])) if found else ("of this batch", 1)
