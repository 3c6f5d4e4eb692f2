"""Sealed payloads: what an encrypted journal holds, and where it is sealed and opened.

    {"$sealed": [key id, nonce, ciphertext]}        both in base64; the frame around it stays readable

The journal's own boundary is where it happens: frames are sealed just before they are written and
opened just after they were read, so that no other part of Amends knows of it. A payload is bound to its
*place*: the saga, the event, the node or signal, the field. Moved anywhere else it does not open.

Rules of this file:
  * pure: what seals is handed in (`amends.crypto.KeyRing`), and is None when nothing does;
  * plain payloads stay readable beside sealed ones, for a journal may be older than its encryption;
  * JSON null is never sealed: whether a step returned anything is no secret;
  * who looks without the key sees which key is missing; who runs without it is refused.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec
from msgspec import Raw, Struct

from ..errors import PayloadError
from .events import Event, Frame, decode_frame
from .payloads import with_payloads

BEGINNING = b'{"$sealed":'
_NULL = b"null"
_PLACES = ("node", "name", "id")  # fields that say of what an event speaks


class Sealing(Protocol):
    """What encrypts and decrypts; `amends.crypto.KeyRing` does."""

    def seal(self, plain: bytes, place: bytes) -> tuple[str, bytes, bytes]:
        """Key id, nonce and ciphertext, bound to the place."""

    def open(self, key_id: str, nonce: bytes, ciphertext: bytes, place: bytes) -> bytes:
        """What was sealed there. Raises PayloadError AM2112 without the key, AM2113 when it does not open."""

    def digest(self, canonical: bytes) -> str:
        """What a start key keeps of its input: equal for equal inputs, and tells nobody else anything."""

    def is_digest_of(self, digest: str, canonical: bytes) -> bool:
        """Whether the digest, by whichever key, is that of this input. Raises PayloadError AM2112."""


class Envelope(Struct, frozen=True, rename={"sealed": "$sealed"}):
    """A sealed payload."""

    sealed: tuple[str, bytes, bytes]


_envelope = msgspec.json.Decoder(Envelope)


def is_sealed(raw: bytes | Raw) -> bool:
    """Whether a stored payload is sealed."""
    return bytes(raw).startswith(BEGINNING)


def seal(sealing: Sealing, raw: Raw, place: bytes) -> Raw:
    """A payload as it is stored there."""
    plain = bytes(raw)
    if plain == _NULL:
        return raw
    return Raw(msgspec.json.encode(Envelope(sealing.seal(plain, place))))


def open_sealed(sealing: Sealing | None, raw: Raw, place: bytes) -> Raw:
    """A payload as it was before; one that was stored plain is given back as it is.

    Raises:
        PayloadError: AM2112, its key is not here; AM2113, it does not open.
    """
    stored = bytes(raw)
    if not stored.startswith(BEGINNING):
        return raw
    key_id, nonce, ciphertext = _read(stored)
    if sealing is None:
        raise PayloadError(
            f'a payload is encrypted with the key "{key_id}", and there are no keys here: '
            f"give them to Orchestrator(encryption=KeyRing(...)), or in AMENDS_KEYS",
            code="AM2112",
        )
    return Raw(sealing.open(key_id, nonce, ciphertext, place))


def _read(stored: bytes) -> tuple[str, bytes, bytes]:
    try:
        return _envelope.decode(stored).sealed
    except msgspec.DecodeError as error:
        raise PayloadError(f"an encrypted payload is damaged: {error}", code="AM2113") from error


# --- frames ---------------------------------------------------------------------------------------


def seal_events(sealing: Sealing, saga_id: str, events: list[Event]) -> list[Event]:
    """The events of one frame, as they are written."""
    return [
        with_payloads(event, lambda raw, *field, of=event: seal(sealing, raw, _place(saga_id, of, *field)))
        for event in events
    ]


def open_frame(sealing: Sealing | None, saga_id: str, frame: Frame) -> Frame:
    """A frame as it was before it was written.

    Raises:
        PayloadError: AM2112, AM2113.
    """
    return _with_events(
        frame,
        lambda event, raw, field, position: open_sealed(sealing, raw, _place(saga_id, event, field, position)),
    )


def decode_opened(sealing: Sealing | None, saga_id: str, body: bytes) -> Frame:
    """The frame of a journal row's body, opened; a journal that was never sealed is not searched event by event.

    Raises:
        PayloadError: AM2112, AM2113.
        ValueError: the body is damaged, or written by a newer release.
    """
    frame = decode_frame(body)
    return open_frame(sealing, saga_id, frame) if BEGINNING in body else frame


def reveal_frame(sealing: Sealing | None, saga_id: str, frame: Frame) -> Frame:
    """A frame for those who look: what cannot be opened says so in its place."""

    def shown(event: Event, raw: Raw, field: str, position: int) -> Raw:
        try:
            return open_sealed(sealing, raw, _place(saga_id, event, field, position))
        except PayloadError as error:
            return _placeholder(raw, error)

    return _with_events(frame, shown)


def _placeholder(raw: Raw, error: PayloadError) -> Raw:
    try:
        key_id = _read(bytes(raw))[0]
    except PayloadError:
        key_id = "?"
    why = "" if error.code == "AM2112" else ", which does not open it"
    return Raw(msgspec.json.encode(f"<sealed: key {key_id}{why}>"))


def _with_events(frame: Frame, change: Any) -> Frame:
    events = [
        with_payloads(event, lambda raw, field, position, of=event: change(of, raw, field, position))  # type: ignore[misc]
        for event in frame.events
    ]
    if all(one is other for one, other in zip(events, frame.events, strict=True)):
        return frame
    return Frame(frame.version, frame.at, events)  # type: ignore[arg-type]  # the same events, their payloads changed


def _place(saga_id: str, event: Event, field: str, position: int) -> bytes:
    """Where a payload belongs. What is not there, such as a signal's id, takes no part: a later field may come."""
    where = {name: value for name in _PLACES if (value := getattr(event, name, "")) != ""}
    where.pop("name" if field == "input" else "", None)  # a start's name is the definition's
    return msgspec.json.encode([saga_id, event.__struct_config__.tag, where, field, position], order="deterministic")


def place_in_inbox(saga_id: str, verb: str, of: str) -> bytes:
    """Where the payload of a command belongs while it waits."""
    return msgspec.json.encode([saga_id, "inbox", verb, of])
