"""What people see of sagas with marks: in items, calls and tokens too, in views, histories, tails and bundles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pydantic
import pytest

from amends import (
    Accepted,
    Context,
    Redacted,
    Rejected,
    Retry,
    Saga,
    SagaCompensated,
    SagaRequiresManual,
    call,
    each,
    step,
    wait_for,
)
from amends.crypto import KeyRing
from tests.runtime.stage import scene

CANARY = "canary-4111"
RING = KeyRing({"k": bytes(32)}, active="k")


@dataclass
class Card:
    number: Annotated[str, Redacted]
    cents: int


@dataclass
class Order:
    cards: list[Card]


@dataclass
class Address:
    street: Annotated[str, Redacted]


def cards(order: Order) -> list[Card]:
    return order.cards


def address(order: Order) -> Address:
    return Address(f"{order.cards[0].number} street")


@step
async def charge(card: Card) -> Card:
    return card


@step
async def label(address: Address) -> Annotated[str, Redacted]:
    return address.street


async def is_booked(ctx: Context, order: Order) -> str | None:
    return "booked" if ctx.accepted == order.cards[0].number else None


@step
async def book(order: Order) -> str | Accepted:
    return Accepted(poll=is_booked, every="1ms", token=CANARY)


@step
async def count(order: Order) -> int:
    return len(order.cards)


child = Saga("child", label, wait_for("code", Annotated[str, Redacted]), result=label)
shop = Saga("shop", each(cards, charge, item=Card), call(child, input=address, name="send"), book, count)


@pytest.mark.parametrize("ring", [None, RING], ids=["plain", "sealed"])
@scene
async def test_no_mark_is_seen_in_items_calls_signals_and_tokens(ground, ring):
    async with ground.orchestrator(shop, encryption=ring) as orchestrator:
        handle = await orchestrator.start(shop, Order([Card(CANARY, 7), Card(CANARY, 8)]))
        await orchestrator.signal(handle.id, "code", CANARY)
        assert await handle.result() == 2
        view = await orchestrator.get(handle.id)
        history = await orchestrator.history(handle.id)
        tail = [entry async for entry in orchestrator.tail(after=0)]
        assert len(tail) == len(history) > 15
        bundle = await orchestrator.export(handle.id)
        for shown in (view, history, tail, bundle):
            assert CANARY not in str(shown)
        assert view.input == {"cards": [{"number": "[redacted]", "cents": 7}, {"number": "[redacted]", "cents": 8}]}
        assert view["charge[1]"].result == {"number": "[redacted]", "cents": 8}
        assert (view["send/label"].result, view["book"].result) == ("[redacted]", "booked")
        assert view["count"].result == view.result == 2
        (listed,) = [entry for entry in history if entry.event == "ItemsListed"]
        assert listed.details["items"] == view.input["cards"]
        (entered,) = [entry for entry in history if entry.event == "CallEntered"]
        assert entered.details["input"] == {"street": "[redacted]"}
        (accepted,) = [entry for entry in history if entry.event == "ActionAccepted"]
        assert accepted.details["token"] == "[redacted]"
        rows = await orchestrator._store.frames([handle.id])
        assert (CANARY in str(rows)) == (ring is None)


@scene
async def test_what_is_given_to_functions_is_never_redacted_also_after_a_recovery(ground):
    seen = []

    @step
    async def look(order: Order, count: int) -> str:
        seen.append(order.cards[0].number)
        return order.cards[0].number

    saga = Saga("given", count, wait_for("go", int), look, result=look)
    async with ground.orchestrator(saga) as first:
        handle = await first.start(saga, Order([Card(CANARY, 7)]))
    async with ground.orchestrator(saga) as second:
        await second.signal(handle.id, "go", 1)
        assert await second.handle(handle.id).result() == CANARY
    async with ground.orchestrator(saga, worker=False) as looker:
        assert await looker.handle(handle.id).result() == CANARY
    assert seen == [CANARY]


class Answer(pydantic.BaseModel):
    card: Annotated[int, Redacted]
    holder: str


@step(retry=Retry(attempts=1))
async def reads(order: dict) -> None:
    Answer.model_validate({"card": CANARY})


@step
async def scolds(order: dict) -> None:
    raise Rejected("no:\n   not\r\nyou\u2028 \n\n")


@scene
async def test_what_a_model_in_a_function_refuses_is_told_in_one_line_and_without_the_input(ground):
    async with ground.orchestrator(Saga("reading", reads), Saga("scolding", scolds)) as orchestrator:
        reading = await orchestrator.start("reading", {})
        with pytest.raises(SagaRequiresManual) as failed:
            await reading.result()
        wrong = "Input should be a valid integer, unable to parse string as an integer - at `$.card`"
        assert failed.value.errors[0] == f"reads: ValidationError: Answer: {wrong}; Field required - at `$.holder`"
        assert CANARY not in str(await orchestrator.history(reading.id))
        with pytest.raises(SagaCompensated, match="scolds rejected: no: not you$"):
            await (await orchestrator.start("scolding", {})).result()
