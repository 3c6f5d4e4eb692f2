"""Encryption of payloads: AES-256-GCM with a ring of keys. Comes with the extra `amends[crypto]`.

    keys = KeyRing({"2026-11": new, "2026-05": old}, active="2026-11")
    Orchestrator("sqlite:///orders.db", sagas=[...], encryption=keys)

What is written is sealed with the active key; what was written before opens with the key that it names.
To rotate, add a key and make it active; take the old one away when no journal names it any more.

    AM2112   a payload's key is not in the ring        AM2114   a ring, a key or AMENDS_KEYS cannot be
    AM2113   a payload does not open

Rules of this file:
  * the only one that imports `cryptography`;
  * every payload has a nonce of 96 random bits of its own, from the operating system: never from a seed.
    Their number makes a repetition likely only beyond 2^32 payloads of one key: rotate long before;
  * the place of a payload and the key's id are authenticated with it;
  * keys stand in no message, no repr and no traceback of ours.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from typing import Self

from .errors import PayloadError, UsageError

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError as error:
    raise ImportError('encryption needs the package "cryptography": pip install "amends[crypto]"') from error

__all__ = ["KeyRing"]

ENVIRONMENT = "AMENDS_KEYS"
_KEY_BYTES = 32
_NONCE_BYTES = 12
_KEY_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)


class KeyRing:
    """Keys by their id, one of them active.

    Parameters:
        keys: id -> 32 bytes, or their base64 text. An id is of letters, digits and `_.-`; it is stored, and shown.
        active: the id of the key that new payloads are sealed with.

    Raises:
        UsageError: AM2114, a key or id that cannot be.
    """

    __slots__ = ("_ciphers", "_digesting", "active")

    def __init__(self, keys: Mapping[str, bytes | str], *, active: str) -> None:
        if active not in keys:
            known = ", ".join(sorted(keys)) or "none"
            raise UsageError(f"KeyRing(active={active!r}): no key of that id is given; given: {known}", code="AM2114")
        self._ciphers: dict[str, AESGCM] = {}
        self._digesting: dict[str, bytes] = {}
        for key_id, given in keys.items():
            if not isinstance(key_id, str) or not _KEY_ID.fullmatch(key_id):
                raise UsageError(
                    f"KeyRing: {key_id!r} is no key id: give 1 to 64 letters, digits, '_', '.' or '-'", code="AM2114"
                )
            key = _bytes_of(key_id, given)
            self._ciphers[key_id] = AESGCM(key)
            self._digesting[key_id] = hmac.digest(key, b"amends: start key", hashlib.sha256)
        self.active = active

    def __repr__(self) -> str:
        return f"<key ring, active {self.active}, {len(self._ciphers)} keys>"

    @staticmethod
    def generate() -> str:
        """A new key, as base64 text."""
        return base64.b64encode(AESGCM.generate_key(_KEY_BYTES * 8)).decode()

    @classmethod
    def from_env(cls, name: str = ENVIRONMENT) -> Self:
        """The ring of an environment variable: `id=key,id=key`, the first one active.

        Raises:
            UsageError: AM2114, it is not set, or is none.
        """
        said = os.environ.get(name, "")
        keys: dict[str, bytes | str] = {}
        for part in filter(None, (part.strip() for part in said.split(","))):
            key_id, equals, key = part.partition("=")
            if not equals or key_id in keys:
                raise UsageError(
                    f"{name}: write id=key,id=key with every id once, and each key as 32 bytes in base64", code="AM2114"
                )
            keys[key_id] = key
        if not keys:
            raise UsageError(f"{name} is not set: give id=key,id=key, the active key first", code="AM2114")
        return cls(keys, active=next(iter(keys)))

    # --- what the journal asks for (core.sealing.Sealing) -------------------------------------------

    def seal(self, plain: bytes, place: bytes) -> tuple[str, bytes, bytes]:
        """Key id, nonce and ciphertext, bound to the place."""
        nonce = os.urandom(_NONCE_BYTES)
        return self.active, nonce, self._ciphers[self.active].encrypt(nonce, plain, _bound(place, self.active))

    def open(self, key_id: str, nonce: bytes, ciphertext: bytes, place: bytes) -> bytes:
        """What was sealed at the place. Raises PayloadError AM2112, AM2113."""
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise self._missing(key_id)
        try:
            return cipher.decrypt(nonce, ciphertext, _bound(place, key_id))
        except (InvalidTag, ValueError):
            message = (
                f'a payload encrypted with the key "{key_id}" does not open: the key of that id is another one, '
                f"or the payload was changed, or moved here from another place"
            )
        raise PayloadError(message, code="AM2113")

    def digest(self, canonical: bytes) -> str:
        """What a start key keeps of its input: a keyed hash, with the key's id."""
        return self._digest(self.active, canonical)

    def is_digest_of(self, digest: str, canonical: bytes) -> bool:
        """Whether a digest is that of this input. Raises PayloadError AM2112."""
        key_id = digest.partition(":")[0]
        if key_id not in self._digesting:
            raise self._missing(key_id)
        return hmac.compare_digest(digest, self._digest(key_id, canonical))

    def _digest(self, key_id: str, canonical: bytes) -> str:
        return f"{key_id}:{hmac.digest(self._digesting[key_id], canonical, hashlib.sha256).hex()}"

    def _missing(self, key_id: str) -> PayloadError:
        known = ", ".join(sorted(self._ciphers))
        return PayloadError(
            f'a payload is encrypted with the key "{key_id}", which is not in the ring (it holds: {known}); '
            f"add it, old keys too are needed for as long as journals name them",
            code="AM2112",
        )


def _bound(place: bytes, key_id: str) -> bytes:
    return b"%b\0%b" % (place, key_id.encode())


def _bytes_of(key_id: str, given: bytes | str) -> bytes:
    key: object = given
    if isinstance(given, str):
        try:
            key = base64.b64decode(given, validate=True)
        except (binascii.Error, ValueError):
            key = None
    if not isinstance(key, bytes) or len(key) != _KEY_BYTES:
        raise UsageError(
            f"KeyRing: the key {key_id!r} is not 32 bytes, nor their base64 text; KeyRing.generate() makes one",
            code="AM2114",
        ) from None
    return key
