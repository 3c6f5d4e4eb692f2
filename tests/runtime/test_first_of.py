"""`first_of` as it runs: what was done is undone before the next is tried, also across a restart."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from amends import (
    Conflict,
    Context,
    Refusal,
    Refusals,
    Rejected,
    Retry,
    Saga,
    SagaCompensated,
    SagaRequiresManual,
    choose,
    each,
    first_of,
    parallel,
    step,
    wait_for,
    when,
)  # fmt: skip
from amends.errors import NotSent
from tests.runtime.stage import events_of, kill, scene, until

ONCE = Retry(attempts=1)


@dataclass
class Order:
    total: int = 1


@dataclass
class Paid:
    by: str


class World:
    """Ways to pay, each undone by its refund; what they were called for, and what befalls them."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.failing: dict[str, BaseException] = {}
        self.held: dict[str, asyncio.Event] = {}

    def way(self, name: str, undo: Retry = ONCE):
        @step(name=name, retry=ONCE)
        async def pay(order: Order, ctx: Context) -> Paid:
            await self.play(ctx.step)
            return Paid(name)

        @pay.compensation(retry=undo)
        async def refund(order: Order, paid: Paid | None, ctx: Context) -> None:
            await self.play(f"undo {ctx.step} {'?' if paid is None else ''}".strip())

        return pay

    async def play(self, name: str) -> None:
        self.calls.append(name)
        if name in self.held:
            await self.held[name].wait()
        if name in self.failing:
            raise self.failing[name]

    def hold(self, name: str) -> asyncio.Event:
        return self.held.setdefault(name, asyncio.Event())


@step
async def done(paid: Paid) -> str:
    return paid.by


@step
async def turn_back(order: Order) -> None:
    raise Rejected("turn back")


NO = Rejected("no money")


@scene
async def test_the_first_that_succeeds_gives_the_value_and_the_others_are_never_called(ground):
    world = World()
    saga = Saga("pay", first_of(world.way("card"), world.way("bank")), done)
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        assert await handle.result() == "card"
        assert [str(view.status) for view in (await orchestrator.get(handle.id)).steps] == [
            "succeeded",
            "pending",
            "succeeded",
        ]
    assert world.calls == ["card"]


@pytest.mark.parametrize("error", [NO, NotSent("no line")], ids=["rejected", "not sent"])
@scene
async def test_the_next_is_tried_after_one_without_effect_which_is_not_undone(ground, error):
    world = World()
    world.failing["card"] = error
    saga = Saga("pay", first_of(world.way("card"), world.way("bank")), done)
    async with ground.orchestrator(saga) as orchestrator:
        assert await (await orchestrator.start(saga, Order())).result() == "bank"
    assert world.calls == ["card", "bank"]


@scene
async def test_an_unknown_one_is_undone_and_that_acknowledged_before_the_next_is_tried(ground):
    world = World()
    world.failing["card"] = RuntimeError("no answer")
    release = world.hold("undo card ?")
    saga = Saga("pay", first_of(world.way("card"), world.way("bank")), done)
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        await until(lambda: world.calls == ["card", "undo card ?"])
        assert await handle.status() == "running"
        assert (await orchestrator.get(handle.id))["card"].status == "compensating"
        release.set()
        assert await handle.result() == "bank"
        told = await events_of(orchestrator, handle.id)
    assert world.calls == ["card", "undo card ?", "bank"]
    assert told.index("CompensationSucceeded") < told.index("AlternativeStarted", told.index("AlternativeFailed"))


@pytest.mark.parametrize("moment", ["undoing", "next"])
@pytest.mark.parametrize("way", ["killed", "stopped"])
@scene
async def test_a_restart_while_one_is_undone_or_the_next_is_tried_goes_on_from_there(ground, way, moment):
    world = World()
    world.failing["card"] = RuntimeError("no answer")
    at = "undo card ?" if moment == "undoing" else "bank"
    release = world.hold(at)
    saga = Saga("pay", first_of(world.way("card"), world.way("bank")), done)
    first = ground.orchestrator(saga)
    await first.__aenter__()
    handle = await first.start(saga, Order())
    await until(lambda: world.calls[-1:] == [at])
    await (kill(first) if way == "killed" else first.close())
    release.set()
    async with ground.orchestrator(saga) as second:
        assert await second.handle(handle.id).result() == "bank"
    wanted = ["card", "undo card ?", "bank"]
    wanted.insert(wanted.index(at), at)
    assert world.calls == wanted


