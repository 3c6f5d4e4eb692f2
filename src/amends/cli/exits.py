"""Exit codes, and errors as the command line says them.

    0    ok, also for a verb that was only queued
    1    the saga failed (`start --wait`), `check`, `diff` or `doctor` found something, or the demo's audit did
    2    usage: the command, its options, the app or the input
    3    not found: no such saga, step, signal or definition
    4    conflict: the message names the state and what it allows
    5    the store cannot be used, or failed while we worked
    70   a defect of Amends itself; the traceback is on standard error
    130  interrupted

A command given several ids does what it can for each, and ends with the highest code of all.

Rules of this file: an error is one line on standard error, `amends: [CODE] what, where, how to mend`; that of a
filter has two more, which mark the place.
"""

from __future__ import annotations

import sys

from ..errors import AmendsError, Conflict, FilterError, NotFound, SagaFailed, StoreError
from .words import safe

OK = 0
FAILED = 1
USAGE = 2
NOT_FOUND = 3
CONFLICT = 4
STORE = 5
DEFECT = 70
INTERRUPTED = 130

_CODES: tuple[tuple[type[AmendsError], int], ...] = (
    (SagaFailed, FAILED),
    (NotFound, NOT_FOUND),
    (Conflict, CONFLICT),
    (StoreError, STORE),
)  # whatever else Amends raises is about how it was called


def code_of(error: AmendsError) -> int:
    """The exit code of an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), USAGE)


def complain(error: object) -> None:
    """Say what went wrong, in one line on standard error; of a filter, with a mark under the place."""
    if isinstance(error, FilterError) and error.pointer is not None:
        say(f"amends: [{error.code}] filter: {error.what}")
        for line in error.pointer:  # printable as it is, and its spaces count
            print(f"    {line}", file=sys.stderr, flush=True)
        return
    say(f"amends: {error}")


def say(text: object) -> None:
    """One line on standard error, for a person."""
    print(safe(text), file=sys.stderr, flush=True)
