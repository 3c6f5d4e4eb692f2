"""What comes from the store: sagas to recover, sagas others started, commands, far due times.

Rules of this file:
  * whoever starts or posts from outside rings the store's "work" bell; without a ring it is looked for
    every 100 ms while something goes on here, and ever more seldom, up to `poll`, while nothing does.
  * recovery goes in pages, oldest first, so the first saga moves while the last is still being read;
    a store that fails during recovery is asked again, from the page that failed.
  * a saga that cannot be taken up is on hold and stops nobody else.
  * where several workers share the store, all of this is about the shards that run here; shards that are taken over
    later are recovered by themselves, in the same way.
  * a command is applied at most once per term and answered in the transaction of its frame; a cancel that waits
    for its pivot in that of the frame that decides it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from ..core.filters import Filter, where
from ..core.transitions import ENDS, SagaStatus
from ..errors import AmendsError, StoreError, StoreUnavailable, UsageError
from ..policies.durations import Duration, human, milliseconds
from ..stores.base import CommandRow, OpenRow
from .applying import apply
from .commands import decode_command, encode_error, opened
from .pruning import prune, pruning_of

if TYPE_CHECKING:
    from .engine import Engine

_log = logging.getLogger("amends")
_PAGE = 500
_OPEN = tuple(str(status) for status in SagaStatus if status not in ENDS)
_BACKOFF_MAX_S = 5.0
_SOON_S = 0.1  # how long to wait for a ring while something goes on
_GAP_S = 0.002  # between two looks, however often it rings: a burst of starts is taken up in pages
_TAKE_IN_S = 0.05  # how long others' starts and commands are taken in at a stretch
_PROJECT_FRAMES = 2_000
_PRUNE_EVERY_S = 3_600.0  # at most; a short retention is looked after more often
_PROJECT_BUSY_S = 1.0  # while batches are being committed, one step of the projection this often,
_PROJECT_SHARE = 9  # or, while it is behind, with a pause of so many times as long as the step took
_PROJECT_IDLE_S = 0.05  # while none are, so long at a stretch
_HOLDS_S = 60.0  # how long the look at what is on hold waits for the lists to catch up, before it is a look at a part


class Intake:
    """Parameters: engine: the term it feeds."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._shared = engine.shared
        self._last = 0  # every open saga up to this number has been seen
        self._tasks: set[asyncio.Task[Any]] = set()
        self._applying: set[asyncio.Task[Any]] = set()  # those of them that apply a command
        self._begun: set[int] = set()  # commands; each stays until a page without it has proved its answer durable
        self._projected = 0  # batches the summaries are known to hold
        self._project_again = 0.0
        self._lists_up = asyncio.Event()
        self._holds_asked = asyncio.Event()
        self._holds_seen = self._all_in = False  # since the beginning
        self._bell = engine.store.bell("work")
        self.recovered = engine.loop.create_future()
        self._taken_in = engine.loop.create_future()

    def start(self) -> None:
        """Begin to recover, then to watch."""
        self._spawn(self._run(), "amends-intake")
        self._spawn(self._see_to_holds(), "amends-holds")

    async def stop(self) -> None:
        """End; commands not applied stay in the inbox."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._bell.close()
        self.recovered.cancel()
        self._taken_in.cancel()

    async def caught_up(self) -> None:
        """Wait until what stood in the store at the beginning is taken up, and its commands are applied."""
        await asyncio.wait([self._taken_in])
        while self._applying:
            await asyncio.wait(self._applying)

    def _spawn(self, coroutine: Any, name: str) -> asyncio.Task[Any]:
        task = self._engine.loop.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self) -> None:
        engine = self._engine
        if self._shared is not None:  # what is started from now on is looked for from here on
            self._last = await self._patiently(self._shared.settled) - 1
        await self._recover(engine.shards)
        if not self.recovered.done():
            self.recovered.set_result(None)
        if engine.settings.retention is not None:
            self._spawn(self._keep_short(engine.settings.retention), "amends-retention")
        more = self._note_whether_more(await self._patiently(self._take_in))  # what was written before the bell hung
        self._ask_for_holds()
        look_ahead_s = engine.horizon_ms / 2000
        next_look = engine.loop.time() + look_ahead_s
        pause_s, batches = 0.0, -1
        while not engine.stopped:
            rung = await self._bell.wait(min(pause_s, max(0.0, next_look - engine.loop.time())))
            if engine.loop.time() >= next_look:
                next_look = engine.loop.time() + look_ahead_s
                await self._patiently(self._wake_sleepers)
            # A ring that nobody needs costs a page; a change that nobody rang for is found by `changed`.
            changed = await self._patiently(engine.store.changed)
            found = (rung or changed or more) and await self._patiently(self._take_in)
            more = self._note_whether_more(found)
            behind = await self._project()
            # Nobody rang for what was found, or what was rung for is not there yet: something goes on outside.
            lively = bool(found) != rung or batches != engine.committer.batches
            batches = engine.committer.batches
            pause_s = 0.0 if behind or more else self._next_pause(0.0 if lively else pause_s)
            if rung:
                await asyncio.sleep(_GAP_S)

    def _next_pause(self, pause_s: float) -> float:
        poll_s = milliseconds(self._engine.settings.poll) / 1000
        soon_s = min(_SOON_S, poll_s)
        return min(max(soon_s, pause_s * 2), poll_s if self._bell.works else soon_s)

    async def _project(self) -> bool:
        """Keep the summaries near the journal, a little at a time; whether more should follow at once.

        While batches are being committed it takes a small part of the time. While none are it goes all the way, but
        those who sleep or have sent a command do not wait for it: a backlog of a million sagas takes a minute.
        """
        engine = self._engine
        batches = engine.committer.batches
        if batches == self._projected:
            self._lists_up.set()
            return False
        if not engine.committer.idle and engine.loop.time() < self._project_again:
            return False
        began = engine.loop.time()
        while folded := await self._patiently(lambda: engine.store.project(limit=_PROJECT_FRAMES)):
            now = engine.loop.time()
            behind = folded == _PROJECT_FRAMES
            if not behind:
                self._lists_up.set()
            if not engine.committer.idle:
                self._project_again = now + ((now - began) * _PROJECT_SHARE if behind else _PROJECT_BUSY_S)
                return False
            if now - began >= _PROJECT_IDLE_S:
                return True
        self._projected = batches
        self._lists_up.set()
        return False

    async def _patiently(self, work: Any) -> Any:
        """Do it again while the store is out of reach; a lost lease or a failed store ends the term elsewhere."""
        delay = 0.05
        while True:
            try:
                return await work()
            except StoreUnavailable as error:
                _log.warning("the store is out of reach, trying again: %s", error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, _BACKOFF_MAX_S)
            except StoreError as error:
                self._engine.fail(error)
                raise asyncio.CancelledError from error  # the term is over, and so is this task

    async def _keep_short(self, retention: Duration) -> None:
        """Remove what ended longer ago than it is kept, now and then."""
        engine = self._engine
        pruning = pruning_of(Filter(), retention, engine.settings.key_retention)
        pause_s = min(_PRUNE_EVERY_S, max(_SOON_S, pruning.older_ms / 1000 / 20))
        while not engine.stopped:
            done = await self._patiently(lambda: prune(engine.store, engine.clock, pruning))
            if done.sagas:
                _log.info("pruned %d sagas that ended more than %s ago", done.sagas, human(pruning.older_ms))
            await asyncio.sleep(pause_s)

    # --- sagas -----------------------------------------------------------------------------------------

    async def take_over(self, shards: Iterable[int]) -> None:
        """Recover shards that another worker has run, as at the beginning."""
        await self._recover(shards)
        self._ask_for_holds()

    async def _recover(self, shards: Iterable[int]) -> None:
        """Take up every open saga of these shards that is awake or due soon."""
        engine = self._engine
        cancels = await self._patiently(lambda: self._cancels(shards))
        known = dict(cancels)
        engine.cancels.update(cancels)
        due_before = engine.clock.now_ms() + engine.horizon_ms
        last = 0
        while page := await self._patiently(partial(self._open, shards, last, 0, due_before)):
            await self._patiently(partial(self._take_up, [row.saga_id for row in page]))
            last = page[-1].number
        self._last = max(self._last, last)
        decided = known.keys() - engine.cancels.keys()  # by what followed from the journals
        self._begun.update(command for saga_id in decided for command in known[saga_id])
        for saga_id in known:
            engine.cancels.pop(saga_id, None)

    async def _cancels(self, shards: Iterable[int]) -> dict[str, list[int]]:
        """The cancels in the inbox, by saga. One that waits for its pivot may be decided by the recovery itself."""
        found: dict[str, list[int]] = {}
        for row in await self._waiting_commands(shards, _PAGE):
            with suppress(ValueError):  # one of another release is refused when it is applied
                if decode_command(row.body).verb == "cancel":
                    found.setdefault(row.saga_id, []).append(row.id)
        return found

    def _note_whether_more(self, found: bool | None) -> bool:
        self._all_in = self._all_in or found is not None
        self._tell_taken_in()
        return found is None

    def _tell_taken_in(self) -> None:
        if self._all_in and self._holds_seen and not self._taken_in.done():
            self._taken_in.set_result(None)

    def _ask_for_holds(self) -> None:
        self._projected = -1  # of these shards the lists may be behind, though nothing was committed here
        self._lists_up.clear()
        self._holds_asked.set()

    async def _see_to_holds(self) -> None:
        """Sort out the holds whenever that was asked for, once the lists have caught up by themselves.

        The lists tell what is on hold; to bring them up at once would halve what is committed beside it, for minutes
        perhaps. Until they have caught up, which under full load may be long, what they do tell is looked at.
        """
        while True:
            await self._holds_asked.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(_HOLDS_S):
                    await self._lists_up.wait()
            up = self._lists_up.is_set()
            if up:
                self._holds_asked.clear()
            await self._patiently(self._sort_out_holds)
            self._holds_seen = self._holds_seen or up
            self._tell_taken_in()

    async def _sort_out_holds(self) -> None:
        """Sagas at rest, which recovery leaves on disk: whether this worker can move them must be seen all the same."""
        stored = await self._engine.store.definitions()
        lacking = {row.name for row in stored if not self._has(row.name, row.version, row.fingerprint)}
        for name in sorted(lacking):
            await self._look_over(where(status=_OPEN, name=name), here=False)
        if stored:
            await self._look_over(where(hold="version"), here=True)
        if self._engine.sealing is not None:  # a key that was missing may be here now
            await self._look_over(where(hold="poison"), here=True)

    async def _look_over(self, which: Filter, *, here: bool) -> None:
        """Take up those whose definition is, or is not, here: to be released, or held."""
        before = ""
        while page := await self._engine.store.summaries(which, before=before, limit=_PAGE, fresh=False):
            wanted = [
                each
                for each in page
                if self._engine.runs(each.saga_id) and self._has(each.name, each.version, each.fingerprint) is here
            ]
            await self._take_up([each.saga_id for each in wanted if here or each.held != "version"])
            before = page[-1].saga_id

    def _has(self, name: str, version: int, fingerprint: str) -> bool:
        saga = self._engine.sagas.get((name, version))
        return saga is not None and saga.fingerprint == fingerprint

    async def _take_in(self) -> bool | None:
        """What other processes wrote: new sagas, and commands; whether there was anything. None: there is more.

        By turns, and for a bounded time: beside busy starters there is always another page of sagas, and commands,
        sleepers and lists must not wait for the last of them.
        """
        found, until = False, self._engine.loop.time() + _TAKE_IN_S
        while True:
            sagas = await self._page()
            commands = await self._commands()
            found = found or sagas or commands > 0
            if not (sagas or commands >= _PAGE):
                return found
            if self._engine.loop.time() >= until:
                return None

    async def _commands(self) -> int:
        """Begin with commands that nobody works on, a page at most; how many."""
        # Those begun before are older, and found until their answers are durable: they must not fill the page.
        rows = await self._waiting_commands(self._engine.shards, _PAGE + len(self._begun))
        new = [row for row in rows if row.id not in self._begun]
        self._begun.intersection_update(row.id for row in rows)
        for row in new:
            self._begun.add(row.id)
            task = self._spawn(self._apply(row), f"amends-command-{row.id}")
            self._applying.add(task)
            task.add_done_callback(self._applying.discard)
        return len(new)

    async def _wake_sleepers(self) -> None:
        """Sagas on disk whose due time has come near."""
        engine = self._engine
        after, due_before = 0, engine.clock.now_ms() + engine.horizon_ms
        while True:
            page = await self._open(engine.shards, after, 1, due_before)
            if not page:
                return
            await self._take_up([row.saga_id for row in page])
            after = page[-1].number

    async def _page(self) -> bool:
        """Take up some sagas that others have started; whether there were any."""
        engine, shared = self._engine, self._shared
        if shared is None:
            page = await engine.store.open_sagas(after=self._last, due_from=0, due_before=1, limit=_PAGE)
            await self._take_up([row.saga_id for row in page])
            self._last = page[-1].number if page else self._last
            return bool(page)
        # Transactions commit in another order than they got their numbers in, so those behind the last settled one
        # are looked at again: what is in memory already costs a look into a dictionary.
        settled = await shared.settled()
        found, last = False, self._last
        while page := await shared.open_of(
            engine.shards, after=last, due_from=0, due_before=1, limit=_PAGE, outside=True
        ):
            new = [row.saga_id for row in page if row.saga_id not in engine.actors and row.saga_id not in engine.held]
            found = found or bool(new)
            await self._take_up(new)
            last = page[-1].number
        self._last = max(self._last, settled - 1)
        return found

    async def _open(self, shards: Iterable[int], after: int, due_from: int, due_before: int) -> list[OpenRow]:
        if self._shared is not None:
            return await self._shared.open_of(
                shards, after=after, due_from=due_from, due_before=due_before, limit=_PAGE
            )
        return await self._engine.store.open_sagas(after=after, due_from=due_from, due_before=due_before, limit=_PAGE)

    async def _waiting_commands(self, shards: Iterable[int], limit: int) -> list[CommandRow]:
        if self._shared is not None:
            return await self._shared.commands_of(shards, limit=limit)
        return await self._engine.store.commands(limit=limit)

    async def _take_up(self, saga_ids: list[str]) -> None:
        engine = self._engine
        wanted = [saga_id for saga_id in saga_ids if saga_id not in engine.actors]
        left: set[str] = set()
        engine.left.append(left)
        try:
            journals = await engine.store.frames(wanted) if wanted else {}
        finally:
            engine.left = [each for each in engine.left if each is not left]
        for saga_id in wanted:
            rows = journals.get(saga_id)
            # A saga that came and left while we read may have moved: these rows are stale, and there
            # is nothing to take up, for it left resting or finished.
            if rows and saga_id not in left and not engine.stopped:
                engine.take_up(saga_id, rows)
        await asyncio.sleep(0)

    # --- commands ----------------------------------------------------------------------------------------

    async def _apply(self, row: CommandRow) -> None:
        engine = self._engine
        error = ""
        try:
            command = opened(engine.sealing, row.saga_id, decode_command(row.body))
            answered = await apply(engine, row.saga_id, command, row.id)
            if answered:
                return
        except StoreError:
            # Out of reach for a moment; or the term is at its end, and the next one finds the command.
            self._begun.discard(row.id)
            self._bell.ring()
            return
        except AmendsError as refused:
            error = encode_error(refused)
        except Exception as failed:
            error = encode_error(UsageError(f"the command cannot be applied: {failed}", code="AM2012"))
        engine.committer.answer(row.id, error)
