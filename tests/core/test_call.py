"""`call` when a saga is built: a scope of its own, its input, its value, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from amends.core.annotations import NONE
from amends.core.context import Context
from amends.core.definition import Saga, call, choose, each, first_of, parallel, sleep, step, wait_for, when
from amends.core.graph import Kind
from tests.core.shop import (
    Client,
    Item,
    Label,
    Order,
    Parcel,
    Payment,
    declared,
    makes,
    read,
    refused,
    refuses,
    shop,
    takes,
    wired,
)  # fmt: skip

pay, label, hand = makes("pay", Payment), makes("label", Label), makes("hand", int)


def parcel(order: Order) -> Parcel: ...


def ship(*nodes: Any, **options: Any) -> Saga[Any, Any]:
    options.setdefault("input", Parcel)
    return Saga("ship", *(nodes or (label, hand)), **options)


class TestTheScope:
    def test_its_steps_bear_its_name_before_their_paths(self):
        saga = shop(pay, call(ship(), parcel), call(ship(), parcel, name="again"))
        assert list(saga.steps) == ["pay", "ship/label", "ship/hand", "again/label", "again/hand"]
        assert [node.kind for node in saga.graph.nodes[2:4]] == [Kind.CALL, Kind.SEQUENCE]
        assert saga.graph.nodes[3].path == "ship/sequence#3"

    def test_a_call_in_a_call_bears_both_names(self):
        outer = Saga("outer", call(ship(), lambda order: None))
        assert list(shop(call(outer)).steps) == ["outer/ship/label", "outer/ship/hand"]

    def test_names_within_are_told_apart_from_those_around(self):
        inner = ship(label, takes(label=Label))
        saga = shop(makes("label", Payment), call(inner, parcel))
        assert wired(saga, "ship/use") == {"label": ("RESULT", "ship/label")}

    def test_what_is_around_is_not_seen_within(self):
        @step
        def curious(parcel: Parcel, pay: Payment | None = None): ...

        saga = shop(pay, call(ship(curious), parcel))
        assert wired(saga, "ship/curious") == {"parcel": ("INPUT", "ship")}

    def test_what_is_within_is_not_seen_after(self):
        assert '"ship": int' in refused("AM1201", call(ship(), parcel), takes(hand=int))
        refused("AM1201", call(ship(), parcel), takes(x=Label))

    def test_the_item_of_an_each_around_is_not_seen_within(self):
        def items(order: Order) -> list[Item]: ...

        def of_item(item: Item) -> Parcel: ...

        saga = shop(each(items, call(ship(step(name="use")(lambda item: None)), of_item)))
        assert wired(saga, "ship/use") == {"item": ("INPUT", "ship")}
        assert wired(saga, "ship", "mapper") == {"item": ("ITEM", "each#1")}

    def test_one_step_may_stand_in_both(self):
        assert list(shop(label, call(ship(), parcel)).steps) == ["label", "ship/label", "ship/hand"]

    def test_its_own_annotations_resolve_where_it_was_built(self):
        def made_elsewhere() -> Saga[Any, Any]:
            @step
            def use(parcel: Hidden) -> Hidden: ...

            @dataclass
            class Hidden:
                size: int

            return Saga("ship", use)  # the only frame that knows the class by then

        inner = made_elsewhere()
        saga = shop(call(inner, lambda order: None))
        assert declared(saga, "ship/use", "parcel").__name__ == "Hidden"

    def test_its_resources_are_its_own_and_asked_of_the_orchestrator(self):
        inner = ship(takes(parcel=Parcel, client=Client), resources=[Client])
        saga = shop(call(inner, parcel))
        assert saga.resources == (Client,)
        assert wired(saga, "ship/use")["client"] == ("RESOURCE", "")
        refused("AM1201", call(inner, parcel), takes(client=Client))
        assert shop(call(inner, parcel), call(inner, parcel, name="b"), resources=[Client]).resources == (Client,)

    def test_its_end_deadline_and_follow_ups_play_no_part(self):
        inner = ship(deadline=5, on_completed=[makes("told")], on_compensated=[makes("sorry")])
        saga = shop(call(inner, parcel))
        assert [node.path for node in saga.graph.nodes if node.kind is Kind.STEP] == ["ship/label", "ship/hand"]
        assert saga.graph.deadline_ms == 0


class TestTheInput:
    def test_a_function_makes_it_wired_like_a_predicate(self):
        def of_payment(order: Order, pay: Payment, client: Client) -> Parcel: ...

        saga = shop(pay, call(ship(), of_payment), resources=[Client])
        assert wired(saga, "ship", "mapper") == {
            "order": ("INPUT", ""),
            "pay": ("RESULT", "pay"),
            "client": ("RESOURCE", ""),
        }
        assert "pay" in read(saga)
        assert wired(saga, "ship/label") == {"order": ("INPUT", "ship")}
        assert declared(saga, "ship/label", "order") is Parcel

    def test_left_out_it_is_the_input_around(self):
        saga = Saga("shop", call(ship()))
        assert saga.input_type is Parcel
        assert wired(saga, "ship/label") == {"order": ("INPUT", "ship")}
        assert saga.bindings[saga.graph.find("ship")].mapper is None

    def test_in_a_call_that_is_the_call_s_own(self):
        outer = Saga("outer", call(ship()), input=Parcel)
        saga = shop(call(outer, parcel))
        assert wired(saga, "outer/ship/label") == {"order": ("INPUT", "outer/ship")}
        assert saga.bindings[saga.graph.find("outer/ship")].around == saga.graph.find("outer")

    def test_a_function_that_returns_another_type(self):
        def wrong(order: Order) -> Payment: ...

        message = refused("AM1212", call(ship(), wrong))
        assert 'call "ship": it takes Parcel as its input, but input= returns Payment; let it return that' in message

    def test_an_input_around_of_another_type(self):
        message = refused("AM1212", pay, call(ship()))
        assert "it takes Parcel as its input, but Order is the input around it; give input=" in message

    def test_a_function_that_does_not_say_what_it_returns_is_believed(self):
        assert shop(call(ship(), lambda order: Parcel(1)))
        assert Saga("shop", call(ship(), lambda order: Parcel(1))).input_type is Any

    def test_it_is_a_plain_function_without_a_context(self):
        async def slow(order: Order) -> Parcel: ...

        def asks(order: Order, ctx: Context) -> Parcel: ...

        refuses("AM1108", lambda: call(ship(), slow), "the input of a call", "plain `def`")
        refuses("AM1108", lambda: call(ship(), label), '"label"')
        refuses("AM1108", lambda: call(ship(), Parcel(1)), "no function")
        assert 'call "ship", its input' in refused("AM1210", call(ship(), asks))

    def test_its_annotations_resolve_in_the_caller(self):
        @dataclass
        class Local:
            size: int

        def of_local(local: Local) -> Parcel: ...

        @step
        def first(local: Local): ...

        assert wired(Saga("shop", first, call(ship(), of_local)), "ship", "mapper") == {"local": ("INPUT", "")}


class TestTheValue:
    def test_it_is_the_called_saga_s_result_by_the_call_s_name_or_by_type(self):
        inner = ship(result=label)
        saga = shop(call(inner, parcel), takes(ship=Label))
        assert wired(saga, "use") == {"ship": ("RESULT", "ship")}
        assert read(saga) == {"ship", "ship/label"}
        assert wired(shop(call(inner, parcel), takes(one=Label)), "use") == {"one": ("RESULT", "ship")}
        assert wired(shop(call(ship(), parcel), takes(ship=int)), "use") == {"ship": ("RESULT", "ship")}

    def test_two_of_one_type_are_told_apart_by_name(self):
        inner = ship(result=label)
        both = (call(inner, parcel, name="a"), call(inner, parcel, name="b"))
        assert '"a", "b"' in refused("AM1202", *both, takes(one=Label))
        assert wired(shop(*both, takes(b=Label)), "use") == {"b": ("RESULT", "b")}

    @pytest.mark.parametrize(
        "inner",
        [
            pytest.param(lambda: ship(choose(when(lambda order: True, label))), id="a choose without otherwise"),
            pytest.param(lambda: ship(choose(when(lambda order: True, label)), hand, result=label), id="in a branch"),
            pytest.param(lambda: ship(makes("label", Label, best_effort=True)), id="best effort"),
            pytest.param(
                lambda: ship(first_of(label, makes("other", Label)), hand, result=label), id="in an alternative"
            ),
            pytest.param(
                lambda: ship(hand, wait_for("go", Item, timeout=1, on_timeout=label), hand.named("x"), result=label),
                id="in a timeout",
            ),
        ],
    )
    def test_what_may_be_missing_is_for_optional_parameters_only(self, inner):
        refused("AM1206", call(inner(), parcel), takes(ship=Label))
        assert wired(shop(call(inner(), parcel), takes(ship=Label | None)), "use")

    def test_what_every_branch_gives_is_certain(self):
        inner = ship(choose(when(lambda order: True, label), otherwise=makes("other", Label)))
        saga = shop(call(inner, parcel), takes(ship=Label))
        assert read(saga) == {"ship", "ship/label", "ship/other"}

    def test_one_without_a_value_gives_nothing(self):
        for last in (sleep(1), parallel(label, hand)):
            saga = shop(call(ship(pay, last), parcel), takes(ship=NONE))
            assert wired(saga, "use") == {"ship": ("RESULT", "ship")}

    def test_it_is_the_caller_s_result_when_the_call_is_last(self):
        saga = shop(pay, call(ship(result=label), parcel))
        assert saga.decode_result(b'{"number":"n"}') == Label("n")

    def test_a_step_of_it_cannot_be_the_caller_s_result(self):
        refused("AM1112", call(ship(), parcel), result=label)


class TestWhatIsRefused:
    def test_two_calls_of_one_name(self):
        message = refused("AM1105", call(ship(), parcel), call(ship(), parcel))
        assert '"ship"' in message and "name=" in message
        refused("AM1105", call(ship(), parcel), makes("ship"))

    def test_a_step_twice_within(self):
        refuses("AM1106", lambda: ship(label, label), 'label.named("other")')

    def test_a_path_that_is_too_long_with_its_prefix(self):
        inner = ship(makes("x" * 60))
        assert shop(call(inner, parcel, name="abc"))
        message = refused("AM1114", call(inner, parcel, name="abcd"))
        assert "has 65 characters" in message and "shorten a name on the way" in message

    def test_what_is_no_saga(self):
        refuses("AM1104", lambda: call(label), "takes a Saga", "label")
        refuses("AM1104", lambda: call("ship"), "'ship'")

    @pytest.mark.parametrize("name", ["", "a/b", "a[0]", "x" * 65, 5], ids=repr)
    def test_a_name_that_is_no_path(self, name):
        refuses("AM1101", lambda: call(ship(), parcel, name=name), "a call")

    def test_waits_for_one_signal_name_of_different_types(self):
        inner = ship(wait_for("go", Label))
        message = refused("AM1215", wait_for("go", Payment), call(inner, parcel))
        assert 'wait "ship/go": its signal gives Label, and "go" waits for Payment under the same name' in message
        assert shop(wait_for("go", Label | None), call(inner, parcel), call(inner, parcel, name="b"))

    def test_mistakes_within_are_named_by_the_whole_path(self):
        after = refused("AM1303", makes("pivot", pivot=True), call(ship(), parcel))
        assert 'step "ship/label"' in after
