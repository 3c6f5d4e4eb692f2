"""What a doctor wants to know of a database: facts, without a judgement.

Rules of this file: it reads only.
"""

from __future__ import annotations

from typing import NamedTuple

from ..base import Owner
from .session import Connection
from .sql import query


class Facts(NamedTuple):
    """The server, and what waits in the store. Times in milliseconds of the server's clock."""

    version: str
    fsync: bool
    full_page_writes: bool
    synchronous_commit: str  # as the database and the role have it; a session of ours never has "off"
    standbys: str
    connections_max: int
    connections: int
    now: int
    autovacuum: bool
    behind: int  # frames that lists do not hold yet, 64,000 at most
    commands: int
    oldest_command: int
    shards_free: int
    waiting: int
    workers: tuple[tuple[Owner, int, int], ...]  # who, until when, how many shards


def facts(db: Connection) -> Facts:
    """All of it, as of about now."""
    server = db.execute(query("select_facts")).fetchone()
    backlog = db.execute(query("select_backlog")).fetchone()
    assert server is not None
    assert backlog is not None
    version, fsync, pages, commit, standbys, most, connections, now, autovacuum = server
    held: dict[int, int] = dict(db.execute("SELECT epoch, count(*) FROM amends_shards GROUP BY epoch").fetchall())
    workers = tuple(
        (Owner(*owner), expires, held.get(epoch, 0))
        for epoch, expires, *owner in db.execute(query("select_workers")).fetchall()
    )
    behind, commands, oldest, free, waiting = backlog
    return Facts(
        version, fsync == "on", pages == "on", commit, standbys, most, connections, now, autovacuum == "on",
        behind, commands, oldest, free, waiting, workers,
    )  # fmt: skip
