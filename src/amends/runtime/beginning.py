"""What a saga begins with, and starts that are a part of the caller's own transaction.

Rules of this file: the first frame is made here and nowhere else, so that a start is the same from
wherever it comes; nothing here needs a running orchestrator, or an event loop.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Raw

from ..core.definition import Saga
from ..core.events import Event, Started, encode_frame
from ..core.graph import structure_of
from ..core.ids import IdMaker
from ..core.redaction import encode_redactions
from ..core.sealing import Sealing, decode_opened, seal_events
from ..errors import KeyConflict, UsageError
from ..stores.base import DefinitionRow, FrameRow, KeyRow, Shared, Store
from ..stores.held import Held
from .arguments import checked_correlation, checked_key, hash_of, is_hash_of
from .clock import Clock, SystemClock

In = TypeVar("In")


def start_in_transaction(
    connection: object,
    saga: Saga[In, Any],
    input: In,
    *,
    key: str | None = None,
    correlation: Mapping[str, str] | None = None,
    encryption: Sealing | None = None,
) -> str:
    """Start a saga as a part of the transaction that is open on a connection to an orchestrator's store.

    The saga exists if and only if the caller commits. An orchestrator of the same file, in this process
    or in another one, takes it up then. None needs to run here. Nothing is awaited, so it can be
    called from plain and from async code; it runs in the thread that calls it.

    Parameters:
        connection: a `sqlite3.Connection` or a `psycopg.Connection` with an open transaction, or what SQLAlchemy or
            Django makes of one.
        saga: the definition.
        input, key, correlation: as `Orchestrator.start` takes them.
        encryption: the key ring that the orchestrators of the file are given.

    Returns:
        the saga's id; with a key that was used before, with the same input, the id of the saga that has it.

    Raises:
        KeyConflict: the key was used with another input; the transaction is as it was, and can go on.
        UsageError, StoreError: see `amends.stores.sqlite.joining` and `amends.stores.postgres.joining`.
    """
    return Joining(saga, input, key, correlation, SystemClock(), encryption).on(connection)


async def start_in_async_transaction(
    connection: object,
    saga: Saga[In, Any],
    input: In,
    *,
    key: str | None = None,
    correlation: Mapping[str, str] | None = None,
    encryption: Sealing | None = None,
) -> str:
    """As `start_in_transaction`, on an async connection to PostgreSQL.

    Parameters:
        connection: an asyncpg or async psycopg connection with an open transaction, or SQLAlchemy's AsyncSession or
            AsyncConnection on one of them.
    """
    return await Joining(saga, input, key, correlation, SystemClock(), encryption).on_async(connection)


class Joining:
    """One start in somebody's transaction, before it is known what connection that is on.

    Parameters:
        saga, input, key, correlation: as `Orchestrator.start` takes them.
        clock: wall time and chance.
        sealing: encrypts payloads.

    Raises:
        UsageError: what is no saga, or cannot be stored.
    """

    def __init__(
        self, saga: Saga[Any, Any], input: Any, key: str | None, correlation: Mapping[str, str] | None, clock: Clock,
        sealing: Sealing | None,
    ) -> None:  # fmt: skip
        if not isinstance(saga, Saga):
            raise UsageError(
                f"start_in_transaction(..., {saga!r}): give the Saga; only an orchestrator knows sagas by name",
                code="AM2023",
            )
        self._saga = saga
        self._sealing = sealing
        self._raw = saga.encode_input(input)
        now = clock.now_ms()
        # One id from fresh chance: a pool of it would be shared by processes that fork.
        self._id = IdMaker(clock.entropy, at_once=1).new(now)
        labels = checked_correlation(correlation)
        self._started, self._key = beginning(saga, self._raw, checked_key(key), labels, self._id, now, sealing)
        self._frame = first_frame(self._started, now, sealing)
        self._definition = definition_row(saga)

    def on(self, connection: object, path: Path | None = None, store: int = 0) -> str:
        """Write it; the saga's id. `path` is the file that it must be on, `store` the PostgreSQL store."""
        if _is_postgres(connection):
            from ..stores.postgres import joining as joining_postgres

            return self._answer(joining_postgres.join(connection, self._frame, self._key, self._definition, store))
        from ..stores.sqlite import joining

        plain = joining.plain_connection(connection)
        return self._answer(joining.join(plain, self._frame, self._key, self._definition, path))

    async def on_async(self, connection: object, path: Path | None = None, store: int = 0) -> str:
        """The same, on a connection of either kind."""
        if _is_postgres(connection):
            from ..stores.postgres import joining

            if joining.is_async(connection):
                held = await joining.join_async(connection, self._frame, self._key, self._definition, store)
                return self._answer(held)
        return self.on(connection, path, store)

    def _answer(self, held: Held | None) -> str:
        if held is None:
            return self._id
        if held.first_frame is None:
            same = is_hash_of(held.input_hash, self._saga.canonical_input(self._raw), self._sealing)
        else:  # what today's type makes of both, rather than what was hashed once
            first = decode_opened(self._sealing, held.saga_id, held.first_frame).events[0]
            same = isinstance(first, Started) and same_input(self._saga, first.input, self._raw)
        if not same:
            raise key_conflict(self._saga, self._started.key, held.saga_id)
        return held.saga_id


