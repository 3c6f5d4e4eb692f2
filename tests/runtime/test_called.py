"""`call` as it runs: the called saga's nodes with their own input, names, resources and paths, in one journal."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from amends import (
    Context,
    Rejected,
    Retry,
    Saga,
    SagaRequiresManual,
    UsageError,
    call,
    choose,
    each,
    step,
    wait_for,
    when,
)  # fmt: skip
from tests.runtime.stage import events_of, kill, scene, until

ONCE = Retry(attempts=1)


@dataclass
class Order:
    number: int = 1


@dataclass
class Parcel:
    weight: int


@dataclass
class Label:
    text: str


class Printer:
    def __init__(self) -> None:
        self.printed: list[str] = []


@step
async def weigh(order: Order) -> int:
    return order.number * 100


@step
async def label(parcel: Parcel, printer: Printer, ctx: Context) -> Label:
    printer.printed.append(ctx.idempotency_key)
    return Label(f"{parcel.weight} g")


@label.compensation
async def tear(parcel: Parcel, label: Label | None, printer: Printer, ctx: Context) -> None:
    printer.printed.append(f"torn {ctx.step} {parcel.weight}")


@step
async def tell(ship: Label, order: Order) -> str:
    return f"{ship.text} for {order.number}"


@step
async def turn_back(order: Order) -> None:
    raise Rejected("turn back")


def heavy(parcel: Parcel) -> bool:
    return parcel.weight > 500


def parcel(weigh: int) -> Parcel:
    return Parcel(weigh)


def of_first(first: int) -> Parcel:
    return Parcel(first)


hurry = wait_for("go", bool)
ship = Saga("ship", label, choose(when(heavy, hurry)), resources=[Printer], input=Parcel, result=label)


@scene
async def test_its_steps_take_its_input_and_resources_and_its_value_is_its_result(ground):
    printer = Printer()
    saga = Saga("orders", weigh, call(ship, parcel), tell, input=Order)
    async with ground.orchestrator(saga, resources=[printer]) as orchestrator:
        handle = await orchestrator.start(saga, Order(2))
        assert await handle.result() == "200 g for 2"
        assert printer.printed == [f"{handle.id}/ship/label/action"]
        view = await orchestrator.get(handle.id)
        assert [step.path for step in view.steps] == ["weigh", "ship/label", "ship/go", "tell"]
        (entered,) = [each for each in await orchestrator.history(handle.id) if each.event == "CallEntered"]
        assert (entered.step, entered.details["input"]) == ("ship", {"weight": 200})


@scene
async def test_without_an_input_function_it_takes_the_input_around_and_two_calls_keep_apart(ground):
    printer = Printer()
    saga = Saga("both", call(ship, name="a"), call(ship, name="b"), resources=[Printer])
    async with ground.orchestrator(saga, resources=[printer]) as orchestrator:
        handle = await orchestrator.start(saga, Parcel(7))
        assert await handle.result() == Label("7 g")
        assert printer.printed == [f"{handle.id}/{name}/label/action" for name in "ab"]


@scene
async def test_its_signals_are_sent_by_name_or_to_the_one_call_by_its_path(ground):
    printer = Printer()
    saga = Saga("both", call(ship, name="a"), call(ship, name="b"), resources=[Printer])
    async with ground.orchestrator(saga, resources=[printer]) as orchestrator:
        handle = await orchestrator.start(saga, Parcel(501))
        await until(lambda: is_waiting(orchestrator, handle, "a/go"))
        assert await orchestrator.signal(handle.id, "b/go", True)  # kept for it
        assert await handle.status() == "running"
        assert await orchestrator.signal(handle.id, "go", True)
        assert await handle.result() == Label("501 g")


async def is_waiting(orchestrator, handle, path):
    return (await orchestrator.get(handle.id))[path].status == "waiting"


@scene
async def test_turning_back_undoes_its_steps_with_its_input(ground):
    printer = Printer()
    saga = Saga("orders", weigh.named("first"), call(ship, of_first), turn_back, input=Order)
    weigh_back = Saga("child", weigh, turn_back, input=Order)
    nested = Saga("nested", call(ship, lambda order: Parcel(1)), call(weigh_back), input=Order)
    async with ground.orchestrator(saga, nested, resources=[printer]) as orchestrator:
        handle = await orchestrator.start(saga, Order(3))
        with pytest.raises(SagaRequiresManual, match=r"first \(no_compensation\)"):
            await handle.result()
        assert printer.printed[1:] == ["torn ship/label 300"]
        other = await orchestrator.start(nested, Order(3))
        with pytest.raises(SagaRequiresManual, match=r"child/weigh \(no_compensation\)"):
            await other.result()
        assert printer.printed[-1] == "torn ship/label 1"
        assert "child/turn_back rejected" in (await orchestrator.get(other.id)).cause


@scene
async def test_a_restart_in_the_middle_of_it_asks_for_its_input_no_more(ground):
    printer, asked = Printer(), []

    def counted(weigh: int) -> Parcel:
        asked.append(weigh)
        return Parcel(600 + len(asked))

    saga = Saga("orders", weigh, call(ship, counted), tell, input=Order)
    first = ground.orchestrator(saga, resources=[printer])
    await first.__aenter__()
    handle = await first.start(saga, Order(9))
    await until(lambda: is_waiting(first, handle, "ship/go"))
    await kill(first)
    async with ground.orchestrator(saga, resources=[printer]) as second:
        assert await second.signal(handle.id, "ship/go", True)
        assert await second.handle(handle.id).result() == "601 g for 9"
        assert (await events_of(second, handle.id)).count("CallEntered") == 1
    assert asked == [900]
    assert len(printer.printed) == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [(lambda: 1 / 0, "ZeroDivisionError"), (lambda: Order(1), "AM2107.*the input of ship"), (lambda: None, "AM2107")],
    ids=["raises", "another type", "none"],
)
def test_an_input_that_cannot_be_made_is_parked_and_a_retry_asks_again(ground, wrong, said):
    answers = [wrong, lambda: Parcel(5)]
    saga = Saga("orders", weigh, call(ship, lambda order: answers[0]()), tell, input=Order)

    @scene
    async def play():
        async with ground.orchestrator(saga, resources=[Printer()]) as orchestrator:
            handle = await orchestrator.start(saga, Order(1))
            with pytest.raises(SagaRequiresManual, match=r"ship \(poison\)"):
                await handle.result()
            (error,) = (await orchestrator.get(handle.id)).errors
            assert said.split(".*")[0] in error and said.split(".*")[-1] in error
            answers.pop(0)
            assert await orchestrator.retry(handle.id, reason="mended")
            assert await handle.result() == "5 g for 1"

    play()


@scene
async def test_an_orchestrator_without_the_called_saga_s_resource_is_refused(ground):
    saga = Saga("orders", weigh, call(ship, parcel), input=Order)
    with pytest.raises(UsageError, match="AM2024.*Printer"):
        ground.orchestrator(saga)


@scene
async def test_its_pivot_is_the_callers(ground):
    @step(pivot=True, retry=ONCE)
    async def capture(order: Order) -> int:
        return order.number

    @step(retriable=True)
    async def after(capture: int) -> int:
        raise Rejected("cannot")

    paid = Saga("paid", capture, after, result=capture)
    undone = []

    @step
    async def before(order: Order) -> None: ...

    @before.compensation
    async def undo(order: Order) -> None:
        undone.append(1)

    saga = Saga("orders", before, call(paid), input=Order)
    async with ground.orchestrator(saga) as orchestrator:
        handle = await orchestrator.start(saga, Order(4))
        with pytest.raises(SagaRequiresManual, match=r"paid/after \(rejected\)"):
            await handle.result()
        assert await orchestrator.resolve(handle.id, "paid/after", outcome="done", result=1, reason="by hand")
        assert await handle.result() == 4
    assert not undone


@scene
async def test_in_an_each_every_item_enters_it_with_an_input_of_its_own(ground):
    printer = Printer()

    def weights(order: Order) -> list[int]:
        return [1, 2, 3]

    def of_item(item: int) -> Parcel:
        return Parcel(item)

    @step
    async def count(ship: list[Label]) -> list[str]:
        return [label.text for label in ship]

    saga = Saga("orders", each(weights, call(ship, of_item)), count, input=Order)
    async with ground.orchestrator(saga, resources=[printer]) as orchestrator:
        handle = await orchestrator.start(saga, Order(1))
        assert await handle.result() == ["1 g", "2 g", "3 g"]
        assert sorted(printer.printed) == [f"{handle.id}/ship[{n}]/label/action" for n in range(3)]
