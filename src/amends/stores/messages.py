"""What every store says in the same words: its refusals, each with its stable code.

    AM4101   a frame exists already: another writer was there
    AM4102   a frame would leave a gap in its saga's journal
    AM4103   a definition's version is registered with another structure
    AM2201   a start key or name with a NUL character
    AM2202   an address that is none, or names no file
    AM2203   an address of a store whose driver is not installed
    AM6004   the lease is another's
    AM6024   the store is closed

Rules of this file: functions make errors and raise none, except `refuse_nul`.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import Conflict, LeaseLost, StoreFailed, UsageError
from .base import DefinitionRow, KeyRow, Lease


def exists_already(saga_id: str, seq: int) -> Conflict:
    """The journal has this frame."""
    return Conflict(
        f"frame {seq} of saga {saga_id} is in the journal already, so another writer was there first; nothing of "
        "this batch was written. Load the saga's journal anew",
        code="AM4101",
    )


def gap_before(saga_id: str, seq: int) -> Conflict:
    """The frame before this one is missing."""
    return Conflict(
        f"frame {seq} of saga {saga_id} does not follow the last one in the journal; nothing of this batch was "
        "written. Load the saga's journal anew",
        code="AM4102",
    )


def other_definition(row: DefinitionRow, known: str) -> Conflict:
    """The version is taken by another structure."""
    return Conflict(
        f"saga {row.name!r} version {row.version} is registered with another structure (fingerprint {known}, yours "
        f"is {row.fingerprint}). Give the changed saga the next version, and keep the old one until it is drained",
        code="AM4103",
    )


def lease_lost(address: str, lease: Lease) -> LeaseLost:
    """Another orchestrator holds the store, or the lease was given up."""
    return LeaseLost(
        f"the lease on {address} with epoch {lease.epoch} is over; nothing was written. Another orchestrator runs "
        "the sagas now: stop this one, or let it stand by"
    )


def store_closed(address: str) -> StoreFailed:
    """The store was closed, or never opened."""
    return StoreFailed(f"the store {address} is closed; nothing was written. Call `open()` first", code="AM6024")


def refuse_nul(keys: Iterable[KeyRow]) -> None:
    """Raise UsageError for a start key that not every database can keep."""
    for row in keys:
        if "\0" in row.key or "\0" in row.name:
            raise UsageError(f"the start key {row.key!r} of saga {row.name!r} holds a NUL; leave it out", code="AM2201")
