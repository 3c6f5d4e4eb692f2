"""The demo: it passes when everything was made good, and fails when one unit is missing."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from examples.shop.demo import Run, _settle, run_demo
from examples.shop.model import Item, Order
from examples.shop.orders import Read, draw_orders, write_orders
from examples.shop.screen import Screen
from examples.shop.supervisor import ROOT
from tests.shop.conftest import TOTAL, Rig


class Quiet:
    """A supervisor of services that do nothing more."""

    async def quiet(self, mails: int) -> dict[str, int]:
        return {"changed": 0}


def settle(rig: Rig, statuses: dict[str, str]) -> list[str]:
    orders = [
        Order(name, "c001", "c@example.org", "d01", "valid", [Item("A000", 1, TOTAL)], TOTAL) for name in statuses
    ]
    screen = Screen(len(orders), plain=True)
    run = Run(rig.directory, Read(orders), seed=1, faults=0.0, in_flight=1, screen=screen, statuses=statuses)
    asyncio.run(_settle(run, cast("Any", Quiet()), "an audit"))
    return run.problems


def two_orders(rig: Rig) -> None:
    rig.place("o1")
    rig.fulfil("o1")
    rig.place("o2")
    rig.undo("o2")


def test_the_orchestrators_word_is_held_against_what_the_databases_say(rig: Rig) -> None:
    two_orders(rig)
    assert settle(rig, {"o1": "completed", "o2": "compensated"}) == []
    assert settle(rig, {"o1": "compensated", "o2": "compensated"}) == [
        "word: o1: the orchestrator says compensated, the databases say done"
    ]
    assert settle(rig, {"o1": "completed", "o2": "completed"}) == [
        "word: o2: the orchestrator says completed, the databases say undone"
    ]
    assert settle(rig, {"o1": "completed", "o2": "running"}) == [
        "word: o2: the orchestrator says running, the databases say undone"
    ]


def test_an_order_without_trace_and_one_that_nobody_placed_are_found(rig: Rig) -> None:
    two_orders(rig)
    assert settle(rig, {"o1": "completed", "o3": "completed"}) == [
        "word: o3: the orchestrator says completed, the databases say no trace",
        "word: o2: nobody ordered this",
    ]


def test_a_saga_that_waits_for_a_person_may_stand_between(rig: Rig) -> None:
    rig.place("o1")
    assert settle(rig, {"o1": "requires_manual"}) == []
    assert any("half: o1" in problem for problem in settle(rig, {"o1": "completed"}))


def test_orders_that_cannot_be_read_are_a_usage_error(tmp_path: Path) -> None:
    assert run_demo(str(tmp_path / "missing.jsonl"), plain=True) == 2


@pytest.mark.processes
def test_forty_orders_with_faults_kills_and_a_clerk_end_well(tmp_path: Path) -> None:
    """The whole demo, from another directory, on standard input that holds bad lines too."""
    orders = list(draw_orders(40, seed=3))
    lines = tmp_path / "orders.jsonl"
    with lines.open("wb") as stream:
        write_orders(orders[:20], stream)
        stream.write(b'{"order_id": "broken"\n')
        write_orders(orders[19:], stream)
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(ROOT))))
    environment = {**os.environ, "PYTHONPATH": path}
    arguments = [sys.executable, "-m", "examples.shop.demo", "--orders", "-", "--faults", "0.2", "--seed", "5"]
    with lines.open("rb") as stream:
        done = subprocess.run(
            [*arguments, "--directory", str(tmp_path / "shop")],
            stdin=stream,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "line 21 is malformed" in done.stderr
    assert "line 22 repeats an order" in done.stderr
    assert "the orchestrator was killed" in done.stderr
    assert "second audit" in done.stdout
    audited = subprocess.run(
        [sys.executable, "-m", "examples.shop.audit", str(tmp_path / "shop")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert audited.returncode == 0, audited.stderr
    placed = (tmp_path / "shop" / "orders.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["order_id"] for line in placed] == [order.order_id for order in orders]
