"""Following the journal: what happens to all sagas, in the order in which it became durable.

A position is the place of a frame among those of all sagas. Whoever goes on after the last one they saw
misses nothing and sees nothing twice, in this process or in another.

A filter is asked about each saga *as it stood after that very frame*, so what is printed does not depend
on when one looks: `status:requires_manual` shows the frames after which somebody was needed.

Rules of this file: reads only, and page by page; what it remembers of sagas is bounded. A frame that this
release cannot read is told as `Unreadable`, not left out.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial

from ..core.events import decode_frame
from ..core.filters import Filter
from ..core.places import path_of
from ..core.summary import Summary
from ..errors import NotFound
from ..limits import TAIL_PAGE_FRAMES, TAIL_SAGAS_KEPT, TAIL_SEARCH_FRAMES_MAX
from ..stores.base import POSITION_END, FrameRow, JournalRow, Store
from ..stores.projection import Outlines, fold_row, matches, outlines_of
from .reading import Reader
from .views import HistoryEntry, history_of, when

_POLL_S = 0.2
EVERYTHING = Filter()


@dataclass(frozen=True, slots=True)
class TailEntry:
    """One event of any saga.

    Attributes:
        position: of its frame in the journal; events of one frame share it.
        saga_id, name, version: whose it is.
        entry: the event.
    """

    position: int
    saga_id: str
    name: str
    version: int
    entry: HistoryEntry


class Tail:
    """The journal of all sagas, from somewhere on.

    Parameters:
        reader: finds the structures that events speak of.
        which: whose events; ages in it count from the event.
    """

    def __init__(self, store: Store, reader: Reader, which: Filter = EVERYTHING) -> None:
        self._store = store
        self._reader = reader
        self._which = which
        self._summaries: OrderedDict[str, Summary] = OrderedDict()
        self._outlines: Outlines = {}

    async def entries(self, *, after: int | None, last: int, follow: bool) -> AsyncIterator[TailEntry]:
        """What comes after a position or, without one, the last events and then what comes."""
        if after is None:
            newest, after = await self.last(last)
            for entry in newest:
                yield entry
            if not follow:
                return
        async for entry in self.after(max(0, min(after, POSITION_END)), follow=follow):
            yield entry

    async def last(self, count: int) -> tuple[list[TailEntry], int]:
        """The last `count` events, oldest first, and the position to go on from.

        Of a filter that few sagas fit, at most TAIL_SEARCH_FRAMES_MAX frames are searched.
        """
        end, searched = 0, 0
        found: list[TailEntry] = []
        before = POSITION_END
        while searched < TAIL_SEARCH_FRAMES_MAX:
            rows = await self._store.journal_end(before=before, limit=TAIL_PAGE_FRAMES)
            if not rows:
                break
            end, before, searched = end or rows[-1].position, rows[0].position, searched + len(rows)
            if count:
                found = await self._entries(rows) + found
            if len(found) >= count:
                break
        return found[len(found) - count :] if len(found) > count else found, end

    async def after(self, position: int, *, follow: bool) -> AsyncIterator[TailEntry]:
        """Every event after a position; with `follow` it waits for more, and never ends."""
        bell = self._store.bell("news") if follow else None
        try:
            while True:
                rows = await self._store.journal(after=position, limit=TAIL_PAGE_FRAMES)
                for entry in await self._entries(rows):
                    yield entry
                if rows:
                    position = rows[-1].position
                elif bell is not None:
                    await bell.wait(_POLL_S)
                else:
                    return
        finally:
            if bell is not None:
                bell.close()

    # --- inside ----------------------------------------------------------------------------------

    async def _entries(self, rows: Sequence[JournalRow]) -> list[TailEntry]:
        """The events of some rows that the filter lets through."""
        await self._load(rows)
        found: list[TailEntry] = []
        for row in rows:
            before = self._summaries.get(row.saga_id)
            before = before if before is not None and before.seq == row.seq - 1 else None
            summary = self._summaries[row.saga_id] = fold_row(before, _plain(row), self._outlines)
            self._summaries.move_to_end(row.saga_id)
            if matches(summary, self._which.at(max(summary.updated, 1))):
                found += [
                    TailEntry(row.position, row.saga_id, summary.name, summary.version, entry)
                    for entry in await self._told(row, summary)
                ]
        while len(self._summaries) > TAIL_SAGAS_KEPT:
            self._summaries.popitem(last=False)
        return found

    async def _load(self, rows: Sequence[JournalRow]) -> None:
        """Fold what came before the first row of each saga, unless that is known."""
        first: dict[str, int] = {}
        for row in rows:
            first.setdefault(row.saga_id, row.seq)
        if any(seq == 1 for seq in first.values()) or not self._outlines:
            self._outlines = outlines_of(await self._store.definitions())
        known = self._summaries
        missing = [
            saga_id for saga_id, seq in first.items()
            if seq > 1 and ((summary := known.get(saga_id)) is None or summary.seq != seq - 1)
        ]  # fmt: skip
        journals = await self._store.frames(missing) if missing else {}
        for saga_id in missing:
            summary = None
            for earlier in journals.get(saga_id, ()):  # none: it was pruned since the page was read
                if earlier.seq >= first[saga_id]:
                    break
                summary = fold_row(summary, earlier, self._outlines)
            if summary is None:
                known.pop(saga_id, None)
            else:
                known[saga_id] = summary

    async def _told(self, row: JournalRow, summary: Summary) -> list[HistoryEntry]:
        try:
            frame = decode_frame(row.body)
        except ValueError as error:
            return [HistoryEntry(row.seq, when(summary.updated), "Unreadable", "", {"error": str(error)})]
        try:
            graph, frame = await self._reader.shown(frame, summary)
        except NotFound:
            return [HistoryEntry(row.seq, when(frame.at), type(event).__name__, "") for event in frame.events]
        return history_of(partial(path_of, graph.paths, summary.blocks), [(row.seq, frame)])


def _plain(row: JournalRow) -> FrameRow:
    return FrameRow(row.saga_id, row.seq, row.body)


async def follow(reader: Reader, saga_id: str) -> AsyncIterator[HistoryEntry]:
    """One saga's journal, event by event, as it grows; ends when nothing is left to do for the saga.

    Raises:
        NotFound: no such saga, or it was pruned.
    """
    async for entries, over in reader.growing(saga_id):
        for entry in entries:
            yield entry
        if over:
            return
        await asyncio.sleep(_POLL_S)
