"""Looking at sagas: from the store alone, with or without their definitions, now or at a past moment.

A view is the fold of the journal, so the view of a past moment is the fold of what the journal held then:
its first frames, up to a number or a time.

    AM3007   the moment is before the saga's start
    AM3008   the journal has no frame of that number

Rules of this file: reads only; a saga whose definition is not registered here is shown through the
structure stored with it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from ..core.definition import Saga
from ..core.events import Frame, Started, decode_frame
from ..core.filters import Filter
from ..core.fold import fold_frame
from ..core.graph import Graph, graph_from
from ..core.places import path_of
from ..core.redaction import Redactions, decode_redactions
from ..core.sealing import Sealing, open_frame
from ..core.state import SagaState, giver_of, saga_result
from ..core.summary import Summary, fold_summary
from ..core.transitions import SagaStatus
from ..errors import NotFound, SagaCompensated, SagaFailed, SagaRequiresManual, StoreUnusable, UsageError
from ..limits import PAGE_MAX
from ..stores.base import DefinitionRow, FrameRow, Store
from .texts import not_there
from .veil import veiled
from .views import HistoryEntry, SagaView, history_of, view_of, view_of_summary, when

Moment = int | datetime | None
"""A frame's number, an aware time, or None for now."""

_PATHS_SHOWN = 20  # of parked steps, in an error; an `each` may have thousands
_EPOCH, _MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)

_DONE = frozenset({SagaStatus.COMPLETED, SagaStatus.COMPENSATED, SagaStatus.CLOSED, SagaStatus.REQUIRES_MANUAL})


class Reader:
    """Folds journals for those who look.

    Parameters:
        store: the journal.
        sagas: definitions by (name, version).
        sealing: opens encrypted payloads; without it, or the key, they are shown as sealed.
    """

    def __init__(
        self, store: Store, sagas: Mapping[tuple[str, int], Saga[Any, Any]], sealing: Sealing | None = None
    ) -> None:
        self._store = store
        self._sagas = sagas
        self._sealing = sealing
        self._stored: dict[str, tuple[Graph, Redactions]] = {}

    async def state(self, saga_id: str, at: Moment = None) -> SagaState:
        """The saga's folded journal, its payloads as people may see them. Raises NotFound."""
        return (await self._fold(saga_id, at))[0]

    async def opened(self, saga_id: str) -> SagaState:
        """The saga's folded journal, its payloads as functions see them.

        Raises:
            NotFound: no such saga. PayloadError: AM2112 and AM2113, a payload does not open.
        """
        frames = _decode(saga_id, await self.rows(saga_id))
        state = SagaState((await self._definition(frames[0][1], saga_id))[0])
        for seq, frame in frames:
            _fold_on(state, saga_id, seq, open_frame(self._sealing, saga_id, frame))
        return state

    async def view(self, saga_id: str, at: Moment = None) -> SagaView:
        """The whole of one saga. Raises NotFound; UsageError for a time without a zone."""
        state, frames = await self._fold(saga_id, at)
        graph = state.graph
        summary: Summary | None = None
        for seq, frame in frames:
            summary = fold_summary(summary, saga_id, frame, seq, graph.paths, graph.sizes)
        assert summary is not None
        result = msgspec.json.decode(saga_result(state)) if state.status is SagaStatus.COMPLETED else None
        return view_of(summary, state, result)

    async def history(self, saga_id: str, at: Moment = None) -> list[HistoryEntry]:
        """Its journal, event by event. Raises NotFound; UsageError for a time without a zone."""
        state, frames = await self._fold(saga_id, at)
        return history_of(state.path_of, frames)

    async def growing(self, saga_id: str) -> AsyncIterator[tuple[list[HistoryEntry], bool]]:
        """Its journal, event by event: what is new at each look, and whether nothing can come after it.

        Raises:
            NotFound: no such saga, or it was pruned.
        """
        rows = await self.rows(saga_id)
        fold = await self._begin(saga_id, _decode(saga_id, rows[:1]))
        while True:
            frames = fold.take(_decode(saga_id, rows))
            yield history_of(fold.state.path_of, frames), fold.state.finished
            # The last one that is known, too: if that is gone, the saga was pruned.
            last = fold.state.seq - 1
            known = (await self._store.later_frames({saga_id: last})).get(saga_id)
            if not known:
                raise await not_there(self._store, saga_id)
            rows = known[1:]

    async def rows(self, saga_id: str) -> list[FrameRow]:
        """Its journal as it is stored. Raises NotFound."""
        rows = (await self._store.frames([saga_id])).get(saga_id)
        if not rows:
            raise await not_there(self._store, saga_id)
        return rows

    async def _fold(self, saga_id: str, at: Moment) -> tuple[SagaState, list[tuple[int, Frame]]]:
        frames = _until(at, saga_id, await self.rows(saga_id))
        fold = await self._begin(saga_id, frames)
        return fold.state, fold.take(frames)

    async def _begin(self, saga_id: str, frames: list[tuple[int, Frame]]) -> _Fold:
        return _Fold(saga_id, *await self._definition(frames[0][1], saga_id), self._sealing)

    async def _definition(self, first: Frame, saga_id: str) -> tuple[Graph, Redactions]:
        started = first.events[0]
        if not isinstance(started, Started):
            raise StoreUnusable(f"saga {saga_id}: its journal does not begin with its start", code="AM6040")
        return await self.definition(started.name, started.version, started.fingerprint, saga_id)

    async def definition(self, name: str, version: int, fingerprint: str, saga_id: str) -> tuple[Graph, Redactions]:
        """What a saga was started with, and what people must not see of it: as it is here, or as it is stored.

        Raises:
            NotFound: it is neither.
        """
        saga = self._sagas.get((name, version))
        if saga is not None and saga.fingerprint == fingerprint:
            return saga.graph, saga.redactions
        if fingerprint not in self._stored:
            for row in await self._store.definitions():
                self._stored[row.fingerprint] = graph_of(row), decode_redactions(row.redactions)
        found = self._stored.get(fingerprint)
        if found is None:
            raise NotFound(
                f"saga {saga_id}: {name} version {version} is neither registered here "
                f"nor stored with this structure; give the definition with --app, or sagas=[...]",
                code="AM3005",
            )
        return found

    async def shown(self, frame: Frame, summary: Summary) -> tuple[Graph, Frame]:
        """One frame as people may see it, with the graph that it speaks of. Raises NotFound."""
        graph, redactions = await self.definition(summary.name, summary.version, summary.fingerprint, summary.saga_id)
        paths = partial(path_of, graph.paths, summary.blocks)
        return graph, veiled(frame, summary.saga_id, graph, paths, redactions, self._sealing)


