"""`verify_saga` finds each kind of mistake by running the saga, and finds nothing in a saga that has none."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from amends import Context, Rejected, Saga, choose, step, wait_for, when
from amends.errors import UsageError
from amends.testing import Case, Participant, Recorder, replay, verify_saga
from amends.testing.exploring.exploration import Exploration
from amends.testing.exploring.lab import Lab
from amends.testing.exploring.verifying import explore


@dataclass
class Order:
    id: str
    total: int


class Bank:
    """A good participant, and a balance that anybody may write."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.balance = 100

    async def charge(self, key: str) -> str:
        return await self.recorder.apply(key, "receipt")

    async def refund(self, key: str) -> None:
        await self.recorder.undo(key)

    async def read(self) -> int:
        return self.balance

    async def write(self, balance: int) -> None:
        self.balance = balance

    async def add(self, amount: int) -> None:
        self.balance += amount


async def charge(order: Order, bank: Bank, ctx: Context) -> str:
    return await bank.charge(ctx.idempotency_key)


async def refund(bank: Bank, ctx: Context) -> None:
    await bank.refund(ctx.action_key)


async def charge_anew(order: Order, bank: Bank) -> str:
    return await bank.charge(str(uuid.uuid4()))


async def refund_receipt(pay: str, bank: Bank, ctx: Context) -> None:
    await bank.refund(ctx.action_key)


async def refund_if_known(pay: str | None, bank: Bank, ctx: Context) -> None:
    if pay is not None:
        await bank.refund(ctx.action_key)


async def refund_or_not(bank: Bank, ctx: Context) -> None:
    try:
        await bank.refund(ctx.action_key)
    except ConnectionError:
        return


async def refund_shouted(pay: str | None, bank: Bank, ctx: Context) -> None:
    assert pay is not None
    await bank.refund(ctx.action_key)


async def take(order: Order, bank: Bank) -> str:
    await bank.add(-order.total)
    return "receipt"


async def read_and_write(order: Order, bank: Bank) -> str:
    await bank.write(await bank.read() - order.total)
    return "receipt"


async def give(order: Order, bank: Bank) -> None:
    await bank.add(order.total)


def saga_of(action: Callable[..., Any], compensation: Callable[..., Any] | None) -> Saga[Any, Any]:
    pay = step(name="pay")(action)
    if compensation is not None:
        pay.compensation(compensation)

    @step(pivot=True)
    async def ship(order: Order, bank: Bank, ctx: Context) -> str:
        return await bank.charge(ctx.idempotency_key)

    return Saga("sell", pay, ship, input=Order, resources=[Bank])


def case_of(*, balance: bool = False) -> Case:
    case = Case(Order("o-1", 3), resources=[Bank])
    if balance:

        @case.state
        def what_counts(bank: Bank) -> int:
            return bank.balance

    return case


def found(saga: Saga[Any, Any], case: Case, **options: Any) -> list[Any]:
    return list(explore(Exploration(saga, case, **options), Lab(saga, case)).failures)


def test_a_saga_without_a_mistake_is_explored_whole_and_nothing_is_found() -> None:
    verified = verify_saga(saga_of(charge, refund), case_of())
    assert verified.failures == ()
    assert verified.whole
    assert verified.unreached == ()
    assert verified.tried == verified.points > 30
    assert verified.notes == ()


MISTAKES: list[Any] = [
    (charge_anew, refund, "nothing twice", "SG011", "action pay answer-lost"),
    (charge, refund_receipt, "ends", "SG009", "action pay unanswered"),
    (charge, refund_if_known, "all or nothing", "SG009", "action pay unanswered"),
    (charge, refund_or_not, "all or nothing", "SG016",
     "action pay cancelled; compensation pay call-fails@1"),
    (charge, refund_shouted, "ends", "SG009", "action pay lost"),
    (charge, None, "ends", "SG005", "action pay cancelled"),
    (take, give, "state", "SG011", "action pay answer-lost"),
    (take, give, "state", "SG012", "action pay cancelled; compensation pay answer-lost"),
    (take, give, "state", "SG013", "action pay lost"),
    (read_and_write, give, "state", "SG018", "action pay other@2"),
]  # fmt: skip


