"""`call`: another saga's nodes, in a scope of their own within the parent's journal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from amends import (
    Context,
    DefinitionError,
    Orchestrator,
    Rejected,
    Saga,
    SagaCompensated,
    call,
    choose,
    each,
    parallel,
    step,
    when,
)
from amends.core import events as ev
from amends.core.state import value_of
from tests.core.graphs import call as call_of, graph, parallel as parallel_of, step as step_of
from tests.core.rules.driver import VALUE, Run
from tests.runtime.stage import scene


@dataclass
class Order:
    number: int


@dataclass
class Parcel:
    weight: int


@dataclass
class Label:
    text: str


@dataclass
class Printer:
    name: str = "laser"


@step
def pack(order: Order) -> Parcel:
    return Parcel(order.number * 10)


@step(name="label")
def make_label(parcel: Parcel, ctx: Context) -> Label:
    return Label(f"{parcel.weight} kg, {ctx.idempotency_key.partition('/')[2]}")


@step(name="weigh")
def weigh(parcel: Parcel) -> int:
    return parcel.weight


def heavier(order: Order) -> Parcel:
    return Parcel(order.number + 100)


def labelled(order: Order) -> Label:
    return Label("none")


ship = Saga("ship", make_label, weigh, result=make_label)


async def result_of(saga: Saga[Any, Any], order: Order, **more: Any) -> Any:
    async with Orchestrator("sqlite://", sagas=[saga], **more) as orchestrator:
        handle = await orchestrator.start(saga, order)
        return await handle.result()


class TestScope:
    def run(self) -> Run:
        return Run(graph(step_of("a"), call_of("k", step_of("a"), step_of("b")), step_of("c")))

    def test_its_nodes_run_in_the_parents_journal_behind_its_name(self):
        run = self.run().a.succeeds()
        assert run.calls == ["k/a"] and run.node("k/a").succeeds().calls == ["k/b"]
        assert run.node("k/b").succeeds().calls == ["c"] and run.c.succeeds().status == "completed"

    def test_turning_back_goes_through_it(self):
        run = self.run().a.succeeds().node("k/a").succeeds().node("k/b").succeeds().c.rejected()
        assert run.calls == ["undo k/b"] and run.node("k/b").undone().calls == ["undo k/a"]
        assert run.node("k/a").undone().calls == ["undo a"]

    def test_a_failure_inside_turns_the_parent_back(self):
        run = self.run().a.succeeds().node("k/a").succeeds().node("k/b").rejected()
        assert run.state.turned_back.node == run.node("k/b").index and run.calls == ["undo k/a"]

    def test_a_crash_inside_repeats_only_what_ran(self):
        assert self.run().a.succeeds().node("k/a").succeeds().crash().calls == ["k/b"]

    def test_it_waits_for_a_sibling_branch_as_any_node(self):
        run = Run(graph(parallel_of(call_of("k", step_of("a")), step_of("b")), step_of("c")))
        assert sorted(run.calls) == ["b", "k/a"] and run.node("k/a").succeeds().calls == []
        assert run.b.succeeds().calls == ["c"]

    def test_its_value_is_that_of_its_result(self):
        run = self.run().a.succeeds().node("k/a").succeeds().node("k/b").succeeds()
        assert value_of(run.state, run.node("k").index) == VALUE

    def test_a_pivot_inside_a_top_level_call_is_the_parents(self):
        run = Run(graph(call_of("k", step_of("p", pivot=True)), step_of("s", retriable=True), deadline=True))
        run.node("k/p").succeeds()
        assert run.state.committed and run.s.rejected().status == "requires_manual"

    def test_a_mapper_that_raises_parks_the_call_and_a_retry_asks_again(self):
        run = Run(graph(step_of("a"), call_of("k", step_of("b"))))
        run._answer = lambda slot: ev.StepParked(slot, "poison", "boom")  # the author's function raised
        run.a.succeeds()
        assert run.node("k").status == "parked" and run.status == "requires_manual"
        del run._answer
        assert run.retry().calls == ["k/b"]


class TestInput:
    @scene
    async def test_a_function_makes_it(self):
        saga = Saga("order", call(ship, heavier), input=Order)
        assert await result_of(saga, Order(1)) == Label("101 kg, ship/label/action")

    @scene
    async def test_the_function_may_take_an_earlier_result(self):
        saga = Saga("order", pack, call(ship, lambda pack: pack))
        assert await result_of(saga, Order(2)) == Label("20 kg, ship/label/action")

    @scene
    async def test_without_one_it_takes_the_input_around_it(self):
        saga = Saga("order", call(Saga("packing", pack)))
        assert await result_of(saga, Order(3)) == Parcel(30)

    @scene
    async def test_in_a_call_without_one_it_takes_that_calls_input(self):
        inner = Saga("outer", call(ship))
        saga = Saga("order", call(inner, heavier), input=Order)
        assert await result_of(saga, Order(1)) == Label("101 kg, outer/ship/label/action")

    def test_an_input_of_another_type_is_refused(self):
        with pytest.raises(
            DefinitionError, match="takes Parcel as its input, but Order is the input around it"
        ) as refused:
            Saga("order", call(ship), input=Order)
        assert refused.value.code == "AM1212"
        with pytest.raises(DefinitionError, match="input= returns Label"):
            Saga("order", call(ship, labelled), input=Order)

    @scene
    async def test_the_compensation_of_a_called_step_takes_the_calls_input(self):
        seen: list[Any] = []

        @step
        def charge(parcel: Parcel) -> None:
            return None

        @charge.compensation
        def refund(parcel: Parcel, ctx: Context) -> None:
            seen.append((parcel, ctx.action_key.partition("/")[2]))

        @step
        def refuse(order: Order) -> None:
            raise Rejected("no")

        saga = Saga("order", call(Saga("pay", charge), heavier), refuse, input=Order)
        with pytest.raises(SagaCompensated):
            await result_of(saga, Order(1))
        assert seen == [(Parcel(101), "pay/charge/action")]


class TestResult:
    @scene
    async def test_it_is_the_explicit_one_and_a_later_step_takes_it_by_the_calls_name(self):
        @step
        def post(ship: Label) -> str:
            return f"posted {ship.text}"

        saga = Saga("order", call(ship, heavier), post, input=Order)
        assert await result_of(saga, Order(1)) == "posted 101 kg, ship/label/action"

    @scene
    async def test_it_is_the_last_nodes_without_an_explicit_one(self):
        saga = Saga("order", call(Saga("parcels", make_label, weigh), heavier), input=Order)
        assert await result_of(saga, Order(1)) == 101

    @scene
    async def test_a_later_step_takes_it_by_its_type(self):
        @step
        def post(label: Label) -> str:
            return label.text

        assert (await result_of(Saga("order", call(ship, heavier), post, input=Order), Order(1))).startswith("101 kg")

    def test_what_a_branch_that_may_not_be_taken_gives_is_for_none_only(self):
        maybe = Saga("maybe", choose(when(lambda parcel: True, make_label)), result=make_label, input=Parcel)

        @step
        def post(maybe: Label) -> None:
            return None

        with pytest.raises(DefinitionError, match=r"annotate it as Label \| None"):
            Saga("order", call(maybe, heavier), post, input=Order)


class TestNames:
    def test_names_of_the_child_are_not_visible_outside(self):
        @step
        def post(weigh: int) -> None:
            return None

        with pytest.raises(DefinitionError, match='parameter "weigh: int"'):
            Saga("order", call(ship, heavier), post, input=Order)

    def test_types_of_the_child_are_not_either(self):
        @step
        def send(parcel: Parcel) -> None:
            return None

        with pytest.raises(DefinitionError, match='parameter "parcel: Parcel": nothing'):
            Saga("order", call(Saga("packs", pack, make_label, result=make_label)), send, input=Order)

    def test_names_of_the_parent_are_not_visible_inside(self):
        @step
        def inside(parcel: Parcel, pack: int) -> None:
            return None

        with pytest.raises(DefinitionError, match='step "inside", action, parameter "pack: int": nothing'):
            Saga("order", pack, call(Saga("child", inside), heavier))

    def test_the_same_name_inside_and_outside_are_two_steps(self):
        saga = Saga("order", pack, call(Saga("again", pack)))
        assert set(saga.steps) == {"pack", "again/pack"}

    def test_two_calls_of_one_saga_need_two_names(self):
        with pytest.raises(DefinitionError, match='two nodes have the path "ship"'):
            Saga("order", parallel(call(ship, heavier), call(ship, heavier)), input=Order)

    @scene
    async def test_two_calls_with_names_are_two_scopes(self):
        @step
        def both(first: Label, second: Label) -> list[str]:
            return [first.text, second.text]

        saga = Saga("order", call(ship, heavier, name="first"), call(ship, heavier, name="second"), both, input=Order)
        assert await result_of(saga, Order(1)) == ["101 kg, first/label/action", "101 kg, second/label/action"]

    @scene
    async def test_a_call_in_an_each_has_its_keys_per_item(self):
        def parcels(order: Order) -> list[Parcel]:
            return [Parcel(number) for number in range(order.number)]

        saga = Saga("order", each(parcels, call(ship, lambda item: item)), input=Order)
        assert await result_of(saga, Order(2)) == [
            Label("0 kg, ship[0]/label/action"),
            Label("1 kg, ship[1]/label/action"),
        ]

    def test_a_saga_that_was_called_can_still_run_by_itself(self):
        Saga("order", call(ship, heavier), input=Order)
        assert set(ship.steps) == {"label", "weigh"}


class TestPivots:
    def pay(self) -> Saga[Any, Any]:
        return Saga("pay", step(name="capture", pivot=True)(lambda order: None), input=Order)

    def test_one_in_a_top_level_call_may_be_followed_by_retriable_steps_only(self):
        retried = step(name="retried", retriable=True)(lambda order: None)
        assert Saga("order", call(self.pay()), retried)
        with pytest.raises(DefinitionError) as refused:
            Saga("order", call(self.pay()), pack)
        assert refused.value.code == "AM1303"

    def test_one_in_a_call_in_a_parallel_is_refused(self):
        with pytest.raises(DefinitionError) as refused:
            Saga("order", parallel(call(self.pay()), pack))
        assert refused.value.code == "AM1302"

    def test_a_second_one_in_a_call_is_refused(self):
        pivot = step(name="pivot", pivot=True)(lambda order: None)
        with pytest.raises(DefinitionError) as refused:
            Saga("order", pivot, call(self.pay()), input=Order)
        assert refused.value.code == "AM1301"


class TestResources:
    @scene
    async def test_those_of_the_child_are_asked_for_and_given(self):
        @step
        def show(parcel: Parcel, printer: Printer) -> str:
            return f"{parcel.weight} on {printer.name}"

        printing = Saga("printing", show, resources=[Printer])
        saga = Saga("order", call(printing, heavier), input=Order)
        assert saga.resources == (Printer,)
        assert await result_of(saga, Order(1), resources=[Printer("ink")]) == "101 on ink"

    def test_those_of_the_child_are_not_the_parents_to_take(self):
        @step
        def show(order: Order, printer: Printer) -> None:
            return None

        with pytest.raises(DefinitionError, match="Printer"):
            Saga("order", call(Saga("p", weigh, resources=[Printer]), heavier), show, input=Order)


class TestNotTheChilds:
    """Its deadline, version and follow-ups are those of a saga of its own."""

    @scene
    async def test_its_follow_ups_and_deadline_play_no_part(self):
        told: list[str] = []
        note = step(name="note")(lambda parcel: told.append("child"))
        child = Saga("child", weigh, input=Parcel, on_completed=[note], deadline="1ms", version=7)
        saga = Saga("order", call(child, heavier), pack, input=Order)
        assert await result_of(saga, Order(1)) == Parcel(10)
        assert not told and saga.graph.deadline_ms == 0 and "child/note" not in saga.steps
