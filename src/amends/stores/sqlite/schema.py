"""Which migrations a file has, and applying the missing ones.

Whatever opens a file applies what it needs itself: every missing `pre`, and a `post` only if a later `pre` stands
upon it, for then the release that needed what it removes is gone. The last `post` waits for `amends migrate`, which is
run when no process of the release before is left.

Rules of this file: look before writing, so that a file that is not ours to use is left as it is. A
migration of a later release is no hindrance while it is a `pre`; its `post` is.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ..packaged import missing_of
from .faults import check_path, is_busy, too_new, when_opening
from .sql import Migration, migrations, query, statements

_PAUSE_S = 0.01
_BUSY_S = 5.0  # how long `amends migrate` waits for a lock
APPLICATION_ID = 0x616D6E64  # "amnd": what `file` shows of a database that Amends made

_MADE = """
CREATE TABLE IF NOT EXISTS amends_migrations (
    number INTEGER PRIMARY KEY,
    kind   TEXT NOT NULL,
    name   TEXT NOT NULL
) STRICT
"""


def configure(db: sqlite3.Connection, busy_s: float) -> None:
    """Set what every connection that writes is set to.

    The first switch of a new file to WAL needs the file for itself, and SQLite does not wait for that by
    itself: of several processes that make one file at the same time, all but one would be told "locked".
    """
    until = time.monotonic() + busy_s
    for statement in statements(query("configure")):
        while True:
            try:
                db.execute(statement).fetchall()
                break
            except sqlite3.OperationalError as error:
                if not is_busy(error) or time.monotonic() > until:
                    raise
                time.sleep(_PAUSE_S)


def applied(db: sqlite3.Connection, path: Path) -> set[int]:
    """The numbers of the migrations that a file has. Only reads.

    Raises:
        StoreUnusable: the file was written by a newer release.
    """
    if not db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'amends_migrations'").fetchone()[0]:
        return set()
    rows = db.execute("SELECT number, kind, name FROM amends_migrations ORDER BY number").fetchall()
    known = {migration.number for migration in migrations()}
    for number, kind, name in rows:
        if number not in known and kind == "post":
            raise too_new(path, number, name)
    return {number for number, _, _ in rows}


def missing(has: set[int], *, last_post: bool) -> list[Migration]:
    """What is to be applied, in order; `last_post`: also what waits until no older release is left."""
    return missing_of(migrations(), has, last_post=last_post)


def check(db: sqlite3.Connection, path: Path) -> bool:
    """Whether a file has all that it needs to be used. Only reads. Raises StoreUnusable, as `applied`."""
    return not missing(applied(db, path), last_post=False)


def migrate(db: sqlite3.Connection, path: Path, *, last_post: bool = False) -> list[Migration]:
    """Apply what is missing, all of it or nothing; what it was.

    Two processes may do so at once: one waits for the other.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        if not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(_MADE)
        done = missing(applied(db, path), last_post=last_post)
        for migration in done:
            for statement in statements(migration.text):
                db.execute(statement)
            db.execute("INSERT INTO amends_migrations VALUES (?, ?, ?)", migration[:3])
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return done


@contextmanager
def connected(path: Path, *, busy_s: float, read_only: bool) -> Iterator[sqlite3.Connection]:
    """A connection for looking at a file's schema, or for changing it. Raises StoreError."""
    try:
        mode = "ro" if read_only else "rwc"
        address = f"{path.absolute().as_uri()}?mode={mode}"
        with closing(sqlite3.connect(address, uri=True, timeout=busy_s, isolation_level=None)) as db:
            yield db
    except sqlite3.Error as error:
        raise when_opening(error, path) from error


class FileSchema:
    """The schema of one file, for `amends migrate`; see `packaged.Schema`."""

    def __init__(self, path: Path) -> None:
        self.place = str(path)
        self._path = path

    def known(self) -> tuple[Migration, ...]:
        """All migrations of this release."""
        return migrations()

    def applied(self) -> set[int]:
        """The numbers of those that the file has; only reads, and makes no file."""
        if not self._path.exists():
            return set()
        with connected(self._path, busy_s=_BUSY_S, read_only=True) as db:
            return applied(db, self._path)

    def migrate(self) -> list[Migration]:
        """Apply all that is missing, the last `post` too; what it was."""
        check_path(self._path)
        with connected(self._path, busy_s=_BUSY_S, read_only=False) as db:
            applied(db, self._path)  # a newer release's file is refused before anything is written
            db.execute("PRAGMA journal_mode = WAL").fetchall()
            return migrate(db, self._path, last_post=True)
