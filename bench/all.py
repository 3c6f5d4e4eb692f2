"""Every figure in one go and in one table: `make bench` (`ARGS=--quick` for an idea in ten minutes).

    python bench/all.py [--quick] [--only postgres,idle] [--accept]

Each benchmark is a process of its own, one after the other. The table gives each figure beside its target. The guard
compares what is a ratio within one run with the ratios that were accepted last (`ratios.json`): one that is worse by
more than a quarter is a regression, and so is the exit status; a missed target is said, and is not. `--accept` writes
the ratios that were found. Whole, it takes about two hours: an hour of it is steady load, and twenty minutes go into
making ten million sagas twice.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.servers.postgres import databases

HERE = Path(__file__).parent
ACCEPTED = HERE / "ratios.json"
TOLERANCE = 1.25
POSTGRES = "POSTGRES"  # stands for the address of a new database on a server of its own, with the server's defaults
RUNS: list[tuple[str, list[str], list[str]]] = [
    # file, its arguments, and those for --quick
    ("orchestrator.py", [], ["--pairs", "1"]),
    ("postgres.py", [], ["--pairs", "1"]),
    ("latency.py", [], ["--pairs", "1"]),
    ("latency.py", ["--store", POSTGRES], ["--store", POSTGRES, "--pairs", "1"]),
    ("compensated.py", [], ["--seconds", "4"]),
    ("workers.py", [], ["--seconds", "4", "--workers", "1,2", "--runs", "1"]),
    ("recovery.py", [], []),
    ("recovery.py", ["--store", POSTGRES], ["--store", POSTGRES]),
    ("each.py", [], ["--runs", "1"]),
    ("import_time.py", [], []),
    ("cli_help.py", [], []),
    ("check.py", [], ["--definitions", "100"]),
    ("verify.py", [], []),
    ("idle.py", [], ["--minutes", "1"]),
    ("asleep.py", [], ["--sagas", "100000", "--waking", "5000"]),
    ("grown.py", ["--postgres"], ["--postgres", "--ended", "200000", "--pairs", "1"]),
    ("steady.py", [], ["--minutes", "3"]),
    ("steady.py", ["--postgres"], ["--minutes", "3", "--postgres"]),
]


def run(file: str, arguments: list[str], figures: Path) -> int:
    print(f"\n== {file} {' '.join(arguments)}", flush=True)
    environment = os.environ | {"AMENDS_BENCH_FIGURES": str(figures)}
    with databases() if POSTGRES in arguments else nullcontext() as server:
        given = [server.new() if server and each == POSTGRES else each for each in arguments]
        return subprocess.run([sys.executable, str(HERE / file), *given], env=environment, check=False).returncode


def verdict(figure: dict[str, Any], accepted: dict[str, float]) -> str:
    """What is to be said of a figure, if anything."""
    value, least, most = figure["value"], figure["at_least"], figure["at_most"]
    said = []
    if (least and value < least) or (most and value > most):
        said.append("MISSES ITS TARGET")
    before = accepted.get(figure["name"])
    if figure["ratio"] and before:
        worse = value / before if most else before / value
        if worse > TOLERANCE:
            said.append(f"REGRESSION: it was {before:.2f}")
    return ", ".join(said)


def target(figure: dict[str, Any]) -> str:
    if figure["at_least"]:
        return f">= {figure['at_least']:g}"
    return f"<= {figure['at_most']:g}" if figure["at_most"] else ""


def table(figures: list[dict[str, Any]], accepted: dict[str, float]) -> int:
    """Print it; how many regressions there are."""
    print(f"\n{'figure':<62}{'value':>12} {'':<9}{'target':>10}")
    regressions = 0
    for figure in figures:
        said = verdict(figure, accepted)
        regressions += "REGRESSION" in said
        value = f"{figure['value']:,.0f}" if figure["value"] >= 1_000 else f"{figure['value']:.3g}"
        print(f"{figure['name']:<62}{value:>12} {figure['unit']:<9}{target(figure):>10}  {said}")
    return regressions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="", help="files whose names contain one of these words, comma separated")
    parser.add_argument("--accept", action="store_true", help="take the ratios that are found as those to hold")
    given = parser.parse_args()
    failed, began = [], time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder, "figures")
        found.touch()
        for file, whole, quick in RUNS:
            if any(word in file for word in given.only.split(",")) and run(
                file, quick if given.quick else whole, found
            ):
                failed.append(file)
        figures = [json.loads(line) for line in found.read_text().splitlines()]
    accepted: dict[str, float] = json.loads(ACCEPTED.read_text()) if ACCEPTED.exists() else {}
    regressions = table(figures, accepted)
    print(f"\n{time.monotonic() - began:.0f} s, {os.cpu_count()} CPUs, Python {sys.version.split()[0]}")
    if given.accept:
        accepted |= {figure["name"]: round(figure["value"], 3) for figure in figures if figure["ratio"]}
        ACCEPTED.write_text(json.dumps(accepted, indent=2, sort_keys=True) + "\n")
    for file in failed:
        print(f"{file} FAILED (see above)")
    raise SystemExit(1 if failed or regressions else 0)


if __name__ == "__main__":
    main()
