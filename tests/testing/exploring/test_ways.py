"""Each way of the table does what it says: what became of the saga, of its calls, and of its participant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from amends import Context, Saga, parallel, sleep, step, wait_for
from amends.testing import Case, Recorder
from amends.testing.exploring.lab import Lab
from amends.testing.exploring.sandbox import Ran
from amends.testing.exploring.scenario import Fault, Scenario, parse
from amends.testing.exploring.ways import WAYS


@dataclass
class Order:
    id: str


@dataclass
class Go:
    by: str


class Bank:
    def __init__(self) -> None:
        self.recorder = Recorder()
        self.log: list[str] = []

    async def ask(self, what: str) -> None:
        self.log.append(what)

    async def charge(self, key: str) -> str:
        return await self.recorder.apply(key, "receipt")

    async def refund(self, key: str) -> None:
        await self.recorder.undo(key)


def undoable(name: str) -> Any:
    @step(name=name, timeout=20)
    async def act(order: Order, bank: Bank, ctx: Context) -> str:
        await bank.ask(f"{name} {ctx.attempt}")
        return await bank.charge(ctx.idempotency_key)

    @act.compensation
    async def undo(bank: Bank, ctx: Context) -> None:
        await bank.ask(f"undo {name} {ctx.attempt}")
        await bank.refund(ctx.action_key)

    return act


pay = undoable("pay")


@pay.probe
async def find(bank: Bank, ctx: Context) -> str | None:
    await bank.ask(f"find {ctx.attempt}")
    effect = bank.recorder.effects.get(ctx.idempotency_key)
    return effect.result if effect is not None and effect.stands else None


@step(pivot=True)
async def ship(order: Order, bank: Bank, ctx: Context) -> str:
    return await bank.charge(ctx.idempotency_key)


sell = Saga(
    "sell", parallel(undoable("left"), undoable("right")), pay, wait_for("go", Go, timeout="1h"), sleep("10m"), ship,
    input=Order, resources=[Bank], deadline="24h",
)  # fmt: skip
case = Case(Order("o-1"), resources=[Bank], signals={"go": Go("ada")})
lab = Lab(sell, case)


def ran(scenario: Scenario) -> Ran:
    return lab._run(scenario, told=True)


class Seen:
    """A run, asked what came of it."""

    def __init__(self, done: Ran) -> None:
        assert done.state is not None
        self.status = str(done.state.status)
        self.events = [entry.event for entry in done.history]
        self.others = done.others
        self.points = done.points
        (self.bank,) = (each for each in done.doubles if isinstance(each, Bank))

    def stands(self, step: str) -> bool:
        return step in self.bank.recorder.standing

    def asked(self, what: str) -> int:
        """How often the function ran."""
        return sum(said.rpartition(" ")[0] == what for said in self.bank.log)

    def calls(self, op: str, path: str) -> int:
        """How often the orchestrator called it."""
        return sum((each.op, each.path) == (op, path) and not each.again for each in self.points)


def compensated(seen: Seen) -> bool:
    return seen.status == "compensated" and seen.bank.recorder.standing == []


def completed(seen: Seen) -> bool:
    return seen.status == "completed" and len(seen.bank.recorder.standing) == 4


SHIP_REFUSED = "action ship refused; "
DOES: dict[tuple[str, str], tuple[str, Callable[[Seen], bool]]] = {
    ("action", "refused"): ("action pay refused", lambda seen: compensated(seen) and not seen.asked("pay")),
    ("compensation", "refused"): (
        SHIP_REFUSED + "compensation pay refused",
        lambda seen: compensated(seen) and seen.calls("compensation", "pay") == 2 and seen.asked("undo pay") == 1,
    ),
    ("action", "not-sent"): (
        "action pay not-sent",
        lambda seen: compensated(seen) and seen.calls("action", "pay") == 4 and not seen.calls("compensation", "pay"),
    ),
    ("action", "lost"): (
        "action pay lost",
        lambda seen: compensated(seen) and not seen.asked("pay") and seen.asked("undo pay") == 1,
    ),
    ("compensation", "stuck"): (
        SHIP_REFUSED + "compensation pay stuck",
        lambda seen: compensated(seen) and seen.calls("compensation", "pay") == 21 and seen.asked("undo pay") == 1,
    ),
    ("action", "unanswered"): (
        "action left unanswered",
        lambda seen: compensated(seen) and seen.asked("left") == 1 and seen.calls("action", "left") == 4,
    ),
    ("action", "answer-lost"): ("action pay answer-lost", lambda seen: completed(seen) and seen.asked("pay") == 2),
    ("compensation", "answer-lost"): (
        SHIP_REFUSED + "compensation pay answer-lost",
        lambda seen: compensated(seen) and seen.asked("undo pay") == 2,
    ),
    ("action", "late"): (
        "action pay late",
        lambda seen: compensated(seen) and seen.bank.log[-1] == "pay 1" and seen.asked("undo pay") == 1,
    ),
    ("action", "delivered-again"): (
        "action pay delivered-again",
        lambda seen: completed(seen) and seen.bank.log[-1] == "pay 1" and seen.asked("pay") == 2,
    ),
    ("compensation", "delivered-again"): (
        SHIP_REFUSED + "compensation pay delivered-again",
        lambda seen: compensated(seen) and seen.asked("undo pay") == 2 and seen.calls("compensation", "pay") == 1,
    ),
    ("action", "crash-before"): (
        "action pay crash-before",
        lambda seen: completed(seen) and seen.asked("pay") == 1 and seen.calls("action", "pay") == 2,
    ),
    ("compensation", "crash-before"): (
        SHIP_REFUSED + "compensation pay crash-before",
        lambda seen: compensated(seen) and seen.asked("undo pay") == 1 and seen.calls("compensation", "pay") == 2,
    ),
    ("probe", "crash-before"): (
        "action pay unanswered; probe pay crash-before",
        lambda seen: seen.asked("find") == 1 and seen.calls("probe", "pay") == 2,
    ),
    ("action", "crash-after"): (
        "action pay crash-after",
        lambda seen: completed(seen) and seen.asked("pay") == 2 and "ActionCut" in seen.events,
    ),
    ("compensation", "crash-after"): (
        SHIP_REFUSED + "compensation pay crash-after",
        lambda seen: compensated(seen) and seen.asked("undo pay") == 2 and "CompensationCut" in seen.events,
    ),
    ("action", "crash-recorded"): (
        "action pay crash-recorded",
        lambda seen: completed(seen) and seen.asked("pay") == 1 and "ActionCut" not in seen.events,
    ),
    ("compensation", "crash-recorded"): (
        SHIP_REFUSED + "compensation pay crash-recorded",
        lambda seen: compensated(seen) and seen.asked("undo pay") == 1,
    ),
    ("probe", "not-seen"): (
        "action pay unanswered; probe pay not-seen",
        lambda seen: compensated(seen) and "ProbeNotSeen" in seen.events and not seen.asked("find"),
    ),
    ("probe", "fails"): (
        "action pay unanswered; probe pay fails",
        lambda seen: compensated(seen) and seen.calls("probe", "pay") == 4 and not seen.asked("find"),
    ),
    ("wait", "no-signal"): ("wait go no-signal", lambda seen: compensated(seen) and "WaitTimedOut" in seen.events),
    ("wait", "signal-early"): (
        "wait go signal-early",
        lambda seen: completed(seen) and seen.events.index("SignalReceived") < seen.events.index("ActionSucceeded"),
    ),
    ("action", "cancelled"): (
        "action pay cancelled",
        lambda seen: compensated(seen) and "CancelRequested" in seen.events and seen.asked("pay") == 1,
    ),
    ("wait", "cancelled"): ("wait go cancelled", lambda seen: compensated(seen) and "CancelRequested" in seen.events),
    ("sleep", "cancelled"): (
        "sleep sleep#6 cancelled", lambda seen: compensated(seen) and "CancelRequested" in seen.events,
    ),
    ("action", "deadline"): (
        "action left deadline",
        lambda seen: compensated(seen) and "DeadlinePassed" in seen.events and seen.asked("left") == 1,
    ),
    ("wait", "deadline"): ("wait go deadline", lambda seen: compensated(seen) and "DeadlinePassed" in seen.events),
    ("sleep", "deadline"): (
        "sleep sleep#6 deadline", lambda seen: compensated(seen) and "DeadlinePassed" in seen.events,
    ),
    ("action", "deadline-before"): (
        "action left deadline-before",
        lambda seen: compensated(seen) and "DeadlinePassed" in seen.events and not seen.asked("left"),
    ),
    ("action", "slow"): (
        "action left slow", lambda seen: completed(seen) and seen.bank.log[:2] == ["right 1", "left 1"],
    ),
    ("compensation", "slow"): (
        SHIP_REFUSED + "compensation right slow",
        lambda seen: compensated(seen) and seen.bank.log[-2:] == ["undo left 1", "undo right 1"],
    ),
    ("action", "call-fails"): (
        "action pay call-fails@2",
        lambda seen: completed(seen) and seen.asked("pay") == 2 and seen.bank.recorder.of("pay").calls == 1,
    ),
    ("compensation", "call-fails"): (
        SHIP_REFUSED + "compensation pay call-fails@2",
        lambda seen: compensated(seen) and seen.bank.recorder.of("pay").undo_calls == 1 and seen.asked("undo pay") == 2,
    ),
    ("action", "call-unanswered"): (
        "action pay call-unanswered@2",
        lambda seen: completed(seen) and seen.bank.recorder.of("pay").calls == 2,
    ),
    ("compensation", "call-unanswered"): (
        SHIP_REFUSED + "compensation pay call-unanswered@2",
        lambda seen: compensated(seen) and seen.bank.recorder.of("pay").undo_calls == 2,
    ),
    ("action", "call-crash"): (
        "action pay call-crash@1",
        lambda seen: completed(seen) and seen.asked("pay") == 2 and seen.bank.recorder.of("pay").calls == 1,
    ),
    ("compensation", "call-crash"): (
        SHIP_REFUSED + "compensation pay call-crash@1",
        lambda seen: compensated(seen) and seen.asked("undo pay") == 2 and seen.bank.recorder.of("pay").undo_calls == 1,
    ),
    ("action", "other"): (
        "action pay other@2",
        lambda seen: len(seen.others) == 1 and seen.asked("pay") == 2 and len(seen.bank.recorder.standing) == 8,
    ),
    ("compensation", "other"): (
        SHIP_REFUSED + "compensation pay other@1",
        lambda seen: len(seen.others) == 1 and len(seen.bank.recorder.standing) == 4,
    ),
}  # fmt: skip


def test_each_way_has_its_test() -> None:
    assert DOES.keys() == WAYS.keys()


@pytest.mark.parametrize("row", DOES, ids=" ".join)
def test_a_way_does_what_it_says(row: tuple[str, str]) -> None:
    text, holds = DOES[row]
    done = ran(parse(text))
    seen = Seen(done)
    assert done.broken == []
    assert not done.unending
    assert holds(seen), (seen.status, seen.events, seen.bank.log, seen.bank.recorder.standing)
    within = [fault for fault in done.scenario.faults if fault.at]
    assert set(done.came) == {str(fault) for fault in done.scenario.faults if fault not in within}


def test_without_a_fault_all_goes_well() -> None:
    assert completed(Seen(ran(Scenario())))


@pytest.mark.parametrize("row", WAYS, ids=" ".join)
def test_a_scenario_is_brought_back_by_its_text(row: tuple[str, str]) -> None:
    op, way = row
    fault = Fault(op, "a.b-c/d[2]", 3, way, 4 if WAYS[row].within else 0)
    scenario = Scenario(2, (fault, Fault("sleep", "sleep#6", 1, "cancelled")))
    assert parse(str(scenario)) == scenario
    assert fault.said
