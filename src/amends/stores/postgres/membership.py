"""Who runs which shard: joining, staying, moving shards, leaving. Functions on a connection.

A worker's lease is one row with an epoch of its own; its shards bear that epoch. So a heartbeat is one
UPDATE, however many shards there are, and a worker that is over loses all of them at once.

    join     take the free shards, or what of them is one's share; with none free, say that one waits
    renew    the heartbeat; it also tells how many others there are, so that each knows its share
    give     a worker that has more than its share lets some go, when it has written all that it had of them
    take     a worker that has less takes what is free
    leave    all of it is free at once

The safety of all that rests on one lock. A commit updates its worker's row, and whoever takes the shards of
a lease that is over deletes that row first: either the commit has landed by then, and the new holder reads what
it wrote, or it finds the row gone and is refused.

Rules of this file: each verb is one transaction, behind one lock (renewals need none); time is an argument.
"""

from __future__ import annotations

from typing import Any

from ...core.shards import SHARDS
from ..base import Lease, Owner, Standing
from ..messages import lease_lost
from ..owner import is_gone
from .session import Address, Connection
from .sql import query


def join(
    db: Connection, owner: Owner, ttl_ms: int, now: int, definitions: list[str]
) -> tuple[Lease, frozenset[int]] | None:
    """A lease with the next epoch and its shards; None, and one waits, while every shard has a living holder.

    Parameters:
        definitions: what the worker can run.
    """
    with db.transaction():
        db.execute(query("lock_members"))
        _remove_over(db, now, asks=owner.id)
        asked = {"now": now, "owner": owner.id, "definitions": definitions}
        free, needed, workers, waiting = _row(db, "select_free", asked)
        if not free:
            db.execute(query("wait"), (owner.id, now + ttl_ms))
            return None
        mine = free[: max(needed, share(workers + waiting + 1))]
        (epoch,) = _row(db, "next_epoch")
        db.execute(
            query("insert_worker"),
            (epoch, now + ttl_ms, owner.id, owner.host, owner.boot_id, owner.pid, owner.process_started,
             definitions),
        )  # fmt: skip
        db.execute(query("take_shards"), (epoch, mine))
        db.execute(query("stop_waiting"), (owner.id, now))
    return Lease(epoch, owner.id, now + ttl_ms), frozenset(mine)


def renew(
    db: Connection, address: Address, lease: Lease, ttl_ms: int, now: int, definitions: list[str]
) -> tuple[Lease, Standing]:
    """The same epoch with a later end. Raises LeaseLost."""
    expires = now + ttl_ms
    found, mine, free, workers, waiting, next_end, others, time, misplaced, needed = _row(
        db, "renew", {"epoch": lease.epoch, "expires": expires, "now": now, "definitions": definitions}
    )
    if found is None:
        raise lease_lost(address.shown, lease)
    some_gone = any(is_gone(Owner(*other[1:])) for other in others)
    standing = Standing(
        frozenset(mine), free, share(workers + waiting), next_end or 0, some_gone, time,
        frozenset(misplaced), frozenset(needed),
    )  # fmt: skip
    return Lease(lease.epoch, lease.owner, expires), standing


def take(db: Connection, lease: Lease, now: int, definitions: list[str]) -> frozenset[int]:
    """Take free shards, those of leases that are over among them, up to one's share; which. And those that need it."""
    with db.transaction():
        db.execute(query("lock_members"))
        _remove_over(db, now)
        asked = {"now": now, "owner": "", "definitions": definitions}
        free, needed, workers, waiting = _row(db, "select_free", asked)
        alive, mine = _row(db, "select_held", {"epoch": lease.epoch})
        if not alive:
            return frozenset()  # the lease is over: the next commit or renewal says so
        new = free[: max(needed, share(workers + waiting) - len(mine), 0)]
        db.execute(query("take_shards"), (lease.epoch, new))
    return frozenset(new)


def need(db: Connection, needs: dict[int, list[str]]) -> None:
    """Write down what sagas of some shards need, and their worker lacks."""
    with db.transaction():
        for shard, definitions in sorted(needs.items()):
            db.execute(query("add_needs"), (definitions, shard, definitions))


def give(db: Connection, lease: Lease, shards: frozenset[int]) -> None:
    """Let shards go, for others to take."""
    with db.transaction():
        db.execute(query("lock_members"))
        db.execute(query("give_shards"), {"epoch": lease.epoch, "shards": sorted(shards)})


def leave(db: Connection, address: Address, lease: Lease) -> None:
    """Give up the lease and every shard. Raises LeaseLost."""
    with db.transaction():
        db.execute(query("lock_members"))
        (removed,) = _row(db, "release", {"epoch": lease.epoch})
    if not removed:
        raise lease_lost(address.shown, lease)


def in_force(db: Connection, now: int, shard: int | None) -> tuple[Lease, Owner] | None:
    """The lease in force on a shard, or on any."""
    rows = db.execute(query("select_workers")) if shard is None else db.execute(query("select_worker_of"), (shard,))
    for epoch, expires, *held in rows.fetchall():
        owner = Owner(*held)
        if expires > now and not is_gone(owner):
            return Lease(epoch, owner.id, expires), owner
    return None


def share(workers: int) -> int:
    """How many shards one of so many workers should have, rounded up."""
    return -(-SHARDS // max(1, workers))


def _remove_over(db: Connection, now: int, asks: str = "") -> None:
    """Take the leases away that are over; also one that `asks` was given, if the answer was lost."""
    over, gone = [], []
    for epoch, expires, *held in db.execute(query("select_workers")).fetchall():
        owner = Owner(*held)
        if owner.id == asks or is_gone(owner):
            gone.append(epoch)
        if expires <= now or gone[-1:] == [epoch]:
            over.append(epoch)
    if over:
        db.execute(query("remove_workers"), {"epochs": over, "gone": gone, "now": now})


def _row(db: Connection, name: str, bound: Any = None) -> tuple[Any, ...]:
    row = db.execute(query(name), bound).fetchone()
    assert row is not None
    return tuple(row)
