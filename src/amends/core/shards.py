"""Which shard a saga belongs to: its id says it.

The first ten of an id's eighty random bits, its characters 10 and 11, are its shard. So an id of any origin
has one, and whoever starts a saga chooses its shard with its id. An id that is no ULID (of a test, or made
by hand) has the shard that its checksum says.

Rules of this file: pure. The rule is for ever: it must not change while a journal exists.
"""

from __future__ import annotations

from zlib import crc32

SHARDS = 64
_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SHARD_OF = {
    high + low: (_DIGITS.index(high) * 32 + _DIGITS.index(low)) % SHARDS for high in _DIGITS for low in _DIGITS
}
_ID_CHARS = 26


def shard_of(saga_id: str) -> int:
    """The shard of a saga's id, from 0 to SHARDS - 1."""
    if len(saga_id) == _ID_CHARS:
        shard = _SHARD_OF.get(saga_id[10:12])
        if shard is not None:
            return shard
    return crc32(saga_id.encode()) % SHARDS
