"""Wiring: the first rule that fits, and a mend for what none fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, List, Optional, Protocol, runtime_checkable

import pytest
from msgspec import Raw

from amends.core.calls import Source
from amends.core.context import Context
from amends.core.definition import Saga, choose, parallel, sleep, step, wait_for, when
from amends.errors import DefinitionError, PayloadError


@dataclass
class Order:
    order_id: str
    total: int = 0


@dataclass
class Payment:
    payment_id: str


@dataclass
class Shipment:
    shipment_id: str


@dataclass
class Approval:
    by: str


class Client:
    """A resource."""


class Given:
    """What a function sees, without a saga around it."""

    def __init__(self, input, result):
        self._input = input
        self.result = result

    def input(self, call):
        assert call == -1
        return self._input


def makes(name: str, returns: Any, **options: Any) -> Any:
    """A step of that name whose one parameter takes the input."""

    def function(order):
        return None

    function.__annotations__ = {"return": returns}
    return step(name=name, **options)(function)


def wired(saga: Saga[Any, Any], path: str, op: str = "action") -> dict[str, tuple[str, str]]:
    """Parameter -> (source, path of the node it comes from)."""
    call = getattr(saga.bindings[saga.graph.find(path)], op)
    nodes = saga.graph.nodes
    return {each.name: (each.source.name, nodes[each.node].path if each.node >= 0 else "") for each in call.wired}


def refused(code: str, *nodes: Any, **options: Any) -> str:
    with pytest.raises(DefinitionError) as caught:
        Saga("shop", *nodes, **options)
    assert caught.value.code == code, str(caught.value)
    assert 'saga "shop"' in caught.value.message
    return caught.value.message


charge = makes("charge", Payment)
pack = makes("pack", Shipment)
count = makes("count", int)


class TestTheFirstRuleThatFits:
    def test_the_context_is_found_by_its_type_whatever_its_name(self):
        @step
        def use(order: Order, c: Context, d: Context | None, e: Annotated[Context, "x"]): ...

        assert wired(Saga("shop", use), "use") == {
            "order": ("INPUT", ""),
            "c": ("CONTEXT", ""),
            "d": ("CONTEXT", ""),
            "e": ("CONTEXT", ""),
        }

    def test_a_parameter_with_the_name_of_an_earlier_step_takes_its_result(self):
        @step
        def use(charge: Payment, count: int): ...

        saga = Saga("shop", charge, count, use, input=Order)
        assert wired(saga, "use") == {"charge": ("RESULT", "charge"), "count": ("RESULT", "count")}

    def test_the_name_comes_before_the_input_and_other_types(self):
        same = makes("same", Order)

        @step
        def use(same: Order, order: Order): ...

        assert wired(Saga("shop", same, use, input=Order), "use") == {
            "same": ("RESULT", "same"),
            "order": ("INPUT", ""),
        }

    def test_an_unannotated_parameter_takes_the_input_or_the_step_it_is_named_after(self):
        @step
        def use(anything, charge): ...

        saga = Saga("shop", charge, use, input=Order)
        assert wired(saga, "use") == {"anything": ("INPUT", ""), "charge": ("RESULT", "charge")}

    def test_an_unannotated_parameter_with_a_step_s_name_accepts_none(self):
        optional = makes("optional", Payment, best_effort=True)

        @step
        def use(optional): ...

        saga = Saga("shop", optional, use, input=Order)
        call = saga.bindings[saga.graph.find("use")].action
        assert call.arguments(Given(b"{}", lambda _: None)) == ([None], {})
        assert call.arguments(Given(b"{}", lambda _: Raw(b"null"))) == ([None], {})
        assert call.arguments(Given(b"{}", lambda _: Raw(b'{"payment_id":"p"}'))) == ([Payment("p")], {})

    def test_a_result_is_found_by_its_type_when_one_earlier_step_gives_it(self):
        @step
        def use(paid: Payment, sent: Optional[Shipment]): ...

        saga = Saga("shop", charge, pack, use, input=Order)
        assert wired(saga, "use") == {"paid": ("RESULT", "charge"), "sent": ("RESULT", "pack")}

    def test_the_input_comes_before_a_result_of_the_same_type(self):
        same = makes("same", Order)

        @step
        def use(order: Order): ...

        assert wired(Saga("shop", same, use, input=Order), "use") == {"order": ("INPUT", "")}

    def test_a_resource_comes_last(self):
        @step
        def use(client: Client, order: Order): ...

        saga = Saga("shop", use, input=Order, resources=[Client])
        assert wired(saga, "use") == {"client": ("RESOURCE", ""), "order": ("INPUT", "")}
        client = Client()
        args, _ = saga.bindings[1].action.arguments(
            Given(b'{"order_id":"o"}', lambda _: None), resources={Client: client}
        )
        assert args == [client, Order("o")]

    def test_what_nothing_fits_keeps_its_default_and_later_ones_go_by_name(self):
        @step
        def use(order: Order, tries: int = 3, *, paid: Payment): ...

        @step
        def use_too(order: Order, tries: int = 3, paid: Payment | None = None): ...

        saga = Saga("shop", charge, use, use_too, input=Order)
        for path in ("use", "use_too"):
            call = saga.bindings[saga.graph.find(path)].action
            args, kwargs = call.arguments(Given(b'{"order_id":"o"}', lambda _: Raw(b'{"payment_id":"p"}')))
            assert (args, kwargs) == ([Order("o")], {"paid": Payment("p")})

    def test_annotated_and_none_are_stripped_and_old_aliases_are_their_builtins(self):
        listing = makes("listing", list[int])

        @step
        def use(order: Annotated[Order | None, "x"], paid: Annotated[Payment, 1] | None, listing: List[int]): ...

        saga = Saga("shop", charge, listing, use, input=Order)
        assert {source for source, _ in wired(saga, "use").values()} == {"INPUT", "RESULT"}


class TestBuiltins:
    def test_a_builtin_never_matches_a_result_by_type_and_the_error_names_the_step(self):
        @step
        def use(number: int): ...

        message = refused("AM1201", count, use, input=Order)
        assert 'int is matched by name only: name the parameter after "count"' in message

    def test_a_container_never_matches_a_result_by_type(self):
        listing = makes("listing", list[Payment])

        @step
        def use(payments: list[Payment]): ...

        refused("AM1201", listing, use, input=Order)

    def test_a_builtin_matches_the_input(self):
        @step
        def use(order: dict[str, int], ctx: Context): ...

        saga = Saga("shop", use)
        assert saga.input_type == dict[str, int]
        assert wired(saga, "use")["order"] == ("INPUT", "")

    def test_a_compensation_takes_its_own_builtin_result_by_the_step_s_name_only(self):
        first, second = makes("first", str), makes("second", str)

        @first.compensation
        def undo_first(first: str | None): ...

        @second.compensation
        def undo_second(reference: str | None): ...

        saga = Saga("shop", first, input=Order)
        assert wired(saga, "first", "compensation") == {"first": ("OWN_RESULT", "first")}
        refused("AM1201", second, input=Order)


class TestCompensationsAndProbes:
    def test_a_compensation_takes_its_own_result_by_type_before_the_same_type_of_others(self):
        again = charge.named("again")
        mine = makes("mine", Payment)

        @mine.compensation
        def undo(order: Order, payment: Payment | None, again: Payment): ...

        saga = Saga("shop", again, mine, input=Order)
        assert wired(saga, "mine", "compensation") == {
            "order": ("INPUT", ""),
            "payment": ("OWN_RESULT", "mine"),
            "again": ("RESULT", "again"),
        }

    @pytest.mark.parametrize(
        ("annotation", "returns", "needs"),
        [
            (Payment, Payment, True),
            (Payment | None, Payment, False),
            (Any, Payment, False),
            (Payment, Payment | None, True),
            (None, None, False),
        ],
    )
    def test_a_compensation_needs_its_result_when_it_cannot_take_none(self, annotation, returns, needs):
        mine = makes("mine", returns)

        def undo(mine): ...

        undo.__annotations__ = {"mine": annotation}
        mine.compensation(undo)
        saga = Saga("shop", mine, input=Order)
        assert saga.graph.nodes[1].needs_result is needs
        assert saga.graph.nodes[1].compensation

    def test_an_unannotated_own_result_is_not_needed(self):
        mine = makes("mine", Payment)

        @mine.compensation
        def undo(mine): ...

        saga = Saga("shop", mine, input=Order)
        assert not saga.graph.nodes[1].needs_result
        assert saga.bindings[1].compensation.arguments(Given(b"{}", lambda _: None), None) == ([None], {})

    def test_a_compensation_cannot_read_a_later_result(self):
        mine = makes("mine", Payment)

        @mine.compensation
        def undo(order: Order, pack: Shipment | None): ...

        message = refused("AM1205", mine, pack, input=Order)
        assert 'step "mine", compensation, parameter "pack: Shipment | None"' in message
        assert "was assigned before its action" in message

    def test_a_compensation_cannot_find_a_later_result_by_its_type(self):
        mine = makes("mine", Payment)

        @mine.compensation
        def undo(shipment: Shipment | None): ...

        refused("AM1201", mine, pack, input=Order)

    def test_a_name_of_a_step_that_is_not_earlier_never_falls_back_to_another_result(self):
        left, right = makes("left", Payment), makes("right", Payment)

        @right.compensation
        def undo(left: Payment | None): ...

        refused("AM1205", parallel(left, right), input=Order)

    def test_a_probe_is_wired_as_its_action_and_cannot_read_the_result_it_looks_for(self):
        mine, other = makes("mine", Payment), makes("other", Payment)

        @mine.probe
        def find(order: Order, pack: Shipment, ctx: Context): ...

        @other.probe
        def find_other(other: Payment | None): ...

        assert wired(Saga("shop", pack, mine, input=Order), "mine", "probe")["pack"] == ("RESULT", "pack")
        assert "only the step's compensation" in refused("AM1205", other, input=Order)

    def test_an_earlier_result_that_is_gone_is_an_error_that_says_so(self):
        @step
        def use(charge: Payment): ...

        saga = Saga("shop", charge, use, input=Order)
        with pytest.raises(PayloadError, match='AM2109.*step "use".*charge'):
            saga.bindings[2].action.arguments(Given(b"{}", lambda _: None))


class TestAssignedOnEveryPath:
    def uses(self, annotation: Any, **options: Any) -> Any:
        def function(charge): ...

        function.__annotations__ = {"charge": annotation}
        return step(name="use", **options)(function)

    @pytest.mark.parametrize(
        "before",
        [
            pytest.param(lambda: choose(when(lambda order: True, charge), otherwise=pack), id="choose"),
            pytest.param(lambda: choose(when(lambda order: True), otherwise=charge), id="otherwise"),
            pytest.param(lambda: (charge.named("x"), makes("charge", Payment, best_effort=True)), id="best effort"),
            pytest.param(lambda: parallel(choose(when(lambda order: True, charge)), pack), id="choose in parallel"),
            pytest.param(
                lambda: wait_for("go", Approval, timeout=1, on_timeout=charge), id="nodes of a wait's timeout"
            ),
            pytest.param(lambda: wait_for("charge", Payment, timeout=1, on_timeout=()), id="wait that may time out"),
        ],
    )
    def test_what_may_be_missing_is_legal_for_an_optional_parameter_only(self, before):
        message = refused("AM1206", before(), self.uses(Payment), input=Order)
        assert "annotate it as Payment | None" in message
        assert wired(Saga("shop", before(), self.uses(Payment | None), input=Order), "use")

    @pytest.mark.parametrize(
        "before",
        [
            pytest.param(lambda: parallel(charge, pack), id="parallel"),
            pytest.param(lambda: (pack, [charge]), id="nested sequence"),
            pytest.param(lambda: wait_for("charge", Payment, timeout=1), id="wait that turns back"),
            pytest.param(lambda: wait_for("charge", Payment), id="wait without end"),
        ],
    )
    def test_what_is_assigned_on_every_path_is_legal_for_any_parameter(self, before):
        assert wired(Saga("shop", before(), self.uses(Payment), input=Order), "use")["charge"][0] == "RESULT"

    def test_steps_of_a_sibling_branch_are_not_earlier(self):
        message = refused("AM1205", parallel(charge, self.uses(Payment | None)), input=Order)
        assert "another branch" in message
        refused("AM1205", choose(when(lambda order: True, charge), otherwise=self.uses(Payment | None)), input=Order)

    def test_a_wait_s_payload_is_not_there_in_its_own_timeout_nodes(self):
        wait = wait_for("charge", Payment, timeout=1, on_timeout=self.uses(Payment | None))
        refused("AM1205", pack, wait, input=Order)

    def test_after_a_branch_its_results_are_gone_from_the_next_branch_and_there_after_both(self):
        @step
        def after(charge: Payment, pack: Shipment): ...

        inside = makes("inside", int)
        assert wired(Saga("shop", parallel((charge, inside), pack), after, input=Order), "after")

    def test_a_payload_is_found_by_its_type(self):
        @step
        def use(approval: Approval): ...

        saga = Saga("shop", wait_for("boss", Approval), use, input=Order)
        assert wired(saga, "use") == {"approval": ("RESULT", "boss")}


class TestPredicatesAndDurations:
    def test_a_predicate_takes_the_input_results_and_resources(self):
        def over(order: Order, charge: Payment, client: Client) -> bool:
            return True

        saga = Saga("shop", charge, choose(when(over, pack)), input=Order, resources=[Client])
        (call,) = saga.bindings[2].predicates
        assert [each.source for each in call.wired] == [Source.INPUT, Source.RESULT, Source.RESOURCE]
        assert saga.graph.nodes[1].read

    def test_a_lambda_takes_the_input_decoded_by_its_type(self):
        saga = Saga("shop", choose(when(lambda order: order.total > 5, pack)), input=Order)
        (call,) = saga.bindings[1].predicates
        args, kwargs = call.arguments(Given(b'{"order_id":"o","total":6}', lambda _: None))
        assert call.function(*args, **kwargs) is True

    def test_a_duration_is_wired_the_same_way(self):
        saga = Saga("shop", count, sleep(lambda count: count), input=Order)
        assert saga.graph.nodes[2].computed
        assert saga.graph.nodes[1].read
        call = saga.bindings[2].duration
        assert call.arguments(Given(b"{}", lambda _: Raw(b"7"))) == ([7], {})

    def test_neither_takes_a_context(self):
        def over(order: Order, ctx: Context) -> bool:
            return True

        assert "when 1 (over)" in refused("AM1210", choose(when(over, pack)), input=Order)
        refused("AM1210", pack, sleep(over), input=Order)


class TestFollowUps:
    def test_on_completed_sees_what_every_path_assigned(self):
        @step
        def tell(order: Order, charge: Payment): ...

        saga = Saga("shop", charge, input=Order, on_completed=[tell])
        assert wired(saga, "tell")["charge"] == ("RESULT", "charge")
        assert saga.graph.nodes[1].read

    def test_on_compensated_sees_results_as_optional_only(self):
        @step
        def sorry(charge: Payment): ...

        @step
        def sorry_too(order: Order, payment: Payment | None): ...

        refused("AM1206", charge, input=Order, on_compensated=[sorry])
        assert wired(Saga("shop", charge, input=Order, on_compensated=[sorry_too]), "sorry_too")

    def test_a_follow_up_sees_an_earlier_one_as_optional_and_the_other_list_never(self):
        told = makes("told", Payment)

        @step
        def next_one(told: Payment | None): ...

        @step
        def strict(told: Payment): ...

        assert wired(Saga("shop", pack, input=Order, on_completed=[told, next_one]), "next_one")
        refused("AM1206", pack, input=Order, on_completed=[told, strict])
        refused("AM1205", pack, input=Order, on_completed=[told], on_compensated=[next_one])


class TestTheInputType:
    def test_it_is_the_first_step_s_first_parameter_that_is_not_the_context(self):
        @step
        def first(ctx: Context, order: Order): ...

        assert Saga("shop", wait_for("go", Approval), parallel(first, pack)).input_type is Order

    @pytest.mark.parametrize("function", [lambda: None, lambda order: None], ids=["none", "bare"])
    def test_without_an_annotation_it_is_plain_json(self, function):
        assert Saga("shop", step(name="first")(function)).input_type is Any

    def test_what_is_declared_wins(self):
        @step
        def first(client: Client): ...

        saga = Saga("shop", first, input=Order, resources=[Client])
        assert saga.input_type is Order


class TestWhatIsRefused:
    def test_nothing_fits_and_the_message_names_step_parameter_type_and_candidates(self):
        @step
        def use(order: Order, client: Client): ...

        message = refused("AM1201", charge, use, input=Order)
        for part in ('step "use", action', '"client: Client"', "Input: Order", '"charge": Payment', "To mend it"):
            assert part in message

    def test_two_earlier_results_of_one_type(self):
        @step
        def use(paid: Payment): ...

        assert '"charge", "again"' in refused("AM1202", charge, charge.named("again"), use, input=Order)

    def test_an_unannotated_ctx(self):
        @step
        def use(order: Order, ctx): ...

        assert "ctx: Context" in refused("AM1203", use)

    def test_two_parameters_that_take_the_input(self):
        @step
        def use(order: Order, other): ...

        @step
        def use_too(order: Order, other: Order): ...

        assert "'order' and 'other'" in refused("AM1204", use)
        refused("AM1204", use_too)

    def test_an_unannotated_parameter_named_after_a_later_step_never_takes_the_input(self):
        @step
        def use(charge): ...

        refused("AM1205", use, charge, input=Order)

    def test_the_input_s_type_wins_over_the_name_of_a_later_step(self):
        @step
        def use(charge: Order): ...

        assert wired(Saga("shop", use, charge, input=Order), "use") == {"charge": ("INPUT", "")}

    def test_a_name_with_another_type(self):
        @step
        def use(charge: Shipment): ...

        assert '"charge" gives Payment' in refused("AM1207", charge, use, input=Order)

    @pytest.mark.parametrize(
        ("returns", "takes"),
        [(dict[str, int], dict), (dict, dict[str, int]), (Any, Payment), (Payment, Any)],
        ids=["less", "more", "unknown", "any"],
    )
    def test_a_name_with_a_type_that_says_less_or_more_is_fine(self, returns, takes):
        def function(first): ...

        function.__annotations__ = {"first": takes}
        assert wired(Saga("shop", makes("first", returns), step(name="use")(function), input=Order), "use")

    def test_an_annotation_that_does_not_resolve(self):
        @step
        def use(order: Missing): ...  # noqa: F821

        message = refused("AM1208", use)
        assert 'step "use", action, parameter "order"' in message
        assert "'Missing'" in message

    def test_a_result_that_does_not_resolve(self):
        @step
        def use(order: Order) -> Missing: ...  # noqa: F821

        assert 'step "use", its result' in refused("AM1208", use)

    def test_a_type_that_cannot_be_stored(self):
        @step
        def use(order: Client): ...

        assert "dataclass, msgspec Struct" in refused("AM1209", use)
        refused("AM1209", makes("charge", Client), input=Order)
        refused("AM1209", pack, wait_for("go", Client), input=Order)
        refused("AM1209", makes("charge", Payment | Shipment), input=Order)

    def test_a_positional_only_parameter_behind_a_default_that_stays(self):
        @step
        def use(order: Order, tries: int = 3, paid: Payment | None = None, /): ...

        assert "positional-only" in refused("AM1201", charge, use, input=Order)

    @pytest.mark.parametrize("resources", [[Client, Client], [Order], ["client"]])
    def test_resources_that_cannot_be_told_apart(self, resources):
        refused("AM1211", charge, input=Order, resources=resources)


class TestWhatIsRead:
    def test_a_result_is_read_by_actions_compensations_probes_and_result(self):
        by_undo, by_probe, mine = makes("by_undo", Payment), makes("by_probe", Shipment), makes("mine", int)

        @mine.compensation
        def undo(by_undo: Payment, mine: int | None): ...

        @mine.probe
        def find(by_probe: Shipment): ...

        last = makes("last", Approval)
        saga = Saga("shop", by_undo, by_probe, mine, charge, last, input=Order, result=last)
        assert {node.path for node in saga.graph.nodes if node.read} == {"by_undo", "by_probe", "mine", "last"}


class TestCalls:
    def test_every_call_gets_values_of_its_own(self):
        @step
        def use(order: dict, ctx: Context): ...

        saga = Saga("shop", use)
        raw = saga.encode_input({"items": [1]})
        call, ctx = saga.bindings[1].action, Context()
        (first, got), _ = call.arguments(Given(raw, lambda _: None), None, ctx)
        (second, _), _ = call.arguments(Given(raw, lambda _: None), None, ctx)
        assert first == second == {"items": [1]}
        assert first["items"] is not second["items"]
        assert got is ctx

    def test_what_no_longer_decodes_names_saga_step_and_parameter(self):
        @step
        def use(order: Order): ...

        saga = Saga("shop", use)
        with pytest.raises(PayloadError, match='AM2108.*saga "shop", step "use", action, parameter "order".*Order'):
            saga.bindings[1].action.arguments(Given(b'{"order_id":5}', lambda _: None))

    def test_an_error_of_the_author_s_own_constructor_is_a_payload_error_too(self):
        @dataclass
        class Picky:
            size: int

            def __post_init__(self):
                raise ZeroDivisionError(self.size)

        @step
        def use(order: Picky): ...

        with pytest.raises(PayloadError, match="AM2108"):
            Saga("shop", use).bindings[1].action.arguments(Given(b'{"size":1}', lambda _: None))

    def test_local_classes_resolve_under_future_annotations(self):
        @dataclass
        class Local:
            size: int

        @step
        def use(order: Local) -> Local | None: ...

        @use.compensation
        def undo(use: Optional["Local"]): ...

        def big(order: Local) -> bool:
            return True

        saga = Saga("shop", use, choose(when(big, pack)), pack.named("other"))
        assert saga.input_type is Local
        assert wired(saga, "use", "compensation") == {"use": ("OWN_RESULT", "use")}
        assert saga.decode_payload(1, b'{"size":2}') == Local(2)

    def test_a_local_class_defined_after_the_step_resolves_where_the_saga_is_built(self):
        @step
        def use(order: Later): ...

        @dataclass
        class Later:
            size: int

        assert Saga("shop", use).input_type is Later

    def test_a_protocol_by_which_no_object_can_be_told_is_refused_as_a_resource(self):
        class Plain(Protocol): ...

        @runtime_checkable
        class Checkable(Protocol): ...

        assert "@runtime_checkable" in refused("AM1211", charge, input=Order, resources=[Plain])
        assert Saga("s", charge, input=Order, resources=[Checkable]).resources == (Checkable,)