@scene
async def test_what_an_alternative_of_several_steps_did_is_undone_from_its_end(ground):
    world = World()
    world.failing["by/c"] = NO
    both = (world.way("a"), parallel(world.way("x"), world.way("y")), world.way("c"))
    saga = Saga("pay", world.way("before"), first_of(both, world.way("bank"), name="by"))
    async with ground.orchestrator(saga) as orchestrator:
        assert await (await orchestrator.start(saga, Order())).result() == Paid("bank")
    before, a, *middle, last_a, bank = world.calls
    assert (before, a, last_a, bank) == ("before", "by/a", "undo by/a", "by/bank")
    assert sorted(middle[:2]) == ["by/x", "by/y"] and middle[2] == "by/c"
    assert sorted(middle[3:]) == ["undo by/x", "undo by/y"]


@scene
async def test_when_none_is_left_the_saga_turns_back_for_the_last_one_s_reason(ground):
    world = World()
    world.failing |= {"card": NO, "bank": Rejected("no account")}
    saga = Saga("pay", world.way("before"), first_of(world.way("card"), world.way("bank")), input=Order)
    async with ground.orchestrator(saga) as orchestrator:
        with pytest.raises(SagaCompensated, match="no account") as raised:
            await (await orchestrator.start(saga, Order())).result()
    assert "rejected" in raised.value.cause
    assert world.calls == ["before", "card", "bank", "undo before"]


@scene
async def test_when_one_cannot_be_undone_the_saga_turns_back_and_a_person_ends_it(ground):
    world = World()
    world.failing |= {"card": RuntimeError("no answer"), "undo card ?": RuntimeError("no refund")}
    saga = Saga("pay", world.way("before"), first_of(world.way("card"), world.way("bank")), input=Order)
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        with pytest.raises(SagaRequiresManual, match=r"card \(exhausted\)"):
            await handle.result()
        assert world.calls == ["before", "card", "undo card ?", "undo before"]  # and the bank was never asked
        assert await orchestrator.resolve(handle.id, "card", outcome="done", reason="refunded by hand")
        with pytest.raises(SagaCompensated, match="unknown: card: RuntimeError: no answer"):
            await handle.result()


@scene
async def test_what_is_being_undone_can_be_resolved_and_cannot_be_skipped(ground):
    world = World()
    world.failing |= {"card": RuntimeError("no answer"), "undo card ?": RuntimeError("no refund")}
    card = world.way("card", undo=Retry(attempts=2, base="1h", cap="1h"))
    saga = Saga("pay", first_of(card, world.way("bank")), done)
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        await until(lambda: is_backing_off(orchestrator, handle))
        with pytest.raises(Conflict, match="resolve it, or cancel"):
            await orchestrator.skip(handle.id, "card", reason="written off")
        assert await orchestrator.resolve(handle.id, "card", outcome="done", reason="refunded by hand")
        assert await handle.result() == "bank"


async def is_held(orchestrator, handle):
    return (await orchestrator.get(handle.id)).hold == "signal"


async def is_backing_off(orchestrator, handle):
    return (await orchestrator.get(handle.id))["card"].status == "undo_retrying"


@scene
async def test_a_cancel_while_one_is_undone_lets_that_end_and_tries_no_other(ground):
    world = World()
    world.failing["card"] = RuntimeError("no answer")
    release = world.hold("undo card ?")
    saga = Saga("pay", world.way("before"), first_of(world.way("card"), world.way("bank")), input=Order)
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order())
        await until(lambda: world.calls[-1:] == ["undo card ?"])
        assert await orchestrator.cancel(handle.id, reason="changed my mind")
        release.set()
        with pytest.raises(SagaCompensated, match="changed my mind"):
            await handle.result()
    assert world.calls == ["before", "card", "undo card ?", "undo before"]


