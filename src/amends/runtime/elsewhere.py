"""Verbs for sagas that run in another process: through the inbox of whoever runs them.

Rules of this file: what can be refused by a look at the journal is refused before it is queued; an answer is the
holder's own. Without a holder, or after the patience, the command stays in the inbox, and False says so.
"""

# ruff: noqa: SLF001 -- a part of the orchestrator, in a file of its own

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from ..core.state import SagaState
from ..stores.base import Lease, Shared
from .applying import directed, refuse_unknown
from .commands import Command, decode_error, encode_command, sealed

if TYPE_CHECKING:
    from .orchestrator import Orchestrator


async def ask_elsewhere(
    of: Orchestrator, saga_id: str, command: Command, patience_s: float, known: SagaState | None
) -> bool:
    """Post the command, and wait for its answer; `known` is the saga's state, if somebody has looked just now."""
    state = known or await of._reader.state(saga_id)  # NotFound, before anything is queued
    refuse_unknown(state, command)
    body = encode_command(sealed(of._sealing, saga_id, directed(command, state)))
    command_id = await of._store.post(saga_id, body, now=of._clock.now_ms())
    if await _holder(of, saga_id) is None:
        return False
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience_s):
            while True:
                row = await of._store.command(command_id)
                if row is not None and row.done:
                    if row.error:
                        raise decode_error(row.error)
                    return True
                await of._watch.command(command_id)
    return False


async def _holder(of: Orchestrator, saga_id: str) -> Lease | None:
    now = of._clock.now_ms()
    if isinstance(of._store, Shared):
        return await of._store.holder_of(saga_id, now=now)
    return await of._store.holder(now=now)