@pytest.mark.parametrize(("action", "compensation", "check", "rule", "scenario"), MISTAKES)
def test_a_mistake_is_found(action: Any, compensation: Any, check: str, rule: str, scenario: str) -> None:
    case = case_of(balance=check == "state")
    saga = saga_of(action, compensation)
    by_rule = {(each.check, each.rule): each for each in found(saga, case)}
    assert by_rule[check, rule].scenario == scenario
    with pytest.raises(AssertionError, match=f"^{check}: "):
        replay(saga, case, scenario)


def test_a_failure_tells_its_story_and_shows_the_timeline() -> None:
    with pytest.raises(AssertionError) as raised:
        verify_saga(saga_of(charge, refund_if_known), case_of())
    said = str(raised.value)
    assert "all or nothing: the saga is compensated, and what pay did stands  (SG009)" in said
    assert "    1. pay takes effect, and its answer never comes" in said
    assert "    scenario: action pay unanswered" in said
    assert "compensated  sell v1" in said


def test_an_invariant_is_asked_at_every_end() -> None:
    case = case_of()

    @case.invariant
    def nobody_pays_twice(bank: Bank, order: Order) -> None:
        charged = sum(each.stands for each in bank.recorder.effects.values() if each.result == "receipt")
        assert charged <= 2, f"{charged} charges"

    only = found(saga_of(charge_anew, refund), case, depth=1)
    said = next(each.what for each in only if each.check == "nobody_pays_twice")
    assert said.endswith("completed: 3 charges")


def test_an_invariant_that_returns_false_does_not_hold() -> None:
    case = case_of()
    case.invariant(lambda: False)
    assert [each.check for each in found(saga_of(charge, refund), case, depth=1)] == ["<lambda>"]


def test_a_double_that_fails_by_itself_is_the_cases_own_mistake() -> None:
    async def typo(order: Order, bank: Bank) -> str:
        return await bank.chrage(order.id)  # type: ignore[attr-defined,no-any-return]

    (failure,) = found(saga_of(typo, refund), case_of())
    assert failure.check == "case"
    assert "pay raises, and nothing was made to go wrong: AttributeError" in failure.what
    assert __file__ in failure.what


def test_a_case_that_cannot_judge_says_so() -> None:
    class Silent(Bank):
        def __init__(self) -> None:
            self.balance = 0

        async def charge(self, key: str) -> str:
            return "receipt"

        async def refund(self, key: str) -> None: ...

    verified = verify_saga(saga_of(charge, refund), Case(Order("o", 1), resources=[Silent]), depth=1)
    assert "nothing tells whether an effect stands" in verified.notes[0]


def test_plain_functions_are_explored_as_well() -> None:
    class Till:
        def __init__(self) -> None:
            self.balance = 100

        def add(self, amount: int) -> None:
            self.balance += amount

    @step
    def pay(order: Order, till: Till) -> str:
        till.add(-order.total)
        return "receipt"

    @pay.compensation
    def give_back(order: Order, till: Till) -> None:
        till.add(order.total)

    saga = Saga("sell", pay, input=Order, resources=[Till])
    case = Case(Order("o-1", 3), resources=[Till])

    @case.state
    def what_counts(till: Till) -> int:
        return till.balance

    assert {each.rule for each in found(saga, case)} >= {"SG011", "SG012", "SG013"}


def test_a_scenario_that_does_not_come_about_any_more_says_so() -> None:
    saga, case = saga_of(charge, refund), case_of()
    replay(saga, case, "action pay unanswered; compensation pay answer-lost")
    with pytest.raises(AssertionError, match="compensation pay stuck does not come about"):
        replay(saga, case, "compensation pay stuck")
    with pytest.raises(AssertionError, match="action pay call-fails@7 does not come about"):
        replay(saga, case, "action pay call-fails@7")


def test_two_runs_of_one_scenario_are_alike() -> None:
    saga, case = saga_of(charge_anew, refund), case_of()
    assert [each.record() for each in found(saga, case)] == [each.record() for each in found(saga, case)]


