"""Which migrations a database has, and applying the missing ones.

Whatever opens a database applies what it needs itself, where its role may: every missing `pre`, and a `post` only if a
later `pre` stands upon it. The last `post` waits for `amends migrate`, which is run when no process of the release
before is left.

Rules of this file: look before writing; all of it in one transaction, one process at a time. A migration of a later
release is no hindrance while it is a `pre`; its `post` is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import psycopg

from ..packaged import Migration, missing_of
from .faults import no_privilege, no_tables, pooled, read_only, too_new, too_old
from .session import Address, Connection, Session, connect
from .sql import migrations, query

T = TypeVar("T")

VERSION_MIN = 140_000  # the oldest release that the project itself still supports

MADE = """
CREATE TABLE IF NOT EXISTS amends_migrations (
    number integer PRIMARY KEY,
    kind   text NOT NULL,
    name   text NOT NULL
)
"""


def check_server(db: Connection, address: Address) -> None:
    """Refuse a server that cannot serve. Raises StoreError."""
    if db.info.server_version < VERSION_MIN:
        raise too_old(address.shown, db.info.server_version, VERSION_MIN)
    (recovering, only_read) = _one(db, "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only')")
    if recovering or only_read == "on":
        raise read_only(address.shown)
    if db.info.backend_pid != _one(db, "SELECT pg_backend_pid()")[0]:
        _check_pooler(db, address)


def _check_pooler(db: Connection, address: Address) -> None:
    """A pooler stands between. It must keep a session for each connection: two must never share one."""
    (first,) = _one(db, "SELECT pg_backend_pid()")
    with connect(address, "check") as other, other.transaction():
        if _one(other, "SELECT pg_backend_pid()")[0] == first:
            raise pooled(address.shown)


def applied(db: Connection, address: Address) -> set[int]:
    """The numbers of the migrations that a database has. Only reads. Raises StoreUnusable."""
    if _one(db, "SELECT to_regclass('amends_migrations')")[0] is None:
        return set()
    known = {migration.number for migration in migrations()}
    rows = db.execute("SELECT number, kind, name FROM amends_migrations ORDER BY number").fetchall()
    for number, kind, name in rows:
        if number not in known and kind == "post":
            raise too_new(address.shown, number, name)
    return {number for number, _, _ in rows}


def missing(has: set[int], *, last_post: bool) -> list[Migration]:
    """What is to be applied, in order; `last_post`: also what waits until no older release is left."""
    return missing_of(migrations(), has, last_post=last_post)


def migrate(db: Connection, address: Address, *, last_post: bool = False) -> list[Migration]:
    """Apply what is missing, all of it or nothing; what it was. Two processes may do so at once: one waits."""
    try:
        with db.transaction():
            db.execute(query("lock_members"))
            db.execute(MADE)
            done = missing(applied(db, address), last_post=last_post)
            for migration in done:
                db.execute(migration.text)
                db.execute("INSERT INTO amends_migrations VALUES (%s, %s, %s)", migration[:3])
    except psycopg.errors.InsufficientPrivilege as error:
        raise no_privilege(address.shown, str(error.diag.message_primary)) from error
    return done


def prepare(db: Connection, address: Address, *, make: bool) -> None:
    """Check a database and bring it up to what this release needs. Raises StoreError.

    Parameters:
        make: whether the tables may be made where there are none.
    """
    check_server(db, address)
    has = applied(db, address)
    if not (has or make):
        raise no_tables(address.shown)
    if missing(has, last_post=False):
        migrate(db, address)


def _one(db: Connection, text: str) -> tuple[object, ...]:
    row = db.execute(text).fetchone()
    assert row is not None
    return row


class DatabaseSchema:
    """The schema of one database, for `amends migrate`; see `packaged.Schema`."""

    def __init__(self, address: Address) -> None:
        self.place = address.shown
        self._address = address

    def known(self) -> tuple[Migration, ...]:
        """All migrations of this release."""
        return migrations()

    def applied(self) -> set[int]:
        """The numbers of those that the database has; only reads. Raises StoreError."""
        return self._on(lambda db: applied(db, self._address))

    def migrate(self) -> list[Migration]:
        """Apply all that is missing, the last `post` too; what it was. Raises StoreError."""

        def apply(db: Connection) -> list[Migration]:
            check_server(db, self._address)
            return migrate(db, self._address, last_post=True)

        return self._on(apply)

    def _on(self, job: Callable[[Connection], T]) -> T:
        session = Session(self._address, "migrate")
        try:
            return session.use(job)
        finally:
            session.close()
