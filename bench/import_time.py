"""What `import amends` costs: medians of 20 beside a bare interpreter, and what it loads.

    python bench/import_time.py

Runs with and without are taken in turn, so that a busy machine slows both; the processor's time is
printed beside the clock's, because it suffers less from neighbours. Bytecode is cached, as it is for
a user. The budget is 80 ms; it is printed and held against, never tested by the clock.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from figures import tell

RUNS = 20
BUDGET_MS = 80
COUNT = (
    "import json, sys; before = set(sys.modules); import amends; print(json.dumps(sorted(set(sys.modules) - before)))"
)


def run(code: str, environment: dict[str, str]) -> tuple[float, float, bytes]:
    """One fresh interpreter: milliseconds by the clock, milliseconds of processor, what it printed."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, check=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall * 1_000, cpu * 1_000, done.stdout


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        names = json.loads(run(COUNT, environment)[2])  # also writes the bytecode
        runs = [(run("pass", environment), run("import amends", environment)) for _ in range(RUNS)]
    for measure, column in (("clock", 0), ("processor", 1)):
        bare = statistics.median(without[column] for without, _ in runs)
        whole = statistics.median(with_it[column] for _, with_it in runs)
        if measure == "processor":
            tell("import amends", whole - bare, "ms", at_most=BUDGET_MS)
        verdict = "within" if whole - bare < BUDGET_MS else "OVER"
        print(
            f"import amends, {measure}: {whole - bare:.1f} ms, {verdict} the budget of {BUDGET_MS} ms "
            f"(bare python {bare:.1f} ms, ratio {whole / bare:.1f})"
        )
    ours = sum(name.partition(".")[0] == "amends" for name in names)
    print(f"modules loaded: {len(names)}, of them {ours} of amends")


if __name__ == "__main__":
    main()
