"""What can be wrong with a PostgreSQL database, each with its own stable code.

    AM6041   StoreUnavailable   the server is not to be reached, or the connection was cut; whether the last write
                                landed is unknown
    AM6042   StoreUnavailable   another transaction is in the way, or the server has no room just now (a lock, a
                                deadlock, too many connections, a full disk); nothing of this write landed
    AM6043   StoreUnusable      the server refuses this user: a wrong password, no such role, pg_hba.conf
    AM6044   StoreUnusable      there is no such database
    AM6045   StoreUnusable      a privilege is missing
    AM6046   StoreUnusable      the server is too old
    AM6047   StoreUnusable      a newer release has changed the schema
    AM6048   StoreUnusable      a pooler that changes the server's session between transactions
    AM6049   StoreUnavailable   the server takes no writes: it is a standby, or set to read only
    AM6050   StoreFailed        any other refusal; nothing more is acknowledged
    AM6051   StoreUnusable      the database has no tables of ours, and they are not to be made

Rules of this file: causes are told by SQLSTATE, never by a text, for servers speak many languages; only what has
no SQLSTATE (a connection that never came about) is judged by what libpq says. Nothing here writes. No message
holds a password.
"""

from __future__ import annotations

import psycopg

from ...errors import StoreError, StoreFailed, StoreUnavailable, StoreUnusable

LEASE_LOST, GAP, PROJECTED = "AM002", "AM003", "AM004"  # raised by our own functions
UNIQUE_VIOLATION = "23505"

_CUT = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "57014"})  # and all of class 08
_IN_THE_WAY = frozenset({"40001", "40P01", "55P03", "53000", "53100", "53200", "53300", "53400", "58030"})
_READ_ONLY = frozenset({"25006"})
_NO_ENTRY = frozenset({"28000", "28P01"})
_NO_DATABASE = "3D000"
_NO_PRIVILEGE = "42501"
_RESTART = "Nothing more is acknowledged; what was acknowledged is safe. Mend the cause, then restart to recover"


def sorted_out(error: psycopg.Error, address: str) -> StoreError:
    """The error of a statement, or of a connection that did not come about."""
    state = error.sqlstate
    said = _one_line(error)
    if state in _NO_ENTRY or (state is None and _is_no_entry(said)):
        return StoreUnusable(
            f"{address} refuses this user: {said}. Check user and password in the address (or in PGPASSWORD, ~/.pgpass "
            "or a service file), and the server's pg_hba.conf",
            code="AM6043",
        )
    if state == _NO_DATABASE or (state is None and "database" in said and "does not exist" in said):
        return StoreUnusable(
            f"{address}: {said}. Make it first (CREATE DATABASE), or mend the address", code="AM6044"
        )  # fmt: skip
    if state == _NO_PRIVILEGE:
        return no_privilege(address, said)
    if state in _READ_ONLY:
        return read_only(address)
    cut = isinstance(error, psycopg.OperationalError) if state is None else state in _CUT or state.startswith("08")
    if cut:
        return StoreUnavailable(
            f"{address} is not to be reached: {said}. Whether the last write landed is unknown; it is sent again when "
            "the server answers. Check that it runs, and host and port",
            code="AM6041",
        )
    if state in _IN_THE_WAY:
        return StoreUnavailable(
            f"{address} could not do this just now: {said} ({state}); nothing of it landed. It is tried again",
            code="AM6042",
        )
    return StoreFailed(f"{address} refused a statement: {said} ({state}). {_RESTART}", code="AM6050")


def no_privilege(address: str, said: str) -> StoreUnusable:
    """The role may not do what the store must."""
    return StoreUnusable(
        f"{address}: {said}. The role needs CREATE on its schema to make the tables, or, where somebody else has made "
        "them (`amends migrate --print` shows the SQL), SELECT, INSERT, UPDATE and DELETE on all tables, USAGE on all "
        "sequences and EXECUTE on all functions named amends_*",
        code="AM6045",
    )


def read_only(address: str) -> StoreUnavailable:
    """The server is a standby, or the database is set to read only."""
    return StoreUnavailable(
        f"{address} takes no writes: it is a standby, or set to read only. Give the primary's address, or all hosts "
        "(postgresql://one,two/db): the one that writes is chosen",
        code="AM6049",
    )


def too_old(address: str, version: int, least: int) -> StoreUnusable:
    """The server lacks what the store needs."""
    return StoreUnusable(
        f"{address} is PostgreSQL {version // 10_000}; at least {least // 10_000} is needed. Upgrade the server",
        code="AM6046",
    )


def too_new(address: str, number: int, name: str) -> StoreUnusable:
    """The database holds a migration of a later release that this one cannot work beside."""
    return StoreUnusable(
        f"{address} was changed by a newer release of Amends (migration {number:04d}_post_{name}); it was left as it "
        "is. Install that release",
        code="AM6047",
    )


def no_tables(address: str) -> StoreUnusable:
    """The database has no tables of ours."""
    return StoreUnusable(
        f"there is no store in {address}; check the address, or make the tables with `amends migrate`, `amends worker` "
        "or `amends start`",
        code="AM6051",
    )


def pooled(address: str) -> StoreUnusable:
    """Two of our connections share one session of the server."""
    return StoreUnusable(
        f"{address} is a pooler that gives each transaction another session of the server (PgBouncer with "
        "pool_mode=transaction or statement): LISTEN and session settings do not work behind it. Give the server's own "
        "address, or that of a pool with pool_mode=session",
        code="AM6048",
    )


def _is_no_entry(said: str) -> bool:
    return any(sign in said for sign in ("authentication failed", "no pg_hba.conf entry", "no password supplied"))


def _one_line(error: psycopg.Error) -> str:
    text = error.diag.message_primary or str(error) or type(error).__name__
    return " ".join(text.split())
