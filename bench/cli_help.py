"""What `amends --help` costs: medians of 20 beside a bare interpreter, and beside cyclopts and rich alone.

    python bench/cli_help.py

Runs are taken in turn, so that a busy machine slows all alike; the processor's time is printed beside
the clock's, because it suffers less from neighbours. Bytecode is cached, as it is for a user. The budget
is 250 ms for the whole command; it is printed and held against, never tested by the clock.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from figures import tell
from import_time import run

RUNS = 20
BUDGET_MS = 250
HELP = "from amends.cli.app import run; run(['--help'])"
WAYS = {
    "bare python": "pass",
    "import amends": "import amends",
    "import cyclopts, rich": "import cyclopts, rich.console",
    "amends --help": HELP,
    "amends list --help": "from amends.cli.app import run; run(['list', '--help'])",
}


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for code in WAYS.values():
            run(code, environment)  # writes the bytecode
        runs = [{name: run(code, environment)[:2] for name, code in WAYS.items()} for _ in range(RUNS)]
    for name in WAYS:
        clock, processor = (statistics.median(each[name][column] for each in runs) for column in (0, 1))
        if name == "amends --help":
            tell(name, clock, "ms", at_most=BUDGET_MS)
        verdict = "" if "--help" not in name else "  within" if processor < BUDGET_MS else "  OVER"
        print(f"{name:24}{clock:8.1f} ms by the clock {processor:8.1f} ms of processor{verdict}")
    print(f"the budget of --help is {BUDGET_MS} ms")


if __name__ == "__main__":
    main()
