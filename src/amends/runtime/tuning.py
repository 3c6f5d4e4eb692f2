"""What a process that runs many sagas at once should set, once, for the whole process.

    garbage collection   Python's default looks for garbage after every 700 new objects; thousands of awake sagas make
                         that a walk over all of them, again and again. Sagas leave no cycles behind, so seldom is
                         enough.
    switch interval      the thread that commits waits for the interpreter's lock after each flush, beside a busy event
                         loop for as long as this: 5 ms unless it is set, which is longer than the flush itself.

Both are settings of the process and not of ours alone, so nothing but `amends worker` and the benchmarks makes them
without being asked.
"""

from __future__ import annotations

import gc
import sys

_GC_THRESHOLDS = (50_000, 20, 50)
_SWITCH_S = 0.001


def tune_process() -> None:
    """Set both; a service that runs sagas beside other work may call it when it starts."""
    gc.set_threshold(*_GC_THRESHOLDS)
    sys.setswitchinterval(_SWITCH_S)
