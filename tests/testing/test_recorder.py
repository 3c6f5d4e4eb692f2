"""The recorder: a good participant, until it is told otherwise."""

from dataclasses import dataclass

import pytest

from amends import Context, Rejected, Retry, Saga, StepStatus, step
from amends.testing import (
    Effect,
    Orchestrators,
    Recorder,
    apply_then_raise,
    assert_compensated,
    assert_completed,
    assert_requires_manual,
    assert_undone,
    hangs,
    raises,
    rejects,
    slow,
)


@dataclass
class Order:
    number: int


@step(timeout="10s", retry=Retry(attempts=2))
async def reserve(order: Order, bank: Recorder, ctx: Context) -> str:
    return await bank.apply(ctx.idempotency_key, f"r-{ctx.attempt}")


@reserve.compensation(timeout="10s", retry=Retry(attempts=2))
async def release(bank: Recorder, ctx: Context) -> None:
    await bank.undo(ctx.action_key)


@step(timeout="10s", retry=Retry(attempts=2))
async def charge(order: Order, bank: Recorder, ctx: Context) -> str:
    return await bank.apply(ctx.idempotency_key, "c-1")


@charge.compensation
async def refund(bank: Recorder, ctx: Context) -> None:
    await bank.undo(ctx.action_key)


buy = Saga("buy", reserve, charge, resources=[Recorder], result=reserve)


@pytest.fixture
def bank():
    return Recorder()


@pytest.fixture
def bought(orchestrator: Orchestrators, bank: Recorder):
    """Start the saga under test."""
    return lambda: orchestrator(buy, resources=[bank]).start(buy, Order(1))


def test_where_nothing_is_scripted_all_takes_effect_once(bought, bank):
    saga = bought()
    assert assert_completed(saga) == "r-1"
    assert bank.effects == {
        f"{saga.id}/reserve/action": Effect("reserve", applied=True, calls=1, result="r-1"),
        f"{saga.id}/charge/action": Effect("charge", applied=True, calls=1, result="c-1"),
    }
    assert bank.applied == bank.standing == ["reserve", "charge"]
    assert bank.undone == []


def test_an_answer_that_is_lost_once_is_given_again_under_the_same_key(bought, bank):
    bank.next_calls(reserve, apply_then_raise())
    assert assert_completed(bought()) == "r-1"  # of the first attempt, which took effect
    assert bank.of(reserve).calls == 2
    assert bank.applied == ["reserve", "charge"]
    assert bank.unused == []


@pytest.mark.parametrize(
    ("behaviour", "applied"),
    [
        (apply_then_raise(), True),
        (apply_then_raise(OSError("reset")), True),
        (raises(), False),
        (hangs(), False),
        (hangs(applied=True), True),
        (slow("11s"), True),
    ],
)
def test_what_stays_unknown_is_undone_whether_it_took_effect_or_not(bought, bank, behaviour, applied):
    bank.next_calls("charge", behaviour, behaviour)
    saga = bought()
    assert_compensated(saga)
    assert_undone(saga, reserve, charge)
    assert bank.of("charge") == Effect(
        "charge", applied=applied, undone=True, calls=2, undo_calls=1, result="c-1" if applied else None
    )
    assert bank.undone == (["charge", "reserve"] if applied else ["reserve"])
    assert bank.standing == []


def test_a_slow_answer_within_the_timeout_is_heard(bought, bank, orchestrator):
    bank.next_calls(reserve, slow("9s"))
    began = orchestrator.time.now
    assert_completed(bought())
    assert 9 <= (orchestrator.time.now - began).total_seconds() < 10
    assert bank.of(reserve).calls == 1


def test_a_rejection_is_not_retried_and_has_no_effect(bought, bank):
    bank.next_calls(charge, rejects("insufficient funds"))
    saga = bought()
    assert_undone(saga, reserve)
    assert bank.of(charge) == Effect("charge", calls=1)
    assert "insufficient funds" in saga._orchestrator.get(saga.id).cause


def test_an_undo_can_be_scripted_too_and_what_is_owed_stands(bought, bank):
    bank.next_calls(charge, rejects())
    bank.next_undos(reserve, raises(), hangs())
    saga = bought()
    assert_requires_manual(saga)
    assert saga._orchestrator.get(saga.id)["reserve"].status == StepStatus.OWED
    assert bank.standing == ["reserve"] and bank.of(reserve).undo_calls == 2


def test_a_script_that_no_call_met_is_told(bought, bank):
    bank.next_calls("chrage", raises())
    assert_completed(bought())
    assert bank.unused == ["chrage"]


def test_what_was_never_called_has_no_effect_to_show(bank):
    with pytest.raises(KeyError, match="reserve"):
        bank.of(reserve)


def test_what_is_undone_before_it_came_is_refused_when_it_comes(orchestrator, bank):
    @step(retry=Retry(attempts=1))
    async def late(order: Order, bank: Recorder, ctx: Context) -> None:
        await bank.undo(ctx.idempotency_key)
        await bank.apply(ctx.idempotency_key, None)

    saga = Saga("late", late, resources=[Recorder])
    started = orchestrator(saga, resources=[bank]).start(saga, Order(1))
    assert_compensated(started)
    assert bank.applied == bank.undone == []
    assert "late was undone already" in started._orchestrator.get(started.id).cause


def test_keys_of_items_and_of_other_making_have_a_path():
    effects = Recorder()
    assert [effects._effect(key).step for key in ("S/reserve[3]/action", "S/pay/charge/action", "order-7")] == [
        "reserve[3]",
        "pay/charge",
        "order-7",
    ]
    assert isinstance(rejects().error, Rejected)
