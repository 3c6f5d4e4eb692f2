"""`first_of` when a saga is built: one value of one type, `Refusals`, and what is refused."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from amends.core.definition import Saga, call, choose, each, first_of, parallel, sleep, step, wait_for, when
from amends.core.graph import Kind
from amends.core.refusals import Refusals
from amends.errors import DefinitionError
from tests.core.shop import Item, Label, Order, Parcel, Payment, makes, read, refused, refuses, shop, takes, wired

card, bank, cash = (makes(name, Payment) for name in ("card", "bank", "cash"))
label = makes("label", Label)


def path_of(saga: Saga[Any, Any], kind: Kind) -> str:
    return next(node.path for node in saga.graph.nodes if node.kind is kind)


class TestTheValue:
    def test_it_is_taken_by_its_name_and_by_its_type(self):
        named = first_of(card, bank, name="payment")
        assert wired(shop(named, takes(payment=Payment)), "use") == {"payment": ("RESULT", "payment")}
        saga = shop(first_of(card, bank), takes(paid=Payment))
        assert wired(saga, "use") == {"paid": ("RESULT", "first_of#1")}
        assert read(saga) == {"first_of#1", "card", "bank"}

    def test_two_of_one_type_are_told_apart_by_name(self):
        both = (first_of(card, name="a"), first_of(bank, name="b"))
        assert '"a", "b"' in refused("AM1202", *both, takes(paid=Payment))
        assert wired(shop(*both, takes(a=Payment)), "use") == {"a": ("RESULT", "a")}

    @pytest.mark.parametrize(
        "last",
        [
            pytest.param(lambda: makes("tried", Payment, best_effort=True), id="best effort"),
            pytest.param(lambda: (label, choose(when(lambda order: True, bank))), id="a choose without otherwise"),
        ],
    )
    def test_an_alternative_that_may_give_none_makes_it_optional(self, last):
        refused("AM1206", first_of(card, last(), name="payment"), takes(payment=Payment))
        saga = shop(first_of(card, last(), name="payment"), takes(payment=Payment | None))
        assert wired(saga, "use") == {"payment": ("RESULT", "payment")}

    def test_an_alternative_of_several_nodes_gives_its_last_one_s(self):
        saga = shop(first_of((label, card), [makes("other", Label), bank]), takes(paid=Payment))
        assert wired(saga, "use") == {"paid": ("RESULT", "first_of#1")}
        assert read(saga) == {"first_of#1", "card", "bank"}

    @pytest.mark.parametrize(
        "node",
        [
            pytest.param(lambda: wait_for("go", Payment, timeout=1), id="wait"),
            pytest.param(lambda: wait_for("go", Payment, timeout=1, on_timeout=bank), id="wait with nodes"),
            pytest.param(lambda: choose(when(lambda order: True, bank), otherwise=cash), id="choose"),
            pytest.param(lambda: first_of(bank, cash), id="first_of"),
            pytest.param(lambda: call(Saga("c", bank, input=Order)), id="call"),
        ],
    )
    def test_any_node_may_be_an_alternative(self, node):
        assert wired(shop(first_of(card, node(), name="p"), takes(p=Payment)), "use")

    def test_alternatives_without_a_value_agree_on_that(self):
        assert shop(first_of(parallel(card, bank), sleep(1), makes("none")))

    def test_an_each_gives_a_list(self):
        def items(order: Order) -> list[Item]: ...

        saga = shop(first_of(each(items, card), makes("all", list[Payment]), name="paid"), takes(paid=list[Payment]))
        assert wired(saga, "use") == {"paid": ("RESULT", "paid")}
        assert {"paid/each#2", "paid/card", "paid/all"} <= read(saga)

    def test_it_is_the_saga_s_result_when_it_is_last(self):
        assert shop(label, first_of(card, bank)).decode_result(b'{"payment_id":"p"}') == Payment("p")

    def test_one_alternative_s_step_may_be_the_result_which_is_none_when_another_was_taken(self):
        saga = shop(first_of(card, bank), result=bank)
        assert saga.graph.nodes[saga.graph.result].path == "bank"
        assert saga.decode_result(b"null") is None


class TestWhatIsSeen:
    def test_its_steps_bear_its_name_before_their_paths_and_none_without(self):
        assert list(shop(first_of(card, bank, name="payment")).steps) == ["payment/card", "payment/bank"]
        assert list(shop(first_of(card, bank)).steps) == ["card", "bank"]
        nested = first_of(card, first_of(bank, cash, name="slow"), name="payment")
        assert list(shop(nested).steps) == ["payment/card", "payment/slow/bank", "payment/slow/cash"]

    @pytest.mark.parametrize("name", ["", "payment"])
    def test_results_of_its_steps_are_not_seen_after_nor_in_another_alternative(self, name):
        message = refused("AM1205", first_of(card, bank, name=name), takes(card=Payment | None))
        assert f"it stands inside {name or 'first_of#1'}, which is over" in message
        refused("AM1205", first_of(card, takes(card=Payment | None), name=name))

    def test_what_was_before_is_seen_in_every_alternative(self):
        @step
        def by_label(label: Label) -> Payment: ...

        saga = shop(label, first_of(card, by_label))
        assert wired(saga, "by_label") == {"label": ("RESULT", "label")}


class TestRefusals:
    def test_any_function_of_a_saga_takes_them_by_type(self):
        paid = makes("paid", Payment)

        @paid.compensation
        def undo(order: Order, why: Refusals): ...

        @paid.probe
        def find(why: Refusals | None) -> Payment | None: ...

        def declined(order: Order, refusals: Refusals) -> bool: ...

        def left(refusals: Annotated[Refusals, "so far"]) -> list[Item]: ...

        def long(refusals: Refusals) -> str: ...

        def parcel(refusals: Refusals) -> Parcel: ...

        ship = Saga("ship", makes("label", Label), input=Parcel)
        saga = shop(
            first_of(card, bank), paid, choose(when(declined, sleep(long))), each(left, takes(r=Refusals)),
            call(ship, parcel),
        )  # fmt: skip
        assert wired(saga, "paid", "compensation")["why"] == ("REFUSALS", "")
        assert wired(saga, "paid", "probe")["why"] == ("REFUSALS", "")
        assert wired(saga, "use") == {"r": ("REFUSALS", "")}
        assert wired(saga, "ship", "mapper") == {"refusals": ("REFUSALS", "")}
        for kind, op in ((Kind.SLEEP, "duration"), (Kind.EACH, "items")):
            assert wired(saga, path_of(saga, kind), op)["refusals"] == ("REFUSALS", "")
        (predicate,) = saga.bindings[saga.graph.find(path_of(saga, Kind.CHOOSE))].predicates
        assert [argument.source.name for argument in predicate.wired] == ["INPUT", "REFUSALS"]

    def test_they_are_no_input(self):
        @step
        def first(why: Refusals, order: Order): ...

        assert Saga("shop", first).input_type is Order


class TestWhatIsRefused:
    def test_alternatives_of_different_types(self):
        message = refused("AM1213", label, first_of(card, makes("other", Label)))
        assert "first_of#2: its alternatives give Payment, Label; give them one type" in message
        for other in (makes("none"), sleep(1), parallel(bank, cash), makes("any", Any), wait_for("go", Label)):
            refused("AM1213", first_of(card, other))
        assert shop(first_of(card, makes("maybe", Payment | None)))  # None is told apart when it is read

    def test_none_and_an_empty_one(self):
        refuses("AM1103", first_of, "at least one")
        assert "branch of first_of()" in refused("AM1103", first_of(card, ()))

    @pytest.mark.parametrize("name", ["a/b", "a[0]", "x" * 65, 5], ids=repr)
    def test_a_name_that_is_no_path(self, name):
        refuses("AM1101", lambda: first_of(card, name=name), "a first_of")

    def test_a_step_in_two_alternatives_or_before_it(self):
        assert 'card.named("other")' in refused("AM1106", first_of(card, card))
        refused("AM1106", first_of(card, bank), card)
        refused("AM1106", first_of(card, bank, name="p"), card)  # names are those of the whole scope
        refused("AM1105", first_of(card, name="label"), label)

    def test_a_name_makes_its_steps_paths_longer(self):
        with pytest.raises(DefinitionError, match="AM1114"):
            shop(first_of(makes("x" * 60, Payment), name="abcd"))
        assert shop(first_of(makes("x" * 60, Payment), name="abc"))
