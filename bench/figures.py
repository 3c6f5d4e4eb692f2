"""What the benchmarks found, for one table: `bench/all.py` sets AMENDS_BENCH_FIGURES to a file, and each adds lines.

A figure that is a ratio within one run can be guarded against regressions; times cannot, for they are of a machine.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def tell(
    name: str, value: float, unit: str = "", *, at_least: float = 0, at_most: float = 0, ratio: bool = False
) -> None:
    """Note a figure, with its target if it has one (0: none). `ratio`: the guard looks at it."""
    path = os.environ.get("AMENDS_BENCH_FIGURES")
    if path is None:
        return
    line: dict[str, Any] = {"name": name, "value": value, "unit": unit, "ratio": ratio}
    line |= {"at_least": at_least, "at_most": at_most}
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
