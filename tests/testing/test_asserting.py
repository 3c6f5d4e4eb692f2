"""The assertions of the test kit: what passes, what fails, and what a failure shows."""

import sys
from dataclasses import dataclass

import pytest

from amends import Rejected, Retry, Saga, step, wait_for
from amends.testing import Orchestrators, assert_compensated, assert_completed, assert_requires_manual, assert_undone


@dataclass
class Order:
    total: int


once = Retry(attempts=1)


@step
async def reserve(order: Order) -> str:
    return "r-1"


@reserve.compensation(retry=once)
async def release(order: Order) -> None:
    if order.total == 13:
        raise Rejected("already gone")


@step
async def charge(order: Order) -> str:
    if order.total > 10:
        raise Rejected("insufficient funds")
    return "c-1"


@charge.compensation
async def refund(order: Order) -> None: ...


buy = Saga("buy", reserve, charge, result=charge)


@pytest.fixture
def ended(orchestrator: Orchestrators):
    """A saga of this total, as it ended."""
    return lambda total: orchestrator(buy).start(buy, Order(total))


def test_what_is_so_passes(ended):
    assert assert_completed(ended(5)) == "c-1"
    assert_undone(ended(5))
    assert_compensated(ended(11))
    assert_undone(ended(11), "reserve")
    assert_undone(ended(11), reserve)
    assert_requires_manual(ended(13))


@pytest.mark.parametrize(
    ("total", "check", "said"),
    [
        (11, assert_completed, "buy: compensated, and not completed"),
        (13, assert_completed, "buy: requires_manual, and not completed"),
        (5, assert_compensated, "buy: completed, and not compensated"),
        (13, assert_compensated, "buy: requires_manual, and not compensated"),
        (11, assert_requires_manual, "buy: compensated, and not requires_manual"),
        (11, assert_undone, "buy: reserve is undone, which was not expected"),
        (5, lambda saga: assert_undone(saga, reserve, charge), "buy: charge, reserve are not undone"),
        (
            11,
            lambda saga: assert_undone(saga, charge),
            "charge is not undone; reserve is undone, which was not expected",
        ),
        (13, lambda saga: assert_undone(saga, reserve), "buy: reserve is not undone"),
    ],
)
def test_what_is_not_so_fails_with_the_timeline(ended, total, check, said):
    saga = ended(total)
    with pytest.raises(AssertionError) as failure:
        check(saga)
    shown = str(failure.value)
    assert said in shown.splitlines()[0]
    assert f"buy v1  {saga.id}" in shown
    assert "STEP" in shown and "FORWARD" in shown
    assert ("insufficient funds" in shown) == (total > 10)


def test_a_step_that_is_not_there_is_no_step_that_is_not_undone(ended):
    with pytest.raises(AssertionError, match="buy has no step chrage"):
        assert_undone(ended(11), "chrage")


def test_the_time_that_an_outcome_takes_passes(orchestrator: Orchestrators):
    patient = Saga("patient", wait_for("approval", str, timeout="24h"), input=Order)
    assert_compensated(orchestrator(patient).start(patient, Order(1)))


def test_a_saga_without_an_outcome_fails_with_the_timeline(orchestrator: Orchestrators):
    patient = Saga("patient", wait_for("approval", str), input=Order)
    with pytest.raises(
        AssertionError, match=r"still without an outcome: no answer within 366 days[^$]*approval +waiting"
    ):
        assert_completed(orchestrator(patient).start(patient, Order(1)))


def test_without_rich_the_history_is_listed(ended, monkeypatch):
    saga = ended(11)
    for name in [name for name in sys.modules if name.partition(".")[0] == "rich" or name.startswith("amends.cli")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rich", None)
    with pytest.raises(AssertionError, match=r"not completed\n\n.*Z  Started\n[^$]*  ActionStarted  reserve\n"):
        assert_completed(saga)