def _is_postgres(connection: object) -> bool:
    """Whether it leads to PostgreSQL; without looking into a driver that is not there."""
    if not any(name in sys.modules for name in ("psycopg", "psycopg2", "asyncpg")):
        return False
    from ..stores.postgres.joining import is_ours

    return is_ours(connection)


async def place_of(store: Store) -> tuple[Path | None, int]:
    """What a start in a transaction must be on: the store's file, or its database. Raises UsageError for neither."""
    file = file_of(store)
    return file, 0 if file is not None or not isinstance(store, Shared) else await store.identity()


def file_of(store: Store) -> Path | None:
    """The store's file; None for a database. Raises UsageError for a store that is neither."""
    path = getattr(store, "path", None)
    if isinstance(path, Path):
        return path
    if isinstance(store, Shared):
        return None
    raise UsageError(
        f"start(transaction=...): the store {store.address} is no file, so there is no transaction that a start could "
        f"join; give the orchestrator the file of your tables, sqlite:///..., or their database, postgresql://...",
        code="AM2234",
    )


def beginning(
    saga: Saga[Any, Any], raw: Raw, key: str, labels: dict[str, str], saga_id: str, now: int, sealing: Sealing | None
) -> tuple[Started, KeyRow | None]:
    """The first event of a saga, and its start key's row."""
    length_ms = saga.graph.deadline_ms
    deadline = now + length_ms if length_ms else 0
    started = Started(
        saga_id, saga.name, saga.version, saga.fingerprint, raw, deadline, length_ms, key, labels
    )  # fmt: skip
    return started, KeyRow(saga.name, key, saga_id, hash_of(saga.canonical_input(raw), sealing)) if key else None


def first_frame(started: Started, now: int, sealing: Sealing | None) -> FrameRow:
    """The row of a saga's first frame, as it is written without a committer."""
    events: list[Event] = [started]
    written = events if sealing is None else seal_events(sealing, started.saga_id, events)
    return FrameRow(started.saga_id, 1, encode_frame(now, written))


def definition_row(saga: Saga[Any, Any]) -> DefinitionRow:
    """What a store keeps of a definition."""
    redactions = encode_redactions(saga.redactions)
    return DefinitionRow(saga.name, saga.version, saga.fingerprint, structure_of(saga.graph), redactions)


def same_input(saga: Saga[Any, Any], stored: Raw, raw: Raw) -> bool:
    """Whether two stored inputs are equal, as today's type reads them."""
    try:
        return saga.canonical_input(stored) == saga.canonical_input(raw)
    except UsageError:
        return False


def key_conflict(saga: Saga[Any, Any], key: str, holder: str) -> KeyConflict:
    """The refusal of a key that was used with another input."""
    return KeyConflict(
        f"the key {key!r} of {saga.name} belongs to saga {holder}, started with another input; "
        f"use another key, or the same input"
    )
