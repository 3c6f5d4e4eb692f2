"""What a saga begins with, and starts that are a part of the caller's own transaction.

Rules of this file: the first frame is made here and nowhere else, so that a start is the same from
wherever it comes; nothing here needs a running orchestrator, or an event loop.
"""

from __future__ import annotations

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
from ..stores.base import DefinitionRow, FrameRow, KeyRow, Store
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
    """Start a saga as a part of the transaction that is open on a connection to an orchestrator's file.

    The saga exists if and only if the caller commits. An orchestrator of the same file, in this process
    or in another one, takes it up then. None needs to run here. Nothing is awaited, so it can be
    called from plain and from async code; it runs in the thread that calls it.

    Parameters:
        connection: a `sqlite3.Connection` with an open transaction, or what SQLAlchemy or Django makes of one.
        saga: the definition.
        input, key, correlation: as `Orchestrator.start` takes them.
        encryption: the key ring that the orchestrators of the file are given.

    Returns:
        the saga's id; with a key that was used before, with the same input, the id of the saga that has it.

    Raises:
        KeyConflict: the key was used with another input; the transaction is as it was, and can go on.
        UsageError, StoreError: see `amends.stores.sqlite.joining`.
    """
    if not isinstance(saga, Saga):
        raise UsageError(
            f"start_in_transaction(..., {saga!r}): give the Saga; only an orchestrator knows sagas by name",
            code="AM2023",
        )
    return join(connection, saga, input, key, correlation, SystemClock(), None, encryption)


def join(
    connection: object,
    saga: Saga[Any, Any],
    input: Any,
    key: str | None,
    correlation: Mapping[str, str] | None,
    clock: Clock,
    path: Path | None,
    sealing: Sealing | None,
) -> str:
    """As `start_in_transaction`, with the clock given; `path` is the file that it must be."""
    from ..stores.sqlite import joining

    raw = saga.encode_input(input)
    now = clock.now_ms()
    # One id from fresh chance: a pool of it would be shared by processes that fork.
    saga_id = IdMaker(clock.entropy, at_once=1).new(now)
    started, row = beginning(saga, raw, checked_key(key), checked_correlation(correlation), saga_id, now, sealing)
    frame = first_frame(started, now, sealing)
    held = joining.join(joining.plain_connection(connection), frame, row, definition_row(saga), path)
    if held is None:
        return saga_id
    if held.first_frame is None:
        same = is_hash_of(held.input_hash, saga.canonical_input(raw), sealing)
    else:  # what today's type makes of both, rather than what was hashed once
        first = decode_opened(sealing, held.saga_id, held.first_frame).events[0]
        same = isinstance(first, Started) and same_input(saga, first.input, raw)
    if not same:
        raise key_conflict(saga, started.key, held.saga_id)
    return held.saga_id


def file_of(store: Store) -> Path:
    """The file whose transactions a start can join. Raises UsageError for a store that has none."""
    path = getattr(store, "path", None)
    if isinstance(path, Path):
        return path
    raise UsageError(
        f"start(transaction=...): the store {store.address} is no file, so there is no transaction that a start could "
        f"join; give the orchestrator the file of your tables, sqlite:///...",
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
