"""Saga ids: 26 characters that sort by the time they were made.

48 bits of milliseconds and 80 random bits, in Crockford's base 32: the layout of the ULID
specification (https://github.com/ulid/spec). Pure: time and chance are arguments.
"""

from __future__ import annotations

from collections.abc import Callable

from .shards import SHARDS

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [high + low for high in _DIGITS for low in _DIGITS]
_RANDOM_BITS = 80
_AT_ONCE = 4096
_SHARD_SHIFT = _RANDOM_BITS - 10  # the first ten random bits, of which the last six are the shard
_SHARD_MASK = (SHARDS - 1) << _SHARD_SHIFT


class IdMaker:
    """Makes ids that grow strictly within one maker, also when the clock stands or steps back.

    Parameters:
        entropy: gives random bytes.
        at_once: for how many ids it is asked at a time; what is kept for later must not outlive a fork.
    """

    def __init__(self, entropy: Callable[[int], bytes], at_once: int = _AT_ONCE) -> None:
        self._entropy = entropy
        self._at_once = at_once
        self._pool = b""
        self._taken = 0
        self._last = 0
        self._last_in: dict[int, int] = {}

    def new(self, now_ms: int) -> str:
        """The next id, made at `now_ms`."""
        number = (now_ms << _RANDOM_BITS) | int.from_bytes(self._random(), "big")
        if number <= self._last:
            number = self._last + 1
        self._last = number
        return _text(number)

    def new_in(self, shard: int, now_ms: int) -> str:
        """The next id of a shard (see shards.py), made at `now_ms`; ids of one shard grow strictly."""
        number = (now_ms << _RANDOM_BITS) | int.from_bytes(self._random(), "big")
        number = (number & ~_SHARD_MASK) | (shard << _SHARD_SHIFT)
        last = self._last_in.get(shard, 0)
        if number <= last:
            number = last + 1
        self._last_in[shard] = number
        return _text(number)

    def _random(self) -> bytes:
        # One system call for many ids; an id per call would cost more than the id.
        if self._taken >= len(self._pool):
            self._pool = self._entropy(10 * self._at_once)
            self._taken = 0
        self._taken += 10
        return self._pool[self._taken - 10 : self._taken]


def _text(number: int) -> str:
    pairs = _PAIRS
    return "".join([pairs[(number >> shift) & 1023] for shift in range(120, -1, -10)])
