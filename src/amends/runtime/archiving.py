"""An archive: what is pruned is kept in another store, which nobody runs and everybody can look at.

    await orchestrator.prune(older="30d", archive="sqlite:///archive.db")
    amends show ID --store sqlite:///archive.db            # and list, history, why, graph, export

It is an ordinary SQLite file of Amends with journals and definitions of ended sagas. What is sealed stays sealed.

Rules of this file: durable in the archive first, removed from the store after. Who dies between the two leaves a saga
in both, and the next pruning writes only the frames that the archive lacks.

    AM2051  the archive is no SQLite file, or is the store itself
    AM4011  somebody else writes to the archive
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from ..core.events import Started, decode_frame
from ..errors import Conflict, UsageError
from ..stores.address import open_address
from ..stores.base import Batch, FrameRow, Lease, Store
from ..stores.owner import this_process
from .clock import Clock

_LEASE_MS = 60_000
_FOLD = 2_000  # frames at a time, for the lists


class Archive:
    """The archive at an address, open within `async with`.

    Parameters:
        address: of a SQLite file; it is made when it is not there.
        store: what is archived from.
        clock: tells how long the archive is ours.

    Raises:
        UsageError: AM2051. Conflict: AM4011. StoreError: the archive cannot be used.
    """

    def __init__(self, address: str, store: Store, clock: Clock) -> None:
        if not address.startswith("sqlite:///"):
            raise UsageError(
                f"prune(archive={address!r}): an archive is a SQLite file: sqlite:///relative.db or "
                "sqlite:////absolute.db",
                code="AM2051",
            )
        self._store = store
        self._clock = clock
        self._archive = open_address(address)
        self._lease: Lease | None = None
        self._batches = 0
        self._definitions: set[tuple[str, int, str]] = set()

    async def __aenter__(self) -> Archive:
        archive = self._archive
        if _same_file(archive, self._store):
            raise UsageError(f"{archive.address} is the store itself; an archive is another file", code="AM2051")
        await archive.open()
        try:
            self._lease = await self._acquire()
            self._definitions = {(row.name, row.version, row.fingerprint) for row in await archive.definitions()}
        except BaseException:
            archive.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self._lease is not None and kind is None:
                while await self._archive.project(limit=_FOLD):  # the lists; whoever looks would do it else
                    pass
                await self._archive.release(self._lease)
        finally:
            self._archive.close()

    async def keep(self, saga_ids: Sequence[str]) -> None:
        """Have these sagas durable in the archive."""
        assert self._lease is not None, "within async with"
        archive = self._archive
        journals = await self._store.frames(saga_ids)
        there = await archive.frames(saga_ids)
        await self._register(journals)
        lacking = [
            row for saga_id, rows in journals.items() for row in rows if row.seq > len(there.get(saga_id, ()))
        ]  # fmt: skip
        if not lacking:
            return
        self._lease = await archive.renew(self._lease, ttl_ms=_LEASE_MS, now=self._clock.now_ms())
        self._batches += 1
        await archive.commit(self._lease, Batch(self._batches, frames=lacking))

    async def _acquire(self) -> Lease:
        archive = self._archive
        lease = await archive.acquire(this_process(), ttl_ms=_LEASE_MS, now=self._clock.now_ms())
        if lease is None:
            raise Conflict(
                f"another process writes to the archive {archive.address}: wait until it has ended", code="AM4011"
            )
        return lease

    async def _register(self, journals: dict[str, list[FrameRow]]) -> None:
        """The definitions of these sagas: without them nothing of a journal can be shown."""
        used = set()
        for rows in journals.values():
            first = decode_frame(rows[0].body).events[0]
            if isinstance(first, Started):
                used.add((first.name, first.version, first.fingerprint))
        if used <= self._definitions:
            return
        stated = await self._store.definitions()
        await self._archive.register([row for row in stated if (row.name, row.version, row.fingerprint) in used])
        self._definitions |= used


def _same_file(archive: Store, store: Store) -> bool:
    one, other = (getattr(each, "path", None) for each in (archive, store))
    if not (isinstance(one, Path) and isinstance(other, Path)):
        return False
    return one.exists() and other.exists() and one.samefile(other)
