"""Who has a start key, as a start in a transaction finds it."""

from __future__ import annotations

from typing import NamedTuple


class Held(NamedTuple):
    """The saga that has the key, its input's hash, and its first frame while it is not pruned."""

    saga_id: str
    input_hash: str
    first_frame: bytes | None
