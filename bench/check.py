"""`amends check` on 500 definitions: processor time, beside that of only importing the modules, and of 50 definitions.

    python bench/check.py [--definitions 500]

What is written are modules as teams have them: 20 sagas each, of four to eight steps with compensations, over clients
with a key, helpers of the module, and now and then an each, a parallel or a choose.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

EACH = 20  # definitions in a module
HEAD = '''"""Sagas of team {module}."""

from dataclasses import dataclass

from amends import Context, Rejected, Retry, Saga, choose, each, parallel, step, when


@dataclass
class Order:
    order_id: str
    total: int
    skus: list[str]


@dataclass
class Receipt:
    receipt_id: str


class Client:
    async def post(self, path: str, *, headers: dict[str, str], timeout: float, json: object = None) -> dict: ...


def body_of(order: Order, what: str) -> dict:
    return {{"order": order.order_id, "what": what, "total": order.total}}


def is_large(order: Order) -> bool:
    return order.total > 100


def lines(order: Order) -> list[str]:
    return order.skus


'''
STEP = """
@step(timeout=5, retry=Retry(attempts=4))
async def {name}(order: Order, client: Client, ctx: Context) -> Receipt:
    answer = await client.post("/{name}", headers=ctx.headers(), timeout=4, json=body_of(order, "{name}"))
    if answer.get("refused"):
        raise Rejected(answer["refused"])
    return Receipt(answer["id"])


@{name}.compensation
async def undo_{name}({name}: Receipt | None, client: Client, ctx: Context) -> None:
    await client.post("/{name}/undo", headers=ctx.headers(), timeout=4, json={{"key": ctx.action_key}})

"""
ENDS = """
@step(pivot=True, timeout=5)
async def {name}(order: Order, client: Client, ctx: Context) -> None:
    await client.post("/{name}", headers=ctx.headers(), timeout=4)


@step(retriable=True, timeout=5)
async def after_{name}(order: Order, client: Client, ctx: Context) -> None:
    await client.post("/after", headers=ctx.headers(), timeout=4)

"""


def module(number: int, definitions: int) -> str:
    """The text of one module."""
    text = HEAD.format(module=number)
    for saga in range(definitions):
        names = [f"m{number}_s{saga}_{place}" for place in range(2 + (number + saga) % 5)]
        text += "".join(STEP.format(name=name) for name in names) + ENDS.format(name=f"m{number}_s{saga}_capture")
        nodes = ", ".join(names[2:])
        first = [f"parallel({names[0]}, {names[1]})", f"choose(when(is_large, {names[0]}), otherwise={names[1]})",
                 f"{names[0]}, {names[1]}"][saga % 3]  # fmt: skip
        rest = f"{first}, {nodes}" if nodes else first
        capture = f"m{number}_s{saga}_capture"
        text += (
            f'\nm{number}_s{saga} = Saga("m{number}_s{saga}", {rest}, {capture}, after_{capture}, input=Order, '
            f'resources=[Client], deadline="1h")\n'
        )
    return text


def seconds(command: list[str], place: Path) -> float:
    """Processor time of a command, its children included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1):
        sys.exit(done.stderr)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(definitions: int) -> tuple[float, float]:
    """Processor time of importing the modules, and of checking them."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        names = [f"team_{number}" for number in range(definitions // EACH)]
        for number, name in enumerate(names):
            (place / f"{name}.py").write_text(module(number, EACH), encoding="utf-8")
        imports = "; ".join(f"import {name}" for name in names)
        amends = str(Path(sys.executable).with_name("amends"))
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        bare = seconds([sys.executable, "-c", imports], place)
        return bare, seconds([amends, "check", *names], place)


def main() -> None:
    """Print both, and what they say of each other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--definitions", type=int, default=500)
    definitions = parser.parse_args().definitions
    few = max(EACH, definitions // 10 // EACH * EACH)
    (few_bare, few_check), (bare, check) = measure(few), measure(definitions)
    print(f"importing {definitions:,} definitions   {bare:6.2f} s of CPU")
    print(f"amends check of them        {check:6.2f} s   {check / bare:.1f} times the import")
    each, few_each = (check - bare) / definitions, (few_check - few_bare) / few
    print(f"each definition             {each * 1e3:6.2f} ms   {each / few_each:.2f} times that of {few}")


if __name__ == "__main__":
    main()
