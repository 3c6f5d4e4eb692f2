"""Amends beside its peers: `make bench-peers`.

    python bench/peers/run.py --peers .venv-peers/bin/python [--only dbos,naive] [--seconds 15] [--in-flight 100]

One system at a time, each in processes of its own, on one machine and within one run; `measure.py` says what is
measured and how. What counts is the ratio of Amends to the peer on the same kind of store; times are of this machine.
The configuration of each is printed below the table. `--rounds` repeats everything and takes medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1]))
from figures import tell

from tests.servers.postgres import Databases, databases

HERE = Path(__file__).parent
SYSTEMS: dict[str, tuple[str, bool, str | None]] = {
    "amends on PostgreSQL": ("with_amends", True, None),
    "amends on SQLite": ("with_amends", False, None),
    "naive on PostgreSQL": ("naive", True, "amends on PostgreSQL"),
    "naive on SQLite": ("naive", False, "amends on SQLite"),
    "DBOS on PostgreSQL": ("with_dbos", True, "amends on PostgreSQL"),
    "Restate": ("with_restate", False, "amends on SQLite"),
    "Temporal (dev server)": ("with_temporal", False, None),
}
"""Module, whether it is given a PostgreSQL database, and which of ours it is compared with."""
TARGETS = {"naive on PostgreSQL": 4, "naive on SQLite": 4, "DBOS on PostgreSQL": 100, "Restate": 15}
"""At least so many times the peer's sagas per second (succeeding)."""
LIMIT_S = 600


def measure(name: str, peers: Path, server: Databases, given: argparse.Namespace) -> dict[str, Any]:
    """One system in a process of its own."""
    module, on_postgres, _ = SYSTEMS[name]
    python = sys.executable if module == "with_amends" else str(peers)
    with tempfile.TemporaryDirectory() as folder:
        command = [python, str(HERE / "measure.py"), module, "--folder", folder]
        command += ["--in-flight", str(given.in_flight), "--seconds", str(given.seconds)]
        if on_postgres:
            command += ["--address", server.new()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, cwd=HERE, check=False)
        if done.returncode:
            raise SystemExit(f"{name} failed:\n{done.stderr[-4000:]}")
        server.drop_all()
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def median(rounds: list[dict[str, Any]], run: str, figure: str) -> float:
    return statistics.median(each[run][figure] for each in rounds)


def ratio(found: dict[str, list[dict[str, Any]]], name: str, run: str) -> float | None:
    """Ours to the peer, per round, their median."""
    ours = SYSTEMS[name][2]
    if ours is None or ours not in found:
        return None
    pairs = zip(found[ours], found[name], strict=True)
    return statistics.median(mine[run]["per_second"] / peer[run]["per_second"] for mine, peer in pairs)


def show(found: dict[str, list[dict[str, Any]]], in_flight: int) -> None:
    head = f"{'':<23}{'alone':>8} |{'succeeding, ' + str(in_flight) + ' in flight':>35} |{'failing':>45}"
    print(head)
    print(
        f"{'':<23}{'p50 ms':>8} |{'sagas/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'ratio':>8} |"
        f"{'sagas/s':>9}{'to compensated p50 ms':>23}{'p99 ms':>9}{'ratio':>8}"
    )
    for name, rounds in found.items():
        good, bad = ratio(found, name, "succeeding"), ratio(found, name, "failing")
        if good is not None:
            tell(f"{name}: ours to it", good, "x", at_least=TARGETS.get(name, 0), ratio=True)
        print(
            f"{name:<23}{median(rounds, 'alone', 'p50_ms'):>8.1f} |"
            f"{median(rounds, 'succeeding', 'per_second'):>9.0f}{median(rounds, 'succeeding', 'p50_ms'):>9.1f}"
            f"{median(rounds, 'succeeding', 'p99_ms'):>9.1f}{f'{good:.1f} x' if good else '':>8} |"
            f"{median(rounds, 'failing', 'per_second'):>9.0f}{median(rounds, 'failing', 'compensated_p50_ms'):>23.1f}"
            f"{median(rounds, 'failing', 'compensated_p99_ms'):>9.1f}{f'{bad:.1f} x' if bad else '':>8}"
        )
    print()
    for name, rounds in found.items():
        print(f"{name}: {rounds[0]['versions']}; {'; '.join(rounds[0]['configuration'])}")


def missed(found: dict[str, list[dict[str, Any]]]) -> list[str]:
    """The targets that are not met, in words."""
    lines = []
    for name, target in TARGETS.items():
        reached = ratio(found, name, "succeeding") if name in found else None
        if reached is not None and reached < target:
            lines.append(f"{name}: {reached:.1f} times as fast, the target is {target}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, required=True, help="python of the peers' environment")
    parser.add_argument("--only", default="", help="words, comma separated; ours are always measured")
    parser.add_argument("--in-flight", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    words = given.only.lower().split(",")
    names = [name for name in SYSTEMS if "amends" in name or any(word in name.lower() for word in words)]
    found: dict[str, list[dict[str, Any]]] = {}
    with databases() as server:
        for _ in range(given.rounds):
            for name in names:
                found.setdefault(name, []).append(measure(name, given.peers.absolute(), server, given))
    show(found, given.in_flight)
    below = missed(found)
    print(*(f"BELOW ITS TARGET: {line}" for line in below), sep="\n")
    raise SystemExit(1 if below else 0)


if __name__ == "__main__":
    main()
