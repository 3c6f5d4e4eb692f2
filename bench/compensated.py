"""From a failure to fully compensated, p50 and p99: 100 sagas in flight whose fourth step is rejected.

    python bench/compensated.py [--seconds 10]

The time runs from the rejection, in the action, until the client knows that the three compensations are durable.
Measured as the peers are (`peers/measure.py`), on both stores.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent / "peers"))
sys.path.insert(0, str(Path(__file__).parent))
from figures import tell
from measure import Opener, measure, runner
from with_amends import system

from tests.servers.postgres import databases


async def failing(opener: Opener, address: str, folder: Path, seconds: float) -> dict[str, float]:
    async with opener(address, folder) as running:
        return await measure(running, fails=True, in_flight=100, seconds=seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    given = parser.parse_args()
    with databases() as server:
        for store, address in (("SQLite", ""), ("PostgreSQL", server.new())):
            with tempfile.TemporaryDirectory() as folder, runner() as loop:
                found = loop.run(failing(system, address, Path(folder), given.seconds))
            p50, p99 = found["compensated_p50_ms"], found["compensated_p99_ms"]
            print(f"{store}: rejected to compensated p50 {p50:.1f} ms, p99 {p99:.1f} ms ({found['per_second']:,.0f}/s)")
            tell(f"rejected to compensated, {store}, p50", p50, "ms")
            tell(f"rejected to compensated, {store}, p99", p99, "ms")


if __name__ == "__main__":
    main()
