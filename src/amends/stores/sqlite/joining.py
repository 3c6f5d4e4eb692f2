"""A start inside the caller's own transaction, on the caller's own connection.

    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO orders ...")
        start_in_transaction(connection, place_order, order, key=order.order_id)

Rules of this file:
  * **The transaction stays the caller's.** It is never begun, committed or rolled back here; a savepoint
    takes back what a refused start wrote, and the caller goes on.
  * **Write first, then look.** A transaction that began by reading could not wait for another writer
    any more: it would be told SQLITE_BUSY at once.
  * **The connection is a stranger's.** Its row and text factories, its converters and its way of beginning
    transactions are its own: they are neither relied on nor changed.
  * What is written is what `Writer.start` writes, and the definition, for the process that starts may
    never have opened an orchestrator.

Codes:
    AM2230  what was given is no connection of `sqlite3`
    AM2231  the connection has no open transaction
    AM2232  the connection is used in another thread than its own
    AM2233  the connection is on another file than the store, or in memory
    AM2234  the store is no file, so that there is no transaction to join
    AM6015  another program holds the file's write lock, or wrote since the transaction began to read
    AM6025  the start could not be written for another reason
    AM6038  the file has no tables of Amends, or those of another release
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import msgspec

from ...errors import StoreError, StoreFailed, StoreUnavailable, StoreUnusable, UsageError
from ..base import DefinitionRow, FrameRow, KeyRow
from ..held import Held
from ..messages import other_definition, refuse_nul
from .doorbell import ring_once
from .faults import is_busy, too_new
from .forking import refuse_behind_a_fork
from .sql import migrations, query

_MADE_BY = "open an Orchestrator of this release on the file once, before the first start in a transaction"
_migrations = msgspec.json.Decoder(list[tuple[int, str, str]])
_held = msgspec.json.Decoder(tuple[str, str])


def plain_connection(given: object) -> sqlite3.Connection:
    """The `sqlite3.Connection` that SQLAlchemy or Django wraps, or that was given itself.

    Raises:
        UsageError: AM2230.
    """
    inner: object = given
    for _ in range(3):  # SQLAlchemy: Connection.connection.driver_connection; Django: connection.connection
        if isinstance(inner, sqlite3.Connection):
            return inner
        inner = getattr(inner, "driver_connection", None) or getattr(inner, "connection", None)
    raise UsageError(
        f"transaction={given!r} is no connection of sqlite3: give a sqlite3.Connection, a connection of SQLAlchemy "
        "(session.connection()) or Django's (django.db.connection), on the sqlite3 driver",
        code="AM2230",
    )


def join(
    connection: sqlite3.Connection, frame: FrameRow, key: KeyRow | None, definition: DefinitionRow, path: Path | None
) -> Held | None:
    """Write a start into the connection's open transaction.

    Parameters:
        path: the store's file, which must be the connection's; None for whatever file it is.

    Returns:
        None when it is written, or who has the start key; then nothing is.

    Raises:
        UsageError, StoreError: see the codes above; the transaction is as it was.
        Conflict: the definition's version is registered with another structure.
    """
    refuse_behind_a_fork()
    if key is not None:
        refuse_nul([key])
    try:
        return _join(connection, frame, key, definition, path)
    except sqlite3.Error as error:
        raise _sorted(connection, error) from error


def _join(
    connection: sqlite3.Connection, frame: FrameRow, key: KeyRow | None, definition: DefinitionRow, path: Path | None
) -> Held | None:
    cursor = sqlite3.Connection.cursor(connection)
    cursor.row_factory = None  # the connection may make dicts or objects of its rows
    if not connection.in_transaction:
        raise UsageError(
            "the connection has no open transaction that the start could be a part of: begin one first, "
            'connection.execute("BEGIN IMMEDIATE"), and commit it after the start',
            code="AM2231",
        )
    cursor.execute("SAVEPOINT amends_start")
    written = False
    try:
        held = _write(cursor, frame, key, definition, path)
        written = held is None
    except sqlite3.OperationalError:
        _check_file(cursor, path)  # another file has no such tables, and is what is wrong
        raise
    finally:
        if connection.in_transaction:  # a full disk rolls the whole of it back
            if not written:
                cursor.execute("ROLLBACK TO amends_start")
            cursor.execute("RELEASE amends_start")
    if written:
        ring_once(_file(cursor), "work")  # before there is anything to see; who leads looks more often from now on
    return held


def _write(
    cursor: sqlite3.Cursor, frame: FrameRow, key: KeyRow | None, definition: DefinitionRow, path: Path | None
) -> Held | None:
    cursor.execute(query("join_frame"), (frame.saga_id, frame.seq, frame.body))
    cursor.execute(query("join_open"), (frame.saga_id,))
    if key is not None:
        cursor.execute(query("join_key"), (key.name, key.key, key.saga_id, key.input_hash))
    _check_file(cursor, path)
    look = (definition.name, definition.version, key.key if key else "")
    applied, fingerprint, held, first_frame = cursor.execute(query("join_look"), look).fetchone()
    _check_schema(_migrations.decode(applied))
    if fingerprint is None:
        cursor.execute(query("join_definition"), msgspec.structs.astuple(definition))
    elif fingerprint.decode() != definition.fingerprint:
        raise other_definition(definition, fingerprint.decode())
    if key is None:
        return None
    holder, input_hash = _held.decode(held)
    return None if holder == key.saga_id else Held(holder, input_hash, first_frame)


def _check_file(cursor: sqlite3.Cursor, path: Path | None) -> None:
    connected = _file(cursor)
    if path is None and connected:
        return
    if connected and path is not None and path.exists() and path.samefile(connected):
        return
    raise UsageError(
        f"the connection is on {connected or 'a database in memory'}, "
        f"and the store is {path or 'a file'}: a transaction cannot span the two. Connect to the store's file",
        code="AM2233",
    )


def _file(cursor: sqlite3.Cursor) -> str:
    file = cursor.execute("SELECT CAST(file AS BLOB) AS file FROM pragma_database_list WHERE name = 'main'").fetchone()
    return os.fsdecode(file[0] or b"")


def _check_schema(applied: list[tuple[int, str, str]]) -> None:
    """Older and newer files are refused: half a start would be worse than none."""
    known = {migration.number for migration in migrations()}
    for number, kind, name in applied:
        if number not in known and kind == "post":
            raise too_new(Path("the connection's file"), number, name)
    if not known <= {number for number, _, _ in applied}:
        raise StoreUnusable(
            f"the tables of Amends in the connection's file are of an older release: {_MADE_BY}", code="AM6038"
        )


def _sorted(connection: sqlite3.Connection, error: sqlite3.Error) -> StoreError | UsageError:
    said = str(error)
    if isinstance(error, sqlite3.ProgrammingError):
        return UsageError(
            f"the connection cannot be used here: {said}. A start in a transaction runs in the thread that calls it, "
            "so give the connection of that thread",
            code="AM2232",
        )
    if is_busy(error):
        return StoreUnavailable(
            f"the start could not be written: {said}. Another program writes, or has written since this transaction "
            "began to read. Roll back and try again, and begin with BEGIN IMMEDIATE",
            code="AM6015",
        )
    if "no such table: main.amends_" in said:
        return StoreUnusable(f"the connection's file has no tables of Amends: {_MADE_BY}", code="AM6038")
    left = "it is as it was before the start" if _in_transaction(connection) else "SQLite has rolled all of it back"
    return StoreFailed(f"the start could not be written into the transaction ({left}): {said}", code="AM6025")


def _in_transaction(connection: sqlite3.Connection) -> bool:
    try:
        return connection.in_transaction
    except sqlite3.Error:
        return False