@scene
async def test_a_payment_that_is_refused_for_a_large_order_goes_to_a_person_in_one_definition(ground):
    world = World()
    world.failing["payment/card"] = NO
    seen = []

    def large_and_declined(order: Order, refusals: Refusals) -> bool:
        seen.append(refusals)
        return order.total > 500 and any(each.cause == "rejected" for each in refusals)

    @step(read_only=True)
    async def on_account(order: Order) -> Paid:
        return Paid("account")

    saga = Saga(
        "pay",
        first_of(world.way("card"), on_account, name="payment"),
        choose(when(large_and_declined, wait_for("approval", bool))),
        done,
        input=Order,
    )
    async with ground.orchestrator(saga) as orchestrator:
        assert await (await orchestrator.start(saga, Order(500))).result() == "account"
        handle = await orchestrator.start(saga, Order(501))
        await until(lambda: is_held(orchestrator, handle))
        assert await orchestrator.signal(handle.id, "approval", True)
        assert await handle.result() == "account"
    refusal = Refusal("payment", 0, "payment/card", "rejected", "no money")
    assert seen == [Refusals((refusal,))] * 2


@scene
async def test_a_wait_may_be_an_alternative_and_is_given_up_by_its_timeout(ground):
    world = World()

    @step
    async def why(refusals: Refusals) -> str:
        return refusals[0].cause

    saga = Saga("pay", first_of(wait_for("money", Paid, timeout="20ms"), world.way("bank")), why, input=Order)
    async with ground.orchestrator(saga) as orchestrator:
        assert await (await orchestrator.start(saga, Order())).result() == "timeout"
    assert world.calls == ["bank"]


@scene
async def test_within_an_each_every_item_has_its_own_and_its_own_refusals(ground):
    world, seen = World(), {}
    world.failing |= {"card[1]": NO, "card[2]": RuntimeError("no answer")}

    def items(order: Order) -> list[int]:
        return [0, 1, 2]

    @step
    async def note(item: int, refusals: Refusals) -> int:
        seen[item] = [(each.step, each.cause) for each in refusals]
        return item

    saga = Saga("pay", each(items, first_of(world.way("card"), world.way("bank")), note), input=Order)
    async with ground.orchestrator(saga) as orchestrator:
        assert await (await orchestrator.start(saga, Order())).result() == [0, 1, 2]
    assert seen == {0: [], 1: [("card[1]", "rejected")], 2: [("card[2]", "unknown")]}
    assert sorted(world.calls) == ["bank[1]", "bank[2]", "card[0]", "card[1]", "card[2]", "undo card[2] ?"]


@scene
async def test_results_of_an_alternative_that_was_given_up_are_not_seen_and_its_value_is_the_next_one_s(ground):
    world = World()
    world.failing["late"] = NO
    saga = Saga("pay", first_of((world.way("card"), world.way("late")), world.way("bank")), done, result=None)
    card = world.way("card")
    explicit = Saga("explicit", first_of((card, world.way("late")), world.way("bank")), result=card)
    async with ground.orchestrator(saga, explicit) as orchestrator:
        assert await (await orchestrator.start(saga, Order())).result() == "bank"
        assert await (await orchestrator.start(explicit, Order())).result() is None


@scene
async def test_turning_back_later_undoes_the_one_that_succeeded_and_no_other(ground):
    world = World()
    world.failing["card"] = RuntimeError("no answer")
    saga = Saga("pay", first_of(world.way("card"), world.way("bank")), turn_back, input=Order)
    async with ground.orchestrator(saga) as orchestrator:
        with pytest.raises(SagaCompensated):
            await (await orchestrator.start(saga, Order())).result()
    assert world.calls == ["card", "undo card ?", "bank", "undo bank"]
