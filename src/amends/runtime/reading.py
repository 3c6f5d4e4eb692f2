"""Looking at sagas: from the store alone, with or without their definitions.

Rules of this file: reads only; a saga whose definition is not registered here is shown through the
structure stored with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ..core.definition import Saga
from ..core.events import Frame, Started, decode_frame
from ..core.fold import fold_frame
from ..core.graph import Graph, Policy, structure_from
from ..core.state import SagaState, giver_of, saga_result
from ..core.summary import Summary, fold_summary
from ..core.transitions import SagaStatus
from ..errors import NotFound, SagaCompensated, SagaFailed, SagaRequiresManual, StoreUnusable
from ..stores.base import FrameRow, Store
from .views import HistoryEntry, SagaView, history_of, view_of

_DONE = frozenset({SagaStatus.COMPLETED, SagaStatus.COMPENSATED, SagaStatus.CLOSED, SagaStatus.REQUIRES_MANUAL})


class Reader:
    """Folds journals for those who look.

    Parameters:
        store: the journal.
        sagas: definitions by (name, version).
    """

    def __init__(self, store: Store, sagas: Mapping[tuple[str, int], Saga[Any, Any]]) -> None:
        self._store = store
        self._sagas = sagas
        self._stored: dict[str, Graph] = {}

    async def state(self, saga_id: str) -> SagaState:
        """The saga's folded journal. Raises NotFound."""
        return (await self._fold(saga_id))[0]

    async def view(self, saga_id: str) -> SagaView:
        """The whole of one saga. Raises NotFound."""
        state, frames = await self._fold(saga_id)
        paths = [node.path for node in state.nodes]
        summary: Summary | None = None
        for seq, frame in frames:
            summary = fold_summary(summary, saga_id, frame, seq, paths)
        assert summary is not None
        result = msgspec.json.decode(saga_result(state)) if state.status is SagaStatus.COMPLETED else None
        return view_of(summary, state, result)

    async def history(self, saga_id: str) -> list[HistoryEntry]:
        """Its journal, event by event. Raises NotFound."""
        state, frames = await self._fold(saga_id)
        return history_of(state.graph, frames)

    async def _fold(self, saga_id: str) -> tuple[SagaState, list[tuple[int, Frame]]]:
        rows = (await self._store.frames([saga_id])).get(saga_id)
        if not rows:
            raise NotFound(f"no saga {saga_id} in {self._store.address}", code="AM3002")
        frames = _decode(saga_id, rows)
        state = SagaState(await self._graph(frames[0][1], saga_id))
        for _, frame in frames:
            fold_frame(state, frame)
        return state, frames

    async def _graph(self, first: Frame, saga_id: str) -> Graph:
        started = first.events[0]
        if not isinstance(started, Started):
            raise StoreUnusable(f"saga {saga_id}: its journal does not begin with its start", code="AM6040")
        saga = self._sagas.get((started.name, started.version))
        if saga is not None and saga.fingerprint == started.fingerprint:
            return saga.graph
        if started.fingerprint not in self._stored:
            for row in await self._store.definitions():
                shape = structure_from(row.structure)
                policies = tuple(Policy() for _ in shape.nodes)
                self._stored[row.fingerprint] = Graph(
                    shape.name, shape.version, shape.nodes, policies, shape.root, shape.after_completed,
                    shape.after_compensated, shape.result, 0, row.fingerprint,
                )  # fmt: skip
        graph = self._stored.get(started.fingerprint)
        if graph is None:
            raise NotFound(
                f"saga {saga_id}: {started.name} version {started.version} is neither registered here "
                f"nor stored with this structure; give the definition with --app, or sagas=[...]",
                code="AM3005",
            )
        return graph


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

        left = tuple(state.nodes[index].path for index in stays(state))
        return SagaFailed(
            f"{who} was closed by a person; what stays: {', '.join(left) or 'nothing'}",
            saga_id=state.saga_id, status=state.status, cause=cause, errors=errors, stays=left,
        )  # fmt: skip
    parked = [
        f"{state.nodes[index].path} ({slot.reason})"
        for index, slot in enumerate(state.slots)
        if slot is not None and slot.reason and slot.status in ("parked", "owed")
    ]
    return SagaRequiresManual(
        f"{who} needs a person: {', '.join(parked)}; see `amends show {state.saga_id}`, then retry, resolve or skip",
        saga_id=state.saga_id, status=state.status, cause=cause or ", ".join(parked), errors=errors,
    )  # fmt: skip


def cause_of(state: SagaState) -> str:
    """Why it turned back, in one line; "" when it did not."""
    event = state.turned_back
    if event is None:
        return ""
    said = f": {event.message}" if event.message else ""
    return f"{state.nodes[event.node].path} {event.cause}{said}" if event.node >= 0 else f"{event.cause}{said}"
