"""`each` when a saga is built: where the item comes from, what the list is, and what is refused."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from amends.core.annotations import NONE
from amends.core.context import Context
from amends.core.definition import Saga, call, choose, each, first_of, parallel, step, when
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
    with_parameters,
)  # fmt: skip


@dataclass
class Box:
    items: list[Item]


def items(order: Order) -> list[Item]: ...


def boxes(order: Order) -> list[Box]: ...


def of_box(box: Box) -> list[Item]: ...


def unknown(order: Order): ...


reserve, label = makes("reserve", Payment), makes("label", Label)


class TestTheItem:
    def test_it_is_taken_by_its_type_and_by_its_name(self):
        saga = shop(each(items, takes(order=Order, one=Item)))
        assert wired(saga, "use") == {"order": ("INPUT", ""), "one": ("ITEM", "each#1")}
        saga = shop(each(items, takes(item=Item)))
        assert wired(saga, "use") == {"item": ("ITEM", "each#1")}
        assert declared(saga, "use", "item") is Item

    def test_without_an_annotation_it_is_decoded_as_what_the_items_are(self):
        @step
        def use(item): ...

        assert declared(shop(each(items, use)), "use", "item") is Item
        assert declared(shop(each(unknown, use)), "use", "item") is Any
        assert declared(shop(each(unknown, use, item=Item)), "use", "item") is Item

    def test_a_plain_type_is_taken_by_its_name_only(self):
        def numbers(order: Order) -> list[int]: ...

        assert wired(shop(each(numbers, takes(item=int))), "use") == {"item": ("ITEM", "each#1")}
        refused("AM1201", each(numbers, takes(number=int)))

    @pytest.mark.parametrize(
        "returned",
        [list[Item], tuple[Item, ...], Sequence[Item], Iterable[Item], Collection[Item], set[Item], list[Item] | None],
        ids=str,
    )
    def test_its_type_is_inferred_from_a_list_of_one_type(self, returned):
        function = with_parameters(lambda **_: None, {"order": Order}, returned)
        assert declared(shop(each(function, step(name="use")(lambda item: None))), "use", "item") is Item

    @pytest.mark.parametrize("returned", [list, dict[str, Item], tuple[Item, Item], Item, None], ids=str)
    def test_it_is_plain_json_where_nothing_says_a_list_of_one_type(self, returned):
        function = with_parameters(lambda **_: None, {"order": Order}, returned)
        assert declared(shop(each(function, step(name="use")(lambda item: None))), "use", "item") is Any

    def test_its_compensation_probe_and_predicates_take_it_too(self):
        one = makes("one", Payment)

        @one.compensation
        def undo(item: Item, payment: Payment | None): ...

        @one.probe
        def find(thing: Item): ...

        def heavy(item: Item) -> bool: ...

        saga = shop(each(items, choose(when(heavy, one))))
        assert wired(saga, "one", "compensation") == {"item": ("ITEM", "each#1"), "payment": ("OWN_RESULT", "one")}
        assert wired(saga, "one", "probe") == {"thing": ("ITEM", "each#1")}
        (predicate,) = saga.bindings[saga.graph.find("choose#2")].predicates
        assert [(a.name, a.source.name) for a in predicate.wired] == [("item", "ITEM")]

    def test_a_step_named_item_comes_before_it_and_its_type_before_the_input(self):
        item = makes("item", Label)
        assert wired(shop(item, each(items, takes(item=Label))), "use") == {"item": ("RESULT", "item")}

        def orders(order: Order) -> list[Order]: ...

        assert wired(shop(each(orders, takes(one=Order))), "use") == {"one": ("ITEM", "each#1")}

    def test_it_is_not_there_outside(self):
        refused("AM1201", each(items, reserve), takes(item=Item))

    def test_in_an_each_of_an_each_both_are_taken_by_type_and_the_inner_by_name(self):
        saga = shop(each(boxes, each(of_box, takes(box=Box, item=Item, order=Order))))
        assert wired(saga, "use") == {"box": ("ITEM", "each#1"), "item": ("ITEM", "each#2"), "order": ("INPUT", "")}
        (items_of_box,) = saga.bindings[2].items.wired
        assert (items_of_box.name, items_of_box.source.name, items_of_box.node) == ("box", "ITEM", 1)

        same = shop(each(items, each(lambda item: [item], takes(x=Item), item=Item)))
        assert wired(same, "use") == {"x": ("ITEM", "each#2")}  # the innermost that fits

    def test_another_type_under_its_name_is_refused_with_the_mend(self):
        message = refused("AM1207", each(items, takes(item=Label)))
        assert 'step "use", action, parameter "item: Label": the item is Item; annotate it so, or rename' in message

    def test_an_item_type_that_is_not_what_the_function_returns_a_list_of(self):
        message = refused("AM1214", each(items, reserve, item=Label))
        assert "each#1: item=Label, but its items are Item" in message
        assert "drop item=" in message
        assert shop(each(items, reserve, item=Item | None))

    def test_a_type_that_cannot_be_stored(self):
        assert "each#1, an item" in refused("AM1209", each(unknown, reserve, item=Client))


class TestTheList:
    def test_later_steps_take_it_by_the_last_node_s_name(self):
        saga = shop(each(items, label, reserve), takes(reserve=list[Payment]))
        assert wired(saga, "use") == {"reserve": ("RESULT", "each#1")}
        assert read(saga) == {"each#1", "reserve"}

    def test_its_type_is_checked(self):
        for wrong in (list[Label], Payment, dict[str, Payment]):
            assert '"reserve" gives list[Payment]' in refused("AM1207", each(items, reserve), takes(reserve=wrong))

    def test_a_list_is_a_plain_type_so_it_is_never_taken_by_it(self):
        message = refused("AM1201", each(items, reserve), takes(payments=list[Payment]))
        assert 'name the parameter after "reserve"' in message

    def test_what_an_item_may_lack_stands_in_the_list_as_none(self):
        tried = makes("tried", Payment, best_effort=True)
        assert wired(shop(each(items, tried), takes(tried=list[Payment | None])), "use")
        assert "list[Payment | None]" in refused("AM1207", each(items, tried), takes(tried=list[Payment]))

    def test_the_list_itself_is_always_there_but_for_the_end_of_a_saga_that_turned_back(self):
        assert wired(shop(each(items, reserve), on_completed=[takes(reserve=list[Payment])]), "use")
        refused("AM1206", each(items, reserve), on_compensated=[takes(reserve=list[Payment])])
        assert wired(shop(each(items, reserve), on_compensated=[takes(reserve=list[Payment] | None)]), "use")
        refused("AM1206", choose(when(lambda order: True, each(items, reserve))), takes(reserve=list[Payment]))

    def test_an_each_that_is_last_in_an_each_gives_a_list_of_lists_by_its_own_last_node_s_name(self):
        saga = shop(each(boxes, each(of_box, reserve)), takes(reserve=list[list[Payment]]))
        assert wired(saga, "use") == {"reserve": ("RESULT", "each#1")}
        assert read(saga) == {"each#1", "each#2", "reserve"}  # else a gap in a list would be nobody's mistake
        inside = shop(each(boxes, each(of_box, reserve), takes(reserve=list[Payment])))
        assert wired(inside, "use") == {"reserve": ("RESULT", "each#3")}

    def test_a_called_saga_or_a_named_first_of_that_is_last_gives_its_name(self):
        ship = Saga("ship", label, input=Parcel)
        parcel = with_parameters(lambda **_: None, {"item": Item}, Parcel)
        assert wired(shop(each(items, call(ship, parcel)), takes(ship=list[Label])), "use")
        either = first_of(reserve, makes("other", Payment), name="payment")
        saga = shop(each(items, either), takes(payment=list[Payment]))
        assert wired(saga, "use") == {"payment": ("RESULT", "each#1")}
        assert read(saga) == {"each#1", "payment/reserve", "payment/other"}

    def test_a_last_node_without_a_value_gives_a_list_of_nones_that_has_no_name(self):
        saga = shop(each(items, parallel(reserve, label)))
        assert saga.bindings[1].payload.declared == list[NONE]
        refused("AM1205", each(items, parallel(reserve, label)), takes(reserve=list[Payment]))

    def test_it_is_the_saga_s_result_when_the_each_is_last(self):
        saga = shop(label, each(items, reserve))
        assert saga.decode_result(b'[{"payment_id":"p"}]') == [Payment("p")]
        assert read(saga) == {"reserve"}  # nobody may leave a gap in the list

    def test_steps_that_return_nothing_need_no_result_in_the_list(self):
        assert read(shop(each(items, makes("none")))) == set()


class TestWhatIsInside:
    def test_results_of_its_steps_are_seen_within_the_item_and_not_after(self):
        saga = shop(each(items, reserve, takes(reserve=Payment)))
        assert wired(saga, "use") == {"reserve": ("RESULT", "reserve")}
        message = refused("AM1205", each(items, reserve, label), takes(reserve=Payment))
        assert '"reserve" is not earlier: it stands inside each#1, which is over' in message
        refused("AM1201", each(items, reserve, label), takes(payment=Payment))

    def test_results_of_earlier_steps_are_seen_inside(self):
        assert wired(shop(reserve, each(items, takes(p=Payment))), "use") == {"p": ("RESULT", "reserve")}

    def test_a_result_of_the_saga_cannot_stand_in_it(self):
        message = refused("AM1112", each(items, reserve), result=reserve)
        assert "result per item" in message and "leave result= out" in message
        refused("AM1112", each(items, parallel(reserve, label)), result=label)

    def test_its_path_has_no_prefix_and_its_limit_is_tuning(self):
        saga = shop(each(items, reserve, limit=3))
        each_node = saga.graph.nodes[1]
        assert (each_node.kind, each_node.path, each_node.children) == (Kind.EACH, "each#1", (2,))
        assert saga.graph.nodes[2].path == "reserve"
        assert (saga.graph.policies[1].limit, shop(each(items, reserve)).graph.policies[1].limit) == (3, 8)

    def test_its_steps_paths_are_unique_among_all(self):
        refused("AM1106", reserve, each(items, reserve))
        refused("AM1105", label, each(items, makes("label")))


class TestItsItems:
    def test_the_function_is_wired_like_a_predicate(self):
        def by_label(order: Order, label: Label, client: Client) -> list[Item]: ...

        saga = shop(label, each(by_label, reserve), resources=[Client])
        assert wired(saga, "each#2", "items") == {
            "order": ("INPUT", ""),
            "label": ("RESULT", "label"),
            "client": ("RESOURCE", ""),
        }
        assert "label" in read(saga)

    def test_it_takes_no_context(self):
        def asks(order: Order, ctx: Context) -> list[Item]: ...

        assert "each#1, its items" in refused("AM1210", each(asks, reserve))

    def test_it_is_a_plain_function_that_returns(self):
        async def slow(order: Order) -> list[Item]: ...

        def yields(order: Order):
            yield Item("a")

        refuses("AM1108", lambda: each(slow, reserve), "slow", "plain `def`")
        refuses("AM1108", lambda: each(yields, reserve), "yields")
        refuses("AM1108", lambda: each([1, 2], reserve), "no function")
        refuses("AM1108", lambda: each(reserve, label), '"reserve"', "plain function")

    def test_it_speaks_for_the_input_s_type_when_the_each_comes_first(self):
        assert Saga("shop", each(items, reserve)).input_type is Order
        assert Saga("shop", each(lambda: [1], reserve)).input_type is Any

    def test_an_annotation_of_it_that_does_not_resolve(self):
        def lost(order: Order) -> list[Missing]: ...  # noqa: F821

        assert "each#1, its items, its result" in refused("AM1208", each(lost, reserve))

    def test_local_classes_resolve(self):
        @dataclass
        class Local:
            size: int

        def locals_of(order: Order) -> list[Local]: ...

        @step
        def use(one: Local) -> Local: ...

        assert wired(shop(each(locals_of, use)), "use") == {"one": ("ITEM", "each#1")}


class TestOptions:
    def test_there_is_a_node(self):
        refuses("AM1103", lambda: each(items), "at least one")
        assert "branch of each()" in refused("AM1103", each(items, ()))

    @pytest.mark.parametrize("limit", [0, -1, 10_001, True, 1.5, "8", None], ids=repr)
    def test_the_limit_is_a_whole_number_in_its_range(self, limit):
        refuses("AM1402", lambda: each(items, reserve, limit=limit), f"limit={limit!r}", "1 to 10000")
