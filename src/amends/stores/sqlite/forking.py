"""No SQLite file is used in a process that was forked off one which had a store open.

SQLite keeps account, in the process's own memory, of which files are open and which locks are held on them. A
forked child inherits the account, but not one of the locks. A connection that it makes then

  * takes no lock that the account calls held already. So the parent, when it closes, believes itself the last
    one, and deletes the write-ahead log: **what the child was told is committed is gone**;
  * or waits for ever for one that a thread of the parent held at the fork, and that thread is not in the child.

Nothing in a child can mend that, short of `exec`, so it is refused (https://www.sqlite.org/howtocorrupt.html,
section 2.6). What starts a program anew (`subprocess`, `multiprocessing` with "spawn") is not concerned.

Rules of this file: of the child only. What it inherited is kept for ever: the garbage collector closing the
parent's connections in the child is the first of the two accidents above.

Codes:
    AM2204  a store on SQLite behind a fork
"""

from __future__ import annotations

import os
import weakref
from typing import Any

from ...errors import UsageError

_open: weakref.WeakSet[Any] = weakref.WeakSet()
_inherited: list[Any] = []


def opened(store: object) -> None:
    """Remember that a store of this process is open.

    Raises:
        UsageError: AM2204.
    """
    refuse_behind_a_fork()
    _open.add(store)


def closed(store: object) -> None:
    """It is no longer."""
    _open.discard(store)


def refuse_behind_a_fork() -> None:
    """Raise UsageError (AM2204) in a process that was forked off one with an open store."""
    if _inherited:
        raise UsageError(
            f"this process was forked off one that had {_inherited[0].address} open, and SQLite does not survive that: "
            "what is committed here could be lost. Open the first store behind the fork, or close it before; for "
            'processes made by multiprocessing, take its "spawn" or "forkserver" method',
            code="AM2204",
        )


def _in_the_child() -> None:
    _inherited.extend(_open)
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_the_child)
