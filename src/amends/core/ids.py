"""Saga ids: 26 characters that sort by the time they were made.

48 bits of milliseconds and 80 random bits, in Crockford's base 32: the layout of the ULID
specification (https://github.com/ulid/spec), and its monotonic ids: of one millisecond the first is random, and
the others follow it. Pure: time and chance are arguments.
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
    """Makes ids that grow strictly within one maker (or shard), also when the clock stands or steps back.

    Parameters:
        entropy: gives random bytes.
        at_once: for how many ids it is asked at a time; what is kept for later must not outlive a fork.
    """

    def __init__(self, entropy: Callable[[int], bytes], at_once: int = _AT_ONCE) -> None:
        self._entropy = entropy
        self._at_once = at_once
        self._pool = b""
        self._taken = 0
        self._series = _Series()
        self._of_shards: dict[int, _Series] = {}

    def new(self, now_ms: int) -> str:
        """The next id, made at `now_ms`."""
        series = self._series
        return series.following() if now_ms <= series.at else series.begin(now_ms, self._random())

    def new_in(self, shard: int, now_ms: int) -> str:
        """The next id of a shard (see shards.py), made at `now_ms`; ids of one shard grow strictly."""
        series = self._of_shards.get(shard)
        if series is None:
            series = self._of_shards[shard] = _Series()
        if now_ms <= series.at:
            return series.following()
        return series.begin(now_ms, (self._random() & ~_SHARD_MASK) | (shard << _SHARD_SHIFT))

    def _random(self) -> int:
        # One system call for many ids; an id per call would cost more than the id.
        if self._taken >= len(self._pool):
            self._pool = self._entropy(10 * self._at_once)
            self._taken = 0
        self._taken += 10
        return int.from_bytes(self._pool[self._taken - 10 : self._taken], "big")


class _Series:
    """Ids that follow one another; of one millisecond only the last two characters are made anew."""

    __slots__ = ("_head", "_high", "_low", "at")

    def __init__(self) -> None:
        self.at = -1  # the millisecond of the last one
        self._high = 0  # the last number, without its last ten bits,
        self._head = ""  # and as text
        self._low = 0

    def begin(self, now_ms: int, random: int) -> str:
        """The first id of a millisecond."""
        self.at = now_ms
        number = (now_ms << _RANDOM_BITS) | random
        self._set(number >> 10, number & 1023)
        return self._head + _PAIRS[self._low]

    def following(self) -> str:
        """The id after the last one."""
        low = self._low + 1
        if low == 1024:
            self._set(self._high + 1, 0)
            low = 0
        self._low = low
        return self._head + _PAIRS[low]

    def _set(self, high: int, low: int) -> None:
        pairs = _PAIRS
        self._high, self._low = high, low
        self._head = "".join([pairs[(high >> shift) & 1023] for shift in range(110, -1, -10)])
