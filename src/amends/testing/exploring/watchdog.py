"""A watchdog over real time: a function that really waits would keep an exploration standing for ever.

Rules of this file: it interrupts the main thread, where that can be done, and says at which of the author's lines some
thread stood. Elsewhere (in another thread, or on a system without such a timer) nothing watches.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from .running import THREAD, is_ours

REAL_S = 10.0  # of one run; what takes its time in the virtual world takes none in this one


class TakesRealTime(KeyboardInterrupt):
    """A run took too long. A KeyboardInterrupt, for an event loop lets nothing else through."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where = where


@contextmanager
def watched(limit_s: float = REAL_S) -> Iterator[None]:
    """Around one run.

    Raises:
        TakesRealTime: it took longer.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, _bite)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _bite(_: int, frame: FrameType | None) -> NoReturn:
    raise TakesRealTime(_where(frame))


def _where(frame: FrameType | None) -> str:
    """The innermost of the author's lines at which a plain function stands in its thread, or else the main thread."""
    frames = sys._current_frames()
    threads = [frames.get(each.ident or 0) for each in threading.enumerate() if each.name == THREAD]
    return next(filter(None, map(_authors, [*threads, frame])), "")


def _authors(frame: FrameType | None) -> str:
    while frame is not None:
        file = frame.f_code.co_filename
        if not is_ours(file) and not file.startswith((sys.base_prefix, "<")) and "site-packages" not in file:
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