class _Fold:
    """A saga's journal, folded as far as it was given, its payloads as people may see them."""

    def __init__(self, saga_id: str, graph: Graph, redactions: Redactions, sealing: Sealing | None) -> None:
        self.state = SagaState(graph)
        self._saga_id = saga_id
        self._redactions = redactions
        self._sealing = sealing

    def take(self, frames: list[tuple[int, Frame]]) -> list[tuple[int, Frame]]:
        """Fold these frames, too; as people may see them."""
        state, saga_id, seen = self.state, self._saga_id, []
        for seq, stored in frames:
            paths = _paths_of(state, saga_id, seq)
            frame = veiled(stored, saga_id, state.graph, paths, self._redactions, self._sealing)
            seen.append((seq, frame))
            _fold_on(state, saga_id, seq, frame)
        return seen


async def listed(store: Store, which: Filter, limit: int | None) -> AsyncIterator[SagaView]:
    """The sagas that fit, newest first, page by page."""
    before, left = "", limit
    while left is None or left > 0:
        page = await store.summaries(which, before=before, limit=PAGE_MAX if left is None else min(left, PAGE_MAX))
        for summary in page:
            yield view_of_summary(summary)
        if not page:
            return
        before = page[-1].saga_id
        left = None if left is None else left - len(page)


def graph_of(row: DefinitionRow) -> Graph:
    """A stored definition's graph. Of its policies only what lapses is stored; nothing may follow the others."""
    return graph_from(row.structure, row.fingerprint)


