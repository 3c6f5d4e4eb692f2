"""One saga as one file: what `export` writes, and what opens elsewhere without its store.

    {"format": "amends.saga", "version": 1, "checksum": "blake2b:<64 digits>", "content": {
        "release", "exported_at", "saga_id", "payloads",
        "key": {"name", "key", "saga_id", "input_hash"} or null, "correlation": {},
        "definition": {"name", "version", "fingerprint", "structure": {}, "redactions": {}}, "frames": [frame, ...]}}

The checksum is over the content without its white space, so a bundle may be indented on the way, and
nothing else may change. Frames are the journal's own: what was redacted or sealed there is so here.

    AM2070  what should be a bundle is none
    AM2071  a bundle is damaged, or ends too early
    AM2072  a bundle was written by a newer release
    AM2073  what a bundle holds does not belong together

Rules of this file: bytes go in and come out; it opens no file and no database.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from ..core.events import NOTHING, Started, decode_frame, encode_frame
from ..core.graph import structure_from
from ..core.payloads import with_payloads
from ..core.redaction import INPUT, Redactions, decode_redactions, marked_at
from ..core.state import SagaState
from ..errors import StoreUnusable, UsageError
from ..stores.base import Batch, DefinitionRow, FrameRow, KeyRow, Owner, Store
from ..stores.memory import MemoryStore
from .reading import Reader
from .texts import escaped
from .veil import redacted
from .views import stamp, when

FORMAT = "amends.saga"
VERSION = 1


class KeyPart(Struct, frozen=True):
    """The start key's row."""

    name: str
    key: str
    saga_id: str
    input_hash: str = ""


class DefinitionPart(Struct, frozen=True):
    """The definition's row; `structure` and `redactions` are the JSON that the store has."""

    name: str
    version: int
    fingerprint: str
    structure: Raw
    redactions: Raw = NOTHING


class Bundle(Struct, frozen=True):
    """What a bundle says of one saga; `payloads` is False when they were left out."""

    release: str
    exported_at: str
    saga_id: str
    definition: DefinitionPart
    frames: list[Raw]
    payloads: bool = True
    key: KeyPart | None = None
    correlation: dict[str, str] = {}


class _File(Struct, frozen=True):
    format: str
    version: int
    checksum: str
    content: Raw


class _Head(Struct, frozen=True):
    """What every version of the format has."""

    format: str = ""
    version: int = 0


_encode = msgspec.json.encode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_LOOKS_LIKE_ONE = re.compile(rb'\s*\{\s*"format"\s*:\s*"amends\.saga"')


# --- writing -------------------------------------------------------------------------------------


async def write(store: Store, saga_id: str, *, now_ms: int, release: str, payloads: bool = True) -> bytes:
    """One saga's bundle.

    Parameters:
        payloads: with False input, results and signals' payloads are null, and the input's hash is left out.

    Raises:
        NotFound: no such saga, or its definition is not stored.
        StoreUnusable: its journal cannot be read.
    """
    reader = Reader(store, {})
    state = await reader.state(saga_id)  # that it folds here is what makes it open elsewhere
    started = state.started
    assert started is not None
    rows = await reader.rows(saga_id)
    (definition,) = [
        row
        for row in await store.definitions()
        if (row.name, row.version, row.fingerprint) == (started.name, started.version, started.fingerprint)
    ]
    redactions = decode_redactions(definition.redactions)
    bodies = _bodies(rows, state, redactions) if payloads else [_without_payloads(row.body) for row in rows]
    key = await store.key(started.name, started.key) if started.key else None
    tells = payloads and not marked_at(redactions, (INPUT,))  # a plain hash of little can be guessed
    bundle = Bundle(
        release=release,
        exported_at=stamp(when(now_ms)),
        saga_id=saga_id,
        definition=DefinitionPart(
            definition.name,
            definition.version,
            definition.fingerprint,
            Raw(definition.structure),
            Raw(definition.redactions or b"null"),
        ),
        frames=[Raw(body) for body in bodies],
        payloads=payloads,
        key=KeyPart(key.name, key.key, key.saga_id, key.input_hash if tells else "") if key else None,
        correlation=started.correlation,
    )
    content = escaped(_encode(bundle).decode()).encode()  # so that it can be looked at on any terminal
    return _encode(_File(FORMAT, VERSION, _checksum(content), Raw(content))) + b"\n"


