"""A saga with an each of a thousand items, a first_of, a call and an answer that is accepted, on the command line."""

import asyncio
import contextlib
import json
from dataclasses import dataclass

import pytest

from amends import (
    Accepted,
    Context,
    Orchestrator,
    Rejected,
    Retry,
    Saga,
    SagaFailed,
    SagaRequiresManual,
    call as calling,
    each,
    first_of,
    step,
)  # fmt: skip

ONCE = Retry(attempts=1)
MANY = 1_000


@dataclass
class Order:
    items: int
    refused: int = -1


@dataclass
class Paid:
    by: str


def items(order: Order) -> list[int]:
    return list(range(order.items))


@step(retry=ONCE)
async def book(order: Order, item: int) -> int:
    if item == order.refused:
        raise Rejected("sold out")
    return item


@book.compensation(retry=ONCE)
async def unbook(item: int) -> None:
    if item in (3, 5):
        raise RuntimeError("no line")


@step(retry=ONCE)
async def card(order: Order) -> Paid:
    raise RuntimeError("no answer")


@card.compensation
async def uncard(order: Order) -> None: ...


async def arrived(ctx: Context) -> Paid | None:
    return Paid("bank")


@step
async def bank(order: Order) -> Paid | Accepted:
    return Accepted(poll=arrived, every="10ms", until="3d", token=0)


@step
async def label(order: Order) -> str:
    return "L"


saga = Saga(
    "shop", each(items, book, limit=20), first_of(card, bank, name="by"), calling(Saga("ship", label, input=Order)),
    input=Order,
)  # fmt: skip


@pytest.fixture
def started(place):
    """Start a saga, wait until nothing moves, and give its id."""

    def play(order):
        async def run():
            async with Orchestrator("sqlite:///amends.db", sagas=[saga]) as orchestrator:
                handle = await orchestrator.start(saga, order)
                with contextlib.suppress(SagaRequiresManual):
                    await handle.result()
                return handle.id

        return asyncio.run(run())

    return play


def test_a_thousand_items_are_a_few_rows_and_those_that_matter_have_their_own(started, call):
    saga_id = started(Order(MANY, refused=700))
    lines = call("show", saga_id).out.splitlines()
    assert len(lines) < 40
    told = [" ".join(line.split()[:4]) for line in lines]
    assert "cause book[700] rejected: sold" in told
    assert "! book[3] owed +0ms" in told and "! book[5] owed +0ms" in told
    assert any(line.startswith("✗ book[700] rejected") for line in told)
    assert any("× book[] compensated" in line for line in told)
    assert sum("the saga turned back before the call" in line for line in lines) <= 1
    assert any(f"amends skip {saga_id} 'book[3]' --reason WHY" in line for line in lines)


def test_of_thousands_that_need_a_person_the_first_are_named_and_the_others_counted(place, call):
    """Found by attack: `show` and `why` of 10,000 owed items took minutes, and the error had 269,000 characters."""

    @step
    async def sign(item: int) -> None: ...

    owing = Saga("owing", each(items, sign, item=int, limit=99), card.named("last"), input=Order)

    async def run():
        async with Orchestrator("sqlite:///amends.db", sagas=[owing]) as orchestrator:
            handle = await orchestrator.start(owing, Order(MANY))
            with pytest.raises(SagaRequiresManual) as raised:
                await handle.result()
            return handle.id, str(raised.value)

    saga_id, error = asyncio.run(run())
    assert "sign[19] (no_compensation) and 980 more; see `amends show" in error
    for verb in ("show", "why"):
        told = call(verb, saga_id).out
        assert told.count("amends skip") == 50 and "and 950 more steps are parked or owed" in told


def test_json_has_every_item(started, call):
    steps = json.loads(call("show", started(Order(MANY)), "-o", "json").out)["steps"]
    assert [step["path"] for step in steps[:MANY]] == [f"book[{number}]" for number in range(MANY)]
    assert {step["path"]: step["status"] for step in steps[MANY:]} == {
        "by/card": "compensated",
        "by/bank": "succeeded",
        "ship/label": "succeeded",
    }


def test_history_tells_results_that_are_zero_and_times_as_times(started, call):
    saga_id = started(Order(2))
    told = {tuple(line.split()[2:4]): line for line in call("history", saga_id).out.splitlines()}
    assert told["ActionSucceeded", "book[0]"].endswith("result=0")
    assert told["ItemsListed", "each#1"].split("  ")[-1].startswith("items=[0, 1] limit=20")
    accepted = told["ActionAccepted", "by/bank"]
    assert "token=0" in accepted and accepted.count("Z") == 3  # when it was, when it is due, and until when
    assert "step=by/card" in told["AlternativeFailed", "by"]


def test_why_tells_of_the_alternative_that_was_given_up(started, call):
    told = call("why", started(Order(1))).out
    assert "An alternative of by was given up, because of by/card: unknown." in told


def test_verbs_take_an_item_s_path(started, call):
    saga_id = started(Order(9, refused=8))
    assert call("resolve", saga_id, "book[3]", "done", "--reason", "by phone").code == 0
    assert call("skip", saga_id, "book[5]", "--reason", "written off").code == 0

    async def applied():
        async with Orchestrator("sqlite:///amends.db", sagas=[saga]) as orchestrator:
            with pytest.raises(SagaFailed) as raised:
                while True:
                    try:
                        await orchestrator.handle(saga_id).result()
                    except SagaRequiresManual:
                        await asyncio.sleep(0.01)
            return raised.value.stays

    assert asyncio.run(asyncio.wait_for(applied(), 20)) == ("book[5]",)
    steps = {step["path"]: step["status"] for step in json.loads(call("show", saga_id, "-o", "json").out)["steps"]}
    assert (steps["book[3]"], steps["book[5]"]) == ("compensated", "skipped")


def test_graph_draws_it(started, call):
    saga_id = started(Order(1))
    told = call("graph", "--saga", saga_id).out
    for word in ("book", "card", "bank", "label"):
        assert word in told
