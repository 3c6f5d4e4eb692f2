"""One verb for many sagas: those that fit a filter.

    bulk = orchestrator.bulk("cancel", "status:running customer:ann", reason="ann left")
    async for done in bulk:
        print(done.id, done.result, done.error)
    print(bulk.counts)

    applied     the verb is in the saga's journal
    queued      it was asked for, and nobody has applied it yet
    unchanged   there was nothing to do: a cancel of what has turned back already, a signal of a known id
    refused     the saga's state does not allow it; `error` names the state and what it allows
    eligible    with `dry_run`: it would be asked for. Nothing is changed by a dry run.

Rules of this file: which sagas are meant is decided once, before the first is touched, for the verb itself
changes what fits. A filter that fits everything is refused, and so are more sagas than BULK_SAGAS_MAX
unless a limit is given. Many are asked for at a time; one that is refused stops none of the others.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from ..core.filters import Filter
from ..core.state import SagaState
from ..errors import AmendsError, StoreError, StoreUnusable, UsageError
from ..limits import BULK_AT_A_TIME, BULK_SAGAS_MAX, PAGE_MAX
from ..stores.base import Store
from .applying import directed, events_of
from .commands import Command
from .reading import Reader

Result = Literal["applied", "queued", "unchanged", "refused", "eligible"]
Act = Callable[[str, Command, SagaState], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a verb for one saga.

    Attributes:
        id: the saga's id.
        verb: what was asked for.
        result: see the head of this module.
        status: where the saga stands now; "" when it cannot be read.
        error: why it was refused, None when it was not.
    """

    id: str
    verb: str
    result: Result
    status: str = ""
    error: AmendsError | None = None


class Bulk:
    """A verb on its way to many sagas; iterate over it once. Made by `Orchestrator.bulk`.

    Attributes:
        ids: the sagas that are meant, newest first; of a filter, empty before `prepare`.
        matching: how many fit the filter, which may be more.
        counts: how many came to each result so far.
        begun: how many were asked for so far; those without a result yet may be applied or not.
    """

    def __init__(
        self, store: Store, reader: Reader, act: Act, command: Command, which: Filter,
        *, ids: Iterable[str] = (), limit: int | None = None, dry_run: bool = False,
    ) -> None:  # fmt: skip
        self.ids = list(dict.fromkeys(ids))
        if self.ids and which:
            raise UsageError(f"{command.verb}: give ids or a filter, not both", code="AM2044")
        if not (self.ids or which):
            raise UsageError(
                f"{command.verb} of every saga there is? The filter is empty; say which sagas, as in "
                f"'status:running name:place_order'",
                code="AM2041",
            )
        if limit is not None and limit < 1:
            raise UsageError(f"bulk(limit={limit}): give a number of at least 1", code="AM2042")
        self._store = store
        self._reader = reader
        self._act = act
        self._command = command
        self._which = which
        self._limit = limit
        self._dry_run = dry_run
        self._prepared = bool(self.ids)
        self.matching = len(self.ids)
        self.counts: Counter[Result] = Counter()
        self.begun = 0

    async def prepare(self) -> None:
        """Find the sagas that are meant; iterating does it, if nobody has.

        Raises:
            UsageError: more than BULK_SAGAS_MAX fit, and no limit was given.
        """
        if self._prepared:
            return
        most = self._limit or BULK_SAGAS_MAX
        self.ids = await self._found(most)
        self.matching = len(self.ids)
        if self.matching == most:
            self.matching = max(most, await self._store.count(self._which))
        if self.matching > most and self._limit is None:
            raise UsageError(
                f"{self._command.verb} of {self.matching:,} sagas: without a limit at most {most:,} are acted upon; "
                f"narrow the filter, or give limit={self.matching}",
                code="AM2040",
            )
        self._prepared = True

    async def _found(self, most: int) -> list[str]:
        found: list[str] = []
        before = ""
        while len(found) < most:
            limit = min(PAGE_MAX, most - len(found))
            page = await self._store.summaries(self._which, before=before, limit=limit)
            found += [summary.saga_id for summary in page]
            if len(page) < limit:
                break
            before = page[-1].saga_id
        return found

    async def __aiter__(self) -> AsyncIterator[Done]:
        """Each saga's outcome, as it comes.

        Raises:
            UsageError: as `prepare`. StoreError: the store is out of reach; those that follow were not asked for.
        """
        await self.prepare()
        under_way: set[asyncio.Task[Done]] = set()
        try:
            for saga_id in self.ids:
                self.begun += 1
                under_way.add(asyncio.ensure_future(self._one(saga_id)))
                if len(under_way) >= BULK_AT_A_TIME:
                    for done in await self._ended(under_way):
                        yield done
            while under_way:
                for done in await self._ended(under_way):
                    yield done
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _ended(self, under_way: set[asyncio.Task[Done]]) -> list[Done]:
        """What has come to a result, after at least one has."""
        ended, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        under_way -= ended
        failed = [task for task in ended if task.exception() is not None]
        found = [task.result() for task in ended if task not in failed]
        self.counts.update(done.result for done in found)
        if failed:
            failed[0].result()  # raises
        return found

    # --- one saga --------------------------------------------------------------------------------------

    async def _one(self, saga_id: str) -> Done:
        command, status = self._command, ""
        try:
            state = await self._reader.state(saga_id)
            status = state.status
            command = directed(command, state)
            if not events_of(state, None, command, max(self._which.now, state.at)):
                return Done(saga_id, command.verb, "unchanged", status)
            if self._dry_run:
                return Done(saga_id, command.verb, "eligible", status)
            applied = await self._act(saga_id, command, state)
            status = (await self._reader.state(saga_id)).status
            return Done(saga_id, command.verb, "applied" if applied else "queued", status)
        except AmendsError as error:
            if isinstance(error, StoreError) and not isinstance(error, StoreUnusable):
                raise  # a journal that cannot be read is that saga's; a store out of reach is everybody's
            return Done(saga_id, command.verb, "refused", status, error)
        except Exception as error:  # a journal that does not fold: that saga's trouble, too
            unusable = StoreUnusable(f"saga {saga_id}: its journal cannot be folded: {error}", code="AM6041")
            return Done(saga_id, command.verb, "refused", status, unusable)