def _bodies(rows: Sequence[FrameRow], state: SagaState, redactions: Redactions) -> list[bytes]:
    """The journal's own rows; where something is marked, without it. What is sealed stays so."""
    if not redactions:
        return [row.body for row in rows]
    frames = [redacted(decode_frame(row.body), state.graph, state.path_of, redactions) for row in rows]
    return [encode_frame(frame.at, list(frame.events)) for frame in frames]


def _without_payloads(body: bytes) -> bytes:
    frame = decode_frame(body)
    return encode_frame(frame.at, [with_payloads(event, lambda *_: NOTHING) for event in frame.events])


def _checksum(content: bytes) -> str:
    compact = msgspec.json.format(content, indent=-1)
    return f"blake2b:{hashlib.blake2b(compact, digest_size=32).hexdigest()}"


# --- reading -------------------------------------------------------------------------------------


def read(data: bytes, what: str) -> Bundle:
    """The bundle that the bytes are.

    Parameters:
        what: how errors call it, such as the file's name.

    Raises:
        UsageError: AM2070 to AM2073.
    """
    try:
        head = msgspec.json.decode(data, type=_Head)
    except msgspec.ValidationError:
        head = _Head()
    except _UNREADABLE as error:
        if _LOOKS_LIKE_ONE.match(data):
            raise _damaged(what, f"it ends too early, or is no JSON any more ({error})") from error
        raise _no_bundle(what) from error
    if head.format != FORMAT:
        raise _no_bundle(what)
    if head.version > VERSION:
        raise UsageError(
            f"{what} is a bundle of format version {head.version}; this release reads up to {VERSION}: "
            "open it with the release that wrote it, or a later one",
            code="AM2072",
        )
    try:
        file = msgspec.json.decode(data, type=_File)
        if file.checksum != _checksum(bytes(file.content)):
            raise _damaged(what, "its checksum does not fit")
        bundle = msgspec.json.decode(file.content, type=Bundle)
    except _UNREADABLE as error:
        raise _damaged(what, str(error)) from error
    _check(bundle, what)
    return bundle


def _check(bundle: Bundle, what: str) -> None:
    """That its parts belong together: a checksum proves a copy true, and not its writer right."""
    stated = bundle.definition
    try:
        events = decode_frame(bytes(bundle.frames[0])).events if bundle.frames else []
        shape = structure_from(bytes(stated.structure))
        for body in bundle.frames[1:]:
            decode_frame(bytes(body))
    except ValueError as error:
        raise _incoherent(what, str(error)) from error
    first = events[0] if events else None
    if not isinstance(first, Started) or first.saga_id != bundle.saga_id:
        raise _incoherent(what, f"its journal does not begin with the start of {bundle.saga_id}")
    if (first.name, first.version, first.fingerprint) != (stated.name, stated.version, stated.fingerprint) or (
        (shape.name, shape.version) != (stated.name, stated.version)
    ):
        raise _incoherent(what, f"it holds another definition than {first.name} version {first.version} of its saga")


def _no_bundle(what: str) -> UsageError:
    return UsageError(f"{what} is no bundle; give a saga's id, or a file that `amends export` wrote", code="AM2070")


def _damaged(what: str, why: str) -> UsageError:
    return UsageError(f"{what} is damaged: {why}; copy it again, or export the saga again", code="AM2071")


def _incoherent(what: str, why: str) -> UsageError:
    return UsageError(f"{what} is no bundle that this release understands: {why}; export the saga again", code="AM2073")


async def store_of(bundle: Bundle, what: str) -> Store:
    """A store that holds nothing but the bundle's saga; opened.

    Raises:
        UsageError: AM2073, the frames do not follow from each other.
    """
    store = MemoryStore()
    await store.open()
    part = bundle.definition
    await store.register(
        [DefinitionRow(part.name, part.version, part.fingerprint, bytes(part.structure), _marks(part))]
    )
    lease = await store.acquire(Owner("bundle"), ttl_ms=1, now=0)
    assert lease is not None
    key = bundle.key
    rows = [FrameRow(bundle.saga_id, seq, bytes(body)) for seq, body in enumerate(bundle.frames, 1)]
    keys = [KeyRow(key.name, key.key, key.saga_id, key.input_hash)] if key and key.saga_id == bundle.saga_id else []
    await store.commit(lease, Batch(1, frames=rows, opened=[bundle.saga_id], keys=keys))
    await store.release(lease)
    try:
        await Reader(store, {}).view(bundle.saga_id)
    except StoreUnusable as error:  # of a file that somebody gave, and not of a store
        raise _incoherent(what, error.message) from error
    return store


def _marks(part: DefinitionPart) -> bytes:
    marks = bytes(part.redactions)
    return b"" if marks == b"null" else marks
