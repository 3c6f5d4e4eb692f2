"""What `amends doctor` finds: a level, what is so, and how to mend it; and what its checks look at.

    ok        as it should be
    note      good to know
    warning   needs a hand soon
    error     needs a hand now; `unusable` when the store cannot be used at all

Rules of this file: data only. A check is a function of a `Place` (this machine and the file) or of a `Look`
(the store, opened), and yields findings; it never raises for what it looks for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..runtime.orchestrator import Orchestrator

Level = Literal["ok", "note", "warning", "error"]
LEVELS: tuple[Level, ...] = ("ok", "note", "warning", "error")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes:
        check: which check says it, as a stable word.
        level: how bad it is.
        what: what is so, a plain sentence.
        mend: what to do about it; "" when there is nothing to do.
        unusable: the store cannot be used before it is mended.
    """

    check: str
    level: Level
    what: str
    mend: str = ""
    unusable: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """This machine, and the file.

    Attributes:
        path: the database file, which may not be there.
        db: a connection that only reads; None when the file cannot be opened.
    """

    path: Path
    db: sqlite3.Connection | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """The store, opened.

    Attributes:
        store: of the kind that the check is for.
        db: a connection that only reads, for checks of a file.
        now: this machine's wall time, milliseconds.
        app: (name, version) -> fingerprint of the definitions of --app; None when none was given.
    """

    store: Any
    orchestrator: Orchestrator
    db: sqlite3.Connection | None
    now: int
    app: Mapping[tuple[str, int], str] | None = field(default=None)


MachineCheck = Callable[[Place], Iterator[Finding]]
StoreCheck = Callable[[Look], AsyncIterator[Finding]]
