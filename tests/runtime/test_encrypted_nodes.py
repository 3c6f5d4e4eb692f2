"""Items, inputs of called sagas, tokens and lists in an encrypted journal: sealed on disk, whole after a crash."""

from __future__ import annotations

from dataclasses import dataclass

from amends import Accepted, Context, Rejected, Saga, call, each, first_of, step
from tests.runtime.stage import HandClock, events_of, kill, scene, until
from tests.runtime.test_encryption import CANARY, RING, bodies

DAY_MS = 86_400_000


@dataclass
class Order:
    card: str


@dataclass
class Item:
    secret: str


@dataclass
class Paid:
    receipt: str


def items(order: Order) -> list[Item]:
    return [Item(f"{order.card} {number}") for number in range(3)]


@step
async def pack(item: Item) -> str:
    return f"packed {item.secret}"


def next_order(order: Order, pack: list[str]) -> Order:
    return Order(pack[2])


@step
async def card(order: Order) -> Paid:
    raise Rejected("not this way")


async def arrived(order: Order, ctx: Context) -> Paid:
    return Paid(f"{ctx.accepted} for {order.card}")


@step
async def bank(order: Order) -> Paid | Accepted:
    return Accepted(poll=arrived, every="1d", token=f"token {CANARY}")


pay = Saga("pay", first_of(card, bank, name="by"), input=Order)
saga = Saga("orders", each(items, pack), call(pay, next_order))


@scene
async def test_nothing_of_them_is_readable_and_a_restart_reads_all_of_it(ground):
    clock = HandClock()
    first = await ground.orchestrator(saga, clock=clock, horizon="10ms", lease="60d", encryption=RING).__aenter__()
    handle = await first.start(saga, Order(CANARY))

    async def accepted() -> bool:
        return "ActionAccepted" in await events_of(first, handle.id)

    await until(accepted)
    await kill(first)
    clock.ahead_ms += DAY_MS
    async with ground.orchestrator(saga, clock=clock, lease="60d", encryption=RING) as second:
        result = await second.handle(handle.id).result()
        assert result == Paid(f"token {CANARY} for packed {CANARY} 2")
        told = {entry.event: entry.details for entry in await second.history(handle.id)}
        assert told["ItemsListed"]["items"][1] == {"secret": f"{CANARY} 1"}
        assert told["CallEntered"]["input"] == {"card": f"packed {CANARY} 2"}
        assert told["ActionAccepted"]["token"] == f"token {CANARY}"
    stored = await bodies(ground)
    assert CANARY.encode() not in stored
    assert stored.count(b"$sealed") >= 9  # the input, three items and their results, the call's input, token, result
