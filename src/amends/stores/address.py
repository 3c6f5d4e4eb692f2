"""From a store's address to the store.

Rules of this file: a backend is imported when its address asks for it, and not before. Nothing is
opened or made here; `Store.open` does that.
"""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from ..errors import UsageError
from .base import Store

_KNOWN = "sqlite:///relative.db, sqlite:////absolute/path.db, sqlite:// for memory, or postgresql://user@host/database"


def open_address(address: str, *, make: bool = True) -> Store:
    """The store for an address, not yet opened.

    Parameters:
        address: `sqlite:///relative.db`, `sqlite:////absolute.db`, `sqlite://` for memory, or `postgresql://...`.
        make: whether the tables may be made in a database that has none; a file is made all the same.

    Raises:
        UsageError: no store has such an address, or its driver is not installed.
    """
    scheme, separator, rest = address.partition("://")
    if not separator:
        raise UsageError(f"{address!r} is not a store address; write {_KNOWN}", code="AM2202")
    if scheme in ("postgresql", "postgres"):
        return _postgres(address, make=make)
    if scheme != "sqlite":
        raise UsageError(f"no store has addresses of the kind {scheme!r}; write {_KNOWN}", code="AM2202")
    return _sqlite(address, rest)


def _postgres(address: str, *, make: bool) -> Store:
    try:
        from .postgres import PostgresStore
    except ImportError as error:
        if error.name is None or not error.name.startswith("psycopg"):
            raise
        raise UsageError(
            f"a store on PostgreSQL needs psycopg, which cannot be imported ({error}): pip install 'amends[postgres]'",
            code="AM2203",
        ) from error
    return PostgresStore(address, make=make)


def _sqlite(address: str, rest: str) -> Store:
    if rest in ("", "/:memory:"):
        from .memory import MemoryStore

        return MemoryStore()
    if not rest.startswith("/") or rest == "/" or "\0" in rest:
        raise UsageError(
            f"{address!r} names no file: after sqlite:// comes a slash, then the path; {_KNOWN}", code="AM2202"
        )
    from .sqlite import SQLiteStore

    return SQLiteStore(rest[1:])


def shown(address: str) -> str:
    """The address without its password, for people to read."""
    parts = urlsplit(address)
    if not parts.scheme.startswith("postgres") or "@" not in parts.netloc:
        return address
    user, _, place = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}@{place}", query=""))
