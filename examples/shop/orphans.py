"""A process that ends when whoever started it is gone, so that a killed demo leaves nothing behind."""

from __future__ import annotations

import os
import threading
import time

LOOKS_EVERY_S = 0.5


def end_with_parent() -> None:
    """Watch the parent from a thread, which works even while the event loop is busy."""
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOKS_EVERY_S)
    os._exit(1)  # like a SIGKILL: whatever must survive is on disk already
