"""The fold behind lists: one saga's line, from its frames alone.

Rules of this file: pure; needs no graph (paths come as an argument), so that a process without the
definitions can list every saga; equal for any way of cutting the journal into runs.
"""

from __future__ import annotations

from msgspec import Struct


class Summary(Struct, kw_only=True):
    """One saga's line in a list; `core.summary` folds it. Times in milliseconds, 0 for not yet.

    `holds` is what keeps the saga waiting, per node. `seq` is the last frame folded in.
    """

    saga_id: str
    name: str
    version: int
    fingerprint: str
    status: str = "scheduled"
    step: str = ""
    cause: str = ""
    key: str = ""
    correlation: dict[str, str] = {}
    started: int = 0
    updated: int = 0
    ended: int = 0
    deadline: int = 0
    seq: int = 0
    paused: bool = False
    anomalous: bool = False
    followup_failed: bool = False
    holds: dict[int, str] = {}
    held: str = ""