class Client:
    """A client of a real service, as production has it."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def send(self, ctx: Context) -> str:
        async with httpx2.AsyncClient(timeout=5) as client:
            response = await client.post(self.url, headers=ctx.headers())
        if response.status_code == 409:
            raise Rejected("refused")
        response.raise_for_status()
        return response.text


def by_network(*, only_known: bool) -> Saga[Any, Any]:
    @step
    async def pay(order: Order, client: Client, ctx: Context) -> str:
        return await client.send(ctx)

    @pay.compensation
    async def refund(pay: str | None, client: Client, ctx: Context) -> None:
        if pay is not None or not only_known:
            await client.send(ctx)

    @step(pivot=True)
    async def ship(order: Order, client: Client, ctx: Context) -> str:
        return await client.send(ctx)

    return Saga("net", pay, ship, input=Order, resources=[Client])


def test_real_services_are_called_over_the_network() -> None:
    with Participant() as service:

        def anew() -> list[object]:
            service.recorder.effects.clear()
            return [Client(service.url), service]

        case = Case(Order("o-1", 3), resources=anew, network=True)
        verified = verify_saga(by_network(only_known=False), case, depth=1)
        assert verified.tried == verified.points > 20
        assert len(service.requests) > 50
        assert "no other saga ran beside one" in verified.notes[0]
        assert ("all or nothing", "SG009") in {
            (each.check, each.rule) for each in found(by_network(only_known=True), case, depth=1)
        }


def test_a_wait_without_its_signal_is_told() -> None:
    saga = Saga("waits", wait_for("approval", Order), input=Order)
    (failure,) = found(saga, Case(Order("o-1", 3)), depth=1)
    assert (failure.check, failure.scenario) == ("ends", "input 1")
    assert "it waits for the signal approval: give Case(signals={'approval': ...})" in failure.what


def test_a_wait_that_can_only_time_out_is_noted() -> None:
    @step(read_only=True)
    async def look(order: Order) -> None: ...

    saga = Saga("waits", wait_for("approval", Order, timeout="1h"), look, input=Order)
    verified = verify_saga(saga, Case(Order("o-1", 3)), depth=1)
    assert "the case has no signal approval: its wait can only time out" in verified.notes
    assert verified.unreached == ("look",)
    verified = verify_saga(saga, Case(Order("o-1", 3), signals={"approval": Order("o-2", 1)}), depth=1)
    assert not any("signal" in note for note in verified.notes)
    assert verified.unreached == ()


def test_a_predicate_that_fails_is_told_as_what_it_is() -> None:
    def is_large(order: Order) -> bool:
        return order.totl > 3  # type: ignore[attr-defined,no-any-return]

    @step
    async def wrap(order: Order) -> None: ...

    saga = Saga("chooses", choose(when(is_large, wrap), otherwise=()), input=Order)
    (failure,) = found(saga, Case(Order("o-1", 3)), depth=1)
    assert (failure.check, failure.rule) == ("ends", "")
    assert "is parked for good, and asking again does not help: AttributeError" in failure.what


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (Case, "with which input?"),
        (lambda: Case(Order("o", 1), resources=[Bank()]), "would be shared by all runs; give its class"),
    ],
)
def test_a_case_that_cannot_be_is_refused(make: Callable[[], Case], said: str) -> None:
    with pytest.raises(UsageError, match="AM2570") as raised:
        make()
    assert said in str(raised.value)


def test_a_parameter_of_an_invariant_that_fits_nothing_is_told() -> None:
    case = case_of()

    @case.invariant
    def wrong(courier: Courier) -> None: ...

    with pytest.raises(
        UsageError, match="wrong, parameter courier: 0 of these fit it; there are Bank, Order, SagaView"
    ):
        verify_saga(saga_of(charge, refund), case, depth=1)


def test_atomic_steps_want_a_connection() -> None:
    @step(atomic=True)
    def book(order: Order, connection: sqlite3.Connection) -> None: ...

    saga = Saga("books", book, input=Order)
    with pytest.raises(UsageError, match=r"AM2572.*atomic steps \(book\)"):
        verify_saga(saga, Case(Order("o", 1)))


@pytest.mark.parametrize("depth", [0, 5, "2"])
def test_a_depth_that_cannot_be_is_refused(depth: Any) -> None:
    with pytest.raises(UsageError, match="AM2573"):
        verify_saga(saga_of(charge, refund), case_of(), depth=depth)


def test_time_that_is_over_leaves_the_rest() -> None:
    verified = verify_saga(saga_of(charge, refund), case_of(), max_time="1ms")
    assert not verified.whole
    assert verified.left > 0


class Courier:
    """What no case here makes."""
