"""Waiting for a saga's outcome, wherever it runs.

    in this process, awake      its actor tells
    in this process, at rest    it is watched until it has news
    in another process          the store's bell rings, and the journal is read (watch.py)

Rules of this file: it asks anew after whatever woke it, for the lease may have come or gone meanwhile.
Cancelling who waits never touches the saga.
"""

# ruff: noqa: SLF001 -- a part of the orchestrator, in a file of its own

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.transitions import SagaStatus
from ..errors import Conflict, NotFound, StoreError
from .reading import has_outcome, outcome

if TYPE_CHECKING:
    from .actor import Actor
    from .engine import Engine
    from .orchestrator import Orchestrator


async def outcome_of(of: Orchestrator, saga_id: str, known: Actor | None) -> Any:
    """Wait for an end (or a parking) and give or raise it; `known` is the actor it was started with."""
    while True:
        if known is not None and known.outcome_known:
            return outcome(known.state, known.saga)
        of._check_open()
        engine = of._engine()
        actor = None if engine is None else engine.actors.get(saga_id)
        if engine is not None and actor is not None and not actor.dead:
            state = actor.state
            if actor.outcome_known or (has_outcome(state) and actor.durable_seq == state.seq):
                return outcome(state, actor.saga)
            try:
                # A parking that another frame follows is told when both have landed: that one may be no news.
                await (actor.landed() if has_outcome(state) else actor.next_news())
            except StoreError:
                continue  # the term is over: the store knows what landed
            finally:
                engine.let_go_when_still(actor)
            continue
        state = await of._reader.state(saga_id)
        if has_outcome(state):
            state = await of._reader.opened(saga_id) if state.status is SagaStatus.COMPLETED else state
            assert state.started is not None
            return outcome(state, of._sagas.get((state.started.name, state.started.version)))
        of._raise_failure()
        here = engine is not None and engine.runs(saga_id) and saga_id not in engine.held
        if here and await _news_of(engine, saga_id):
            continue
        await of._watch.saga(saga_id, state.seq)


async def _news_of(engine: Engine | None, saga_id: str) -> bool:
    """Watch a saga that rests on disk until it has news; False when it cannot be watched here."""
    assert engine is not None
    try:
        async with engine.visit(saga_id) as actor:
            if not actor.dead and not has_outcome(actor.state):
                await actor.next_news()
    except (StoreError, NotFound, Conflict):  # out of reach, or on hold: it is watched through the store
        return False
    return True