def _until(at: Moment, saga_id: str, rows: list[FrameRow]) -> list[tuple[int, Frame]]:
    """The frames that the journal held at a moment; what is damaged behind a number does not matter.

    A clock may have been set back between two frames: then those up to the last one that is not later.
    """
    if at is None:
        return _decode(saga_id, rows)
    if isinstance(at, datetime):
        frames = _decode(saga_id, rows)
        first = frames[0][1].at
        if at.tzinfo is None:
            raise UsageError(f"at={at!r} has no time zone; give an aware time", code="AM2026")
        at_ms = (at - _EPOCH) // _MILLISECOND
        count = max((place for place, (_, frame) in enumerate(frames, 1) if frame.at <= at_ms), default=0)
        if not count:
            asked, began = (moment.astimezone(UTC).isoformat(timespec="milliseconds") for moment in (at, when(first)))
            raise NotFound(f"saga {saga_id} was not there at {asked}: it started at {began}", code="AM3007")
        return frames[:count]
    last = rows[-1].seq
    if not 1 <= at <= last:
        raise NotFound(
            f"saga {saga_id} has no frame {at}: its journal has the frames 1 to {last}, see `amends history {saga_id}`",
            code="AM3008",
        )
    return _decode(saga_id, rows[:at])


def _fold_on(state: SagaState, saga_id: str, seq: int, frame: Frame) -> None:
    try:
        fold_frame(state, frame)
    except Exception as error:  # whatever an event may say that the state does not have
        raise _unfoldable(saga_id, seq, error) from error


def _paths_of(state: SagaState, saga_id: str, seq: int) -> Callable[[int], str]:
    def path_of(slot: int) -> str:
        try:
            return state.path_of(slot)
        except LookupError as error:
            raise _unfoldable(saga_id, seq, error) from error

    return path_of


def _unfoldable(saga_id: str, seq: int, error: Exception) -> StoreUnusable:
    return StoreUnusable(
        f"saga {saga_id}, frame {seq}: it does not follow from those before it: {error}", code="AM6041"
    )


def _decode(saga_id: str, rows: list[FrameRow]) -> list[tuple[int, Frame]]:
    frames = []
    for row in rows:
        try:
            frames.append((row.seq, decode_frame(row.body)))
        except ValueError as error:
            raise StoreUnusable(f"saga {saga_id}, frame {row.seq}: {error}", code="AM6041") from error
    return frames


def has_outcome(state: SagaState) -> bool:
    """Whether `result()` has something to say."""
    return state.status in _DONE


def outcome(state: SagaState, saga: Saga[Any, Any] | None) -> Any:
    """The saga's result.

    Raises:
        SagaCompensated, SagaRequiresManual, SagaFailed: it has none.
    """
    if state.status is SagaStatus.COMPLETED:
        raw = saga_result(state)
        if saga is None or bytes(raw) == b"null":
            return msgspec.json.decode(raw)
        return saga.decode_payload(giver_of(state), raw)  # by the type of the node that ran, whichever branch it was
    raise failure_of(state)


def failure_of(state: SagaState) -> SagaFailed:
    """The exception of a saga that did not complete."""
    started = state.started
    assert started is not None
    cause = cause_of(state)
    errors = tuple(state.errors)
    who = f"saga {started.name} {state.saga_id}"
    if state.status is SagaStatus.COMPENSATED:
        return SagaCompensated(
            f"{who} turned back and everything done was made good: {cause}",
            saga_id=state.saga_id, status=state.status, cause=cause, errors=errors,
        )  # fmt: skip
    if state.status is SagaStatus.CLOSED:
        from ..core.state import stays

        left = tuple(state.path_of(index) for index in stays(state))
        return SagaFailed(
            f"{who} was closed by a person; what stays: {_some(left) or 'nothing'}",
            saga_id=state.saga_id, status=state.status, cause=cause, errors=errors, stays=left,
        )  # fmt: skip
    parked = [
        f"{state.path_of(index)} ({slot.reason})"
        for index, slot in enumerate(state.slots)
        if slot is not None and slot.reason and slot.status in ("parked", "owed")
    ]
    return SagaRequiresManual(
        f"{who} needs a person: {_some(parked)}; see `amends show {state.saga_id}`, then retry, resolve or skip",
        saga_id=state.saga_id, status=state.status, cause=cause or _some(parked), errors=errors,
    )  # fmt: skip


def _some(paths: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = len(paths) - _PATHS_SHOWN
    return ", ".join(paths[:_PATHS_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def cause_of(state: SagaState) -> str:
    """Why it turned back, in one line; "" when it did not."""
    event = state.turned_back
    if event is None:
        return ""
    said = f": {event.message}" if event.message else ""
    return f"{state.path_of(event.node)} {event.cause}{said}" if event.node >= 0 else f"{event.cause}{said}"
