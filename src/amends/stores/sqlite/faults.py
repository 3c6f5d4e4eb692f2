"""What can be wrong with a database file, each with its own stable code.

    AM6011   StoreUnavailable   locked by another program when it was opened
    AM6012   StoreUnavailable   locked by another program during a write; nothing of it was written
    AM6013   StoreUnavailable   locked by another program during a read
    AM6021   StoreFailed        the disk is full
    AM6022   StoreFailed        an I/O error, a failed fsync among them
    AM6023   StoreFailed        any other failure of a write; nothing more is acknowledged
    AM6024   StoreFailed        the store is closed
    AM6031   StoreUnusable      not an SQLite database
    AM6032   StoreUnusable      written by a newer release
    AM6033   StoreUnusable      a directory
    AM6034   StoreUnusable      its directory does not exist
    AM6035   StoreUnusable      no permission, or a read-only file system
    AM6036   StoreUnusable      damaged
    AM6037   StoreUnusable      it cannot be opened for another reason

Rules of this file: causes are told by SQLite's result code, never by its text. Nothing here writes.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from ...errors import StoreError, StoreFailed, StoreUnavailable, StoreUnusable

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FORMAT})
_FORBIDDEN = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_CANTOPEN})

_RESTART = "Nothing more is acknowledged; what was acknowledged is safe. Mend the cause, then restart to recover"


def check_path(path: Path) -> None:
    """Refuse a path that cannot be a database, before SQLite makes or touches a file there."""
    try:
        if path.is_dir():
            raise StoreUnusable(f"{path} is a directory; give the path of a database file in it", code="AM6033")
        if not path.parent.is_dir():
            raise StoreUnusable(
                f"{path} cannot be made, since the directory {path.parent} does not exist; make it first", code="AM6034"
            )
        writable = _may(path.parent, os.W_OK | os.X_OK) and (not path.exists() or _may(path, os.R_OK | os.W_OK))
    except OSError as error:  # a directory on the way that may not be entered
        raise _forbidden(path) from error
    if not writable:
        # SQLite would open the file for reading only, and the first write would be the one to fail.
        raise _forbidden(path)


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def when_opening(error: sqlite3.Error, path: Path) -> StoreError:
    """The error of a database that could not be opened, checked or migrated."""
    code = _primary(error)
    if code in _BUSY:
        return StoreUnavailable(
            f"{path} is locked by another program; nothing was changed. Wait for it, or close it, and open again "
            f"({_name(error)})",
            code="AM6011",
        )
    if code == sqlite3.SQLITE_NOTADB:
        return StoreUnusable(
            f"{path} is not an SQLite database; it was left as it is. Give another path ({_name(error)})", code="AM6031"
        )
    if code in _FORBIDDEN:
        return _forbidden(path, error)
    if code in _DAMAGED:
        return damaged(error, path)
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return when_writing(error, path)
    return StoreUnusable(f"{path} cannot be opened: {error} ({_name(error)}); nothing was changed", code="AM6037")


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another program's lock is all that is wrong."""
    return _primary(error) in _BUSY


def when_writing(error: sqlite3.Error, path: Path) -> StoreError:
    """The error of a write that did not land."""
    code = _primary(error)
    if code in _BUSY:
        return StoreUnavailable(
            f"{path} is locked by another program; nothing of this write landed. Send it again ({_name(error)})",
            code="AM6012",
        )
    if code == sqlite3.SQLITE_FULL:
        return StoreFailed(
            f"the disk of {path} is full, and a write failed ({_name(error)}). {_RESTART}", code="AM6021"
        )
    if code == sqlite3.SQLITE_IOERR:
        return StoreFailed(f"a write to {path} failed: {error} ({_name(error)}). {_RESTART}", code="AM6022")
    return StoreFailed(f"a write to {path} failed: {error} ({_name(error)}). {_RESTART}", code="AM6023")


def when_reading(error: sqlite3.Error, path: Path) -> StoreError:
    """The error of a read."""
    code = _primary(error)
    if code in _BUSY:
        return StoreUnavailable(f"{path} is locked by another program; read again ({_name(error)})", code="AM6013")
    if code in _DAMAGED or code == sqlite3.SQLITE_NOTADB:
        return damaged(error, path)
    return StoreFailed(f"a read of {path} failed: {error} ({_name(error)}). {_RESTART}", code="AM6022")


def refused_for_good(first: StoreFailed, path: Path) -> StoreFailed:
    """The answer to every write after one that failed."""
    return StoreFailed(f"{path} takes no more writes since one failed. {_RESTART}. The first: {first}", code=first.code)


def too_new(path: Path, number: int, name: str) -> StoreUnusable:
    """The file holds a migration of a later release that this one cannot work beside."""
    return StoreUnusable(
        f"{path} was written by a newer release of Amends (migration {number:04d}_post_{name}); it was left as it is. "
        "Install that release, or give another path",
        code="AM6032",
    )


def damaged(error: sqlite3.Error, path: Path) -> StoreUnusable:
    """The file is an SQLite database with damaged pages."""
    return StoreUnusable(
        f"{path} is damaged: {error} ({_name(error)}). Stop every program that uses it, copy the file with its -wal "
        "beside it, and restore a backup or salvage it with the sqlite3 shell's .recover",
        code="AM6036",
    )


def _forbidden(path: Path, error: sqlite3.Error | None = None) -> StoreUnusable:
    why = f" ({_name(error)})" if error else ""
    return StoreUnusable(
        f"{path} cannot be written{why}; nothing was changed. This process needs read and write permission on the "
        "file and on its directory, on a file system that is not mounted read-only",
        code="AM6035",
    )


def _primary(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def _name(error: sqlite3.Error) -> str:
    return str(getattr(error, "sqlite_errorname", None) or type(error).__name__)
