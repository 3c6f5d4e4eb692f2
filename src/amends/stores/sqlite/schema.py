"""Which migrations a file has, and applying the missing ones.

Rules of this file: look before writing, so that a file that is not ours to use is left as it is. A
migration of a later release is no hindrance while it is a `pre`; its `post` is.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from .faults import too_new
from .sql import migrations, statements

APPLICATION_ID = 0x616D6E64  # "amnd": what `file` shows of a database that Amends made

_MADE = """
CREATE TABLE IF NOT EXISTS amends_migrations (
    number INTEGER PRIMARY KEY,
    kind   TEXT NOT NULL,
    name   TEXT NOT NULL
) STRICT
"""


def check(db: sqlite3.Connection, path: Path) -> bool:
    """Whether every migration is applied. Only reads.

    Raises:
        StoreUnusable: the file was written by a newer release.
    """
    if not db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'amends_migrations'").fetchone()[0]:
        return False
    applied = db.execute("SELECT number, kind, name FROM amends_migrations ORDER BY number").fetchall()
    known = {migration.number for migration in migrations()}
    for number, kind, name in applied:
        if number not in known and kind == "post":
            raise too_new(path, number, name)
    return known <= {number for number, _, _ in applied}


def migrate(db: sqlite3.Connection) -> None:
    """Apply what is missing, all of it or nothing. Two processes may do so at once: one waits for the other."""
    db.execute("BEGIN IMMEDIATE")
    try:
        if not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(_MADE)
        applied = {number for (number,) in db.execute("SELECT number FROM amends_migrations")}
        for migration in migrations():
            if migration.number not in applied:
                for statement in statements(migration.text):
                    db.execute(statement)
                db.execute("INSERT INTO amends_migrations VALUES (?, ?, ?)", migration[:3])
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
