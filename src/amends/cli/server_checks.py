"""The doctor's checks of a store on PostgreSQL: the server's settings, the workers, and what waits.

Rules of this file: those of `machine_checks`. What the server is told to do is said as SQL or as a command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..stores.owner import is_gone
from ..stores.postgres.inspecting import Facts
from .findings import Finding

WAITING_MS = 60_000
CLOCK_MS = 5_000
BEHIND_FRAMES = 20_000
CONNECTIONS_SHARE = 0.9
_WORKER = "start one: `amends worker --app module:object`"


def server(facts: Facts, _: int) -> Iterator[Finding]:
    """Which server it is."""
    yield Finding("server", "ok", f"PostgreSQL {facts.version}")


def durability(facts: Facts, _: int) -> Iterator[Finding]:
    """Whether what was acknowledged survives a crash."""
    if not facts.fsync or not facts.full_page_writes:
        what = "fsync" if not facts.fsync else "full_page_writes"
        yield Finding(
            "durability", "error", f"the server runs with {what}=off: a crash loses or damages what was acknowledged",
            f"ALTER SYSTEM SET {what} = on, and restart it",
        )  # fmt: skip
        return
    if facts.synchronous_commit == "off":
        yield Finding(
            "durability", "note", "synchronous_commit is off here; Amends turns it on for its own connections. A start "
            "in your own transaction is flushed as that transaction is",
        )  # fmt: skip
    yield Finding("durability", "ok", "each commit is flushed to the disk (fsync, full_page_writes)")
    if facts.standbys:
        yield Finding("standby", "ok", f"commits wait for standbys: {facts.standbys}")
    else:
        yield Finding(
            "standby", "note", "no synchronous standby: a failover may lose what was acknowledged last",
            "set synchronous_standby_names, if you fail over",
        )  # fmt: skip


def room(facts: Facts, _: int) -> Iterator[Finding]:
    """Whether there are connections left."""
    said = f"{facts.connections} of {facts.connections_max} connections are in use"
    if facts.connections > facts.connections_max * CONNECTIONS_SHARE:
        yield Finding(
            "connections", "warning", said,
            "raise max_connections, or pool those of other services; a worker takes up to 5"
        )  # fmt: skip
    else:
        yield Finding("connections", "ok", said)


def vacuum(facts: Facts, _: int) -> Iterator[Finding]:
    """Whether the space of what was removed is used again."""
    if facts.autovacuum:
        yield Finding("autovacuum", "ok", "autovacuum is on")
    else:
        yield Finding(
            "autovacuum", "error", "autovacuum is off: the tables grow for ever, pruned or not",
            "ALTER SYSTEM SET autovacuum = on",
        )  # fmt: skip


def clock(facts: Facts, now: int) -> Iterator[Finding]:
    """How far this machine's clock is from the server's."""
    apart = abs(facts.now - now)
    said = f"this machine's clock is {apart / 1000:,.1f} s from the server's"
    if apart > CLOCK_MS:
        yield Finding(
            "clock", "note", f"{said}; sagas go by the server's, so nothing is wrong with them",
            "set it by NTP all the same",
        )  # fmt: skip
    else:
        yield Finding("clock", "ok", said)


def workers(facts: Facts, _: int) -> Iterator[Finding]:
    """Whether every shard is run."""
    alive = [(owner, shards) for owner, expires, shards in facts.workers if expires > facts.now and not is_gone(owner)]
    for owner, expires, _shards in facts.workers:
        if is_gone(owner):
            yield Finding("workers", "warning", f"worker process {owner.pid} on this host has died", _WORKER)
        elif expires <= facts.now:
            late = (facts.now - expires) / 1000
            where = f"process {owner.pid} on {owner.host.partition('/')[0]}"
            yield Finding(
                "workers", "warning", f"the lease of {where} ran out {late:,.0f} s ago", "look whether it hangs"
            )  # fmt: skip
    if not alive:
        yield Finding("workers", "note", "no worker runs sagas of this store", _WORKER)
    elif facts.shards_free:
        yield Finding(
            "workers", "note", f"{facts.shards_free} shards have no worker at this moment",
            "look again; they are moving",
        )  # fmt: skip
    else:
        told = ", ".join(f"{owner.pid} on {owner.host.partition('/')[0]}: {shards}" for owner, shards in alive)
        yield Finding("workers", "ok", f"{len(alive)} worker(s) share all shards ({told})")


def inbox(facts: Facts, _: int) -> Iterator[Finding]:
    """Whether commands wait for nobody."""
    if not facts.commands:
        yield Finding("inbox", "ok", "no command waits")
        return
    waits_s = (facts.now - facts.oldest_command) / 1000
    if waits_s * 1000 > WAITING_MS:
        yield Finding(
            "inbox", "warning", f"{facts.commands:,} command(s) waiting, the oldest for {waits_s:,.0f} s",
            f"look into the workers' logs (a cancel waits for its pivot's outcome), or {_WORKER}",
        )  # fmt: skip
    else:
        yield Finding("inbox", "ok", f"{facts.commands:,} command(s) being applied")


def projection(facts: Facts, _: int) -> Iterator[Finding]:
    """Whether the lists are near the journal."""
    said = f"lists are {facts.behind:,} frames behind the journal, at least"
    if facts.behind > BEHIND_FRAMES:
        yield Finding(
            "projection", "warning", said, "the next `amends list` brings them up, and takes a while for it"
        )  # fmt: skip
    else:
        yield Finding("projection", "ok", said)


ServerCheck = Callable[[Facts, int], Iterator[Finding]]
SERVER_CHECKS: tuple[ServerCheck, ...] = (
    server, durability, room, vacuum, clock, workers, inbox, projection,
)  # fmt: skip
