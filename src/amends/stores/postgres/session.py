"""One connection to the server, used by one thread, made when it is needed and again when it is lost.

Rules of this file: whatever was under way on a connection that is lost raises `StoreUnavailable`, and the
next job connects anew; nothing is tried twice here, for only the caller knows what may be. A server that has
vanished without a word (a partition, a host that lost power) is noticed within some fifteen seconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ...errors import StoreError, StoreUnavailable, UsageError
from .faults import sorted_out
from .sql import query

T = TypeVar("T")
_QUOTED = re.compile(r'"[^"]*"')  # libpq repeats what it could not read, and that may be a part of a password
Connection = psycopg.Connection[tuple[Any, ...]]

# How long a connection may be silent before it counts as lost, unless the address says otherwise.
_DEFAULTS: dict[str, str] = {
    "application_name": "amends",
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "3",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
    "target_session_attrs": "read-write",
}


class Address:
    """A PostgreSQL address: what libpq is given, and what may be shown of it.

    Parameters:
        text: a URL `postgresql://...`, as libpq reads it.

    Raises:
        UsageError: libpq cannot read it.
    """

    def __init__(self, text: str) -> None:
        try:
            given = conninfo_to_dict(text)
        except psycopg.ProgrammingError as error:
            said = _QUOTED.sub('"..."', " ".join(str(error).split()))
            raise UsageError(
                f"PostgreSQL's libpq cannot read the store's address: {said}. Write "
                "postgresql://user@host:5432/database, with special signs of the password as %40 and the like (the "
                "address is not repeated here: it may hold a password)",
                code="AM2202",
            ) from None
        self.conninfo = make_conninfo(text, **{name: value for name, value in _DEFAULTS.items() if name not in given})
        host, user = given.get("host") or "", given.get("user")
        port, database = given.get("port"), given.get("dbname") or ""
        place = f"{host}:{port}" if port and "," not in str(host) else str(host)
        self.shown = f"postgresql://{f'{user}@' if user else ''}{place}/{database}"

    def __str__(self) -> str:
        return self.shown


class Session:
    """A connection that heals.

    Parameters:
        address: where to.
        name: what the server shows of it (`application_name` says "amends name").
    """

    def __init__(self, address: Address, name: str) -> None:
        self._address = address
        self._name = name
        self._db: Connection | None = None

    def use(self, job: Callable[[Connection], T]) -> T:
        """The job's answer, on a live connection. Raises StoreError."""
        try:
            if self._db is None:
                self._db = connect(self._address, self._name)
            return job(self._db)
        except psycopg.Error as error:
            if self._db is not None and (self._db.closed or self._db.broken):
                self.close()
            raise sorted_out(error, self._address.shown) from error
        except StoreUnavailable:
            self.close()
            raise
        except StoreError:
            raise

    def close(self) -> None:
        """Let the connection go; the next job makes another."""
        db, self._db = self._db, None
        if db is not None:
            db.close()


def connect(address: Address, name: str) -> Connection:
    """A connection set as the store needs it. Raises psycopg.Error."""
    db = psycopg.connect(address.conninfo, autocommit=True, prepare_threshold=1)
    try:
        db.execute(query("configure"), (f"amends {name}",))
    except BaseException:
        db.close()
        raise
    return db
