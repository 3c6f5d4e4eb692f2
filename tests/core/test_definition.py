"""Steps and sagas: what is made of them, and every way in which they are refused when they are built."""

from __future__ import annotations

import functools
import gc
import re
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import amends.core
from amends.core import codes
from amends.core.context import Context
from amends.core.definition import (
    Saga,
    Step,
    call,
    choose,
    each,
    first_of,
    parallel,
    sleep,
    step,
    wait_for,
    when,
)  # fmt: skip
from amends.core.graph import Kind, graph_from, structure_from, structure_of
from amends.errors import DefinitionError, PayloadError, UsageError
from amends.policies.retry import Retry


@dataclass
class Order:
    order_id: str


@dataclass
class Payment:
    payment_id: str


@dataclass
class Approval:
    by: str


def plain(name: str, **options: Any) -> Step[..., Any, Any]:
    def function(order: Order) -> None: ...

    return step(name=name, **options)(function)


def undone(name: str, **options: Any) -> Step[..., Any, Any]:
    made = plain(name, **options)
    made.compensation(lambda order: None)
    return made


def true(order: Order) -> bool:
    return True


a, b, c, d = map(plain, "abcd")


def refuses(code: str, build: Any, *words: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        build()
    assert caught.value.code == code, str(caught.value)
    for word in words:
        assert word in caught.value.message


def shape(saga: Saga[Any, Any], index: int = 0) -> Any:
    node = saga.graph.nodes[index]
    if node.kind in (Kind.STEP, Kind.SLEEP):
        return node.path.split("#", maxsplit=1)[0]
    return (node.kind.name, *(shape(saga, child) for child in node.children))


class TestSteps:
    async def pay(self, order: Order, ctx: Context) -> Payment:
        """Pays."""
        return Payment(order.order_id)

    def test_a_step_is_still_the_plain_function(self):
        made = step(TestSteps.pay)
        coroutine = made(self, Order("o"), Context())
        with pytest.raises(StopIteration) as stop:
            coroutine.send(None)
        assert stop.value.value == Payment("o")
        assert (made.name, made.__doc__, made.function, made.action.is_async) == ("pay", "Pays.", TestSteps.pay, True)

    def test_bare_and_with_options_are_the_same_step(self):
        def pay(order: Order) -> None: ...

        bare, told = step(pay), step()(pay)
        assert (bare.name, bare.options, bare.action.call) == (told.name, told.options, told.action.call)
        assert bare.options.timeout_ms == 30_000
        assert bare.options.retry.attempts == 4
        assert not bare.action.is_async

    def test_compensation_and_probe_return_the_plain_function_bare_and_with_options(self):
        for made, tune in ((plain("x"), {}), (plain("y"), {"timeout": 5, "retry": Retry(attempts=7)})):

            def undo(order: Order) -> None: ...

            assert (made.compensation(**tune)(undo) if tune else made.compensation(undo)) is undo
            assert (made.probe(**tune)(undo) if tune else made.probe(undo)) is undo
            assert made.undo.function.call is made.prober.function.call is undo

    def test_tuning_reaches_the_policy(self):
        made = plain("x", timeout="2s", retry=Retry(attempts=9), key_ttl="1d")
        made.compensation(timeout="3s", retry=Retry(attempts=5))(lambda order: None)
        made.probe(timeout="4s", retry=Retry(attempts=6))(lambda order: None)
        policy = Saga("shop", made).graph.policies[1]
        assert (policy.timeout_ms, policy.compensation_timeout_ms, policy.probe_timeout_ms) == (2_000, 3_000, 4_000)
        assert (policy.retry.attempts, policy.compensation_retry.attempts, policy.probe_retry.attempts) == (9, 5, 6)
        assert policy.key_ttl_ms == 86_400_000

    def test_the_defaults_are_the_documented_ones(self):
        made = undone("x")
        made.probe(lambda order: None)
        policy = Saga("shop", made).graph.policies[1]
        assert (policy.compensation_timeout_ms, policy.probe_timeout_ms, policy.key_ttl_ms) == (30_000, 30_000, 0)
        assert (policy.compensation_retry.attempts, policy.compensation_retry.cap_ms) == (20, 300_000)
        assert policy.probe_retry.attempts == 4

    def test_a_named_copy_shares_functions_also_those_attached_later(self):
        first = plain("first")
        second = first.named("second")
        first.compensation(lambda order: None)
        saga = Saga("shop", first, second)
        assert [node.path for node in saga.graph.nodes[1:]] == ["first", "second"]
        assert all(node.compensation for node in saga.graph.nodes[1:])
        assert saga.bindings[1].action.function is saga.bindings[2].action.function
        assert set(saga.steps) == {"first", "second"}

    def test_partials_methods_and_callable_objects_can_be_steps(self):
        class Calls:
            async def __call__(self, order: Order) -> int: ...

            def method(self, order: Order) -> int: ...

        def pay(rate: int, order: Order) -> int: ...

        called, method = step(name="called")(Calls()), step(Calls().method)
        part = step(name="part")(functools.partial(pay, 3))
        saga = Saga("shop", called, method, part)
        assert called.action.is_async
        assert method.name == "method"
        assert saga.input_type is Order
        assert [each.name for each in saga.bindings[3].action.wired] == ["order"]

    def test_decorating_keeps_no_more_of_a_frame_than_its_annotations_name(self):
        class Heavy: ...

        def make():
            heavy = Heavy()
            alive = weakref.ref(heavy)

            @step
            def pay(order: Order) -> None: ...

            return pay, alive

        kept, alive = make()
        gc.collect()
        assert alive() is None
        assert kept.name == "pay"

    def test_a_function_that_cannot_be_called_once_for_one_value_is_refused(self):
        async def stream(order: Order):
            yield 1

        def many(order: Order):
            yield 1

        def star(*orders: Order): ...

        def stars(order: Order, **more: Any): ...

        for function, word in ((stream, "yields"), (many, "yields"), (star, "*orders"), (stars, "**more")):
            refuses("AM1108", lambda function=function: step(function), function.__name__, word)
        refuses("AM1108", lambda: step(lambda order: None), "step(name=...)")
        refuses("AM1108", lambda: step(functools.partial(true)), "step(name=...)")
        refuses("AM1108", lambda: step(name="x")(5), "no function")
        refuses("AM1108", lambda: step(a), '"a" is a step already')
        refuses("AM1108", lambda: plain("x").compensation(a), "plain function")
        refuses("AM1108", lambda: plain("x").probe(many), "yields")

    @pytest.mark.parametrize("name", ["", "a/b", "a[0]", "a b", "é", "x" * 65, "a\n", "-", "-x", 5], ids=repr)
    def test_a_name_that_cannot_stand_in_a_key_is_refused(self, name):
        refuses("AM1101", lambda: a.named(name))
        refuses("AM1101", lambda: Saga(name, a))
        refuses("AM1101", lambda: wait_for(name, Approval))

    def test_a_function_s_own_name_is_checked_too(self):
        def zürich(order: Order): ...  # noqa: PLC2401

        refuses("AM1101", lambda: step(zürich), "ASCII")
        assert step(name="zurich")(zürich).name == "zurich"

    def test_only_one_compensation_and_one_probe(self):
        made = undone("x")
        made.probe(true)
        refuses("AM1109", lambda: made.compensation(true), "already")
        refuses("AM1109", lambda: made.probe(timeout=3)(true), "true")

    def test_nothing_is_attached_once_the_step_stands_in_a_saga(self):
        made = plain("x")
        copy = made.named("y")
        Saga("shop", copy)
        refuses("AM1110", lambda: made.compensation(true), 'saga "shop"')
        refuses("AM1110", lambda: copy.probe(true), 'saga "shop"')

    def test_a_saga_that_was_refused_seals_nothing(self):
        made = plain("x")
        refuses("AM1105", lambda: Saga("shop", made, plain("x")))
        made.compensation(true)
        assert made.undo is not None


class TestOptions:
    @pytest.mark.parametrize("value", [0, -1, "soon", float("nan"), None, True, "4000d"], ids=repr)
    def test_a_length_of_time_is_above_zero(self, value):
        refuses("AM1401", lambda: plain("x", timeout=value), 'step "x": timeout=')
        refuses("AM1401", lambda: plain("x").compensation(timeout=value)(true), "compensation(timeout=)")
        refuses("AM1401", lambda: plain("x").probe(timeout=value)(true), "probe(timeout=)")
        refuses("AM1401", lambda: sleep(value))
        if value is not None:
            refuses("AM1401", lambda: plain("x", key_ttl=value), "key_ttl=")
            refuses("AM1401", lambda: wait_for("w", Approval, timeout=value), "timeout=")
            refuses("AM1401", lambda: Saga("shop", a, deadline=value), "deadline=")

    def test_wrong_types(self):
        refuses("AM1402", lambda: plain("x", retry=3), "Retry(attempts=4)")
        refuses("AM1402", lambda: plain("x").compensation(retry=3)(true), "compensation(retry=)")
        refuses("AM1402", lambda: plain("x", rejects=(5,)), "rejects=")
        refuses("AM1402", lambda: plain("x", rejects=(KeyboardInterrupt,)), "KeyboardInterrupt")
        for version in (0, True, "1", 1.0):
            refuses("AM1402", lambda version=version: Saga("shop", a, version=version), "version=")

    def test_rejects_reach_the_runtime(self):
        saga = Saga("shop", plain("x", rejects=(KeyError, OSError)), plain("y"))
        assert saga.bindings[1].rejects == (KeyError, OSError)
        assert saga.bindings[2].rejects == ()

    def test_on_unknown_is_one_of_three(self):
        refuses("AM1403", lambda: plain("x", on_unknown="explode"), "explode")
        for value in ("undo", "park", "retry"):
            assert Saga("shop", plain("x", on_unknown=value)).graph.nodes[1].on_unknown == value

    @pytest.mark.parametrize(
        "options",
        [
            {"read_only": True, "pivot": True},
            {"pivot": True, "best_effort": True},
            {"pivot": True, "retriable": True},
            {"retriable": True, "best_effort": True},
            {"best_effort": True, "on_unknown": "park"},
        ],
        ids=str,
    )
    def test_options_that_contradict_each_other(self, options):
        refuses("AM1404", lambda: plain("x", **options), *list(options)[:1])

    def test_a_read_only_step_has_nothing_to_undo_or_to_probe(self):
        refuses("AM1405", lambda: plain("x", read_only=True).compensation(true), "undo")
        refuses("AM1405", lambda: plain("x", read_only=True).probe(true), "find")


class TestStructure:
    def test_nodes_are_in_preorder_and_sequences_only_where_needed(self):
        saga = Saga(
            "shop",
            (a, [b]),
            parallel(c, (d, sleep(1)), [(plain("e"),)]),
            choose(when(true, plain("f"), (plain("g"),)), when(true), otherwise=plain("h")),
            wait_for("w", Approval, timeout=1, on_timeout=(plain("i"), plain("j"))),
        )
        assert shape(saga) == (
            "SEQUENCE",
            "a",
            "b",
            ("PARALLEL", "c", ("SEQUENCE", "d", "sleep"), "e"),
            ("CHOOSE", ("SEQUENCE", "f", "g"), ("SEQUENCE",), ("SEQUENCE", "h")),
            ("WAIT", ("SEQUENCE", "i", "j")),
        )
        for node in saga.graph.nodes:
            assert saga.graph.nodes[node.index] is node
            assert node.parent < node.index
            assert all(saga.graph.nodes[child].position == at for at, child in enumerate(node.children))
            assert all(saga.graph.nodes[child].parent == node.index for child in node.children)
        assert saga.graph.nodes[3].path == "parallel#3"

    def test_follow_ups_come_last_below_roots_of_their_own(self):
        saga = Saga("shop", a, on_completed=[b, c], on_compensated=undone("d"))
        graph = saga.graph
        assert [node.path for node in graph.nodes] == ["sequence#0", "a", "sequence#2", "b", "c", "sequence#5", "d"]
        assert (graph.root, graph.after_completed, graph.after_compensated) == (0, 2, 5)
        assert [node.follow_up for node in graph.nodes] == [False, False, True, True, True, True, True]
        assert not graph.nodes[6].compensation
        assert Saga("shop", a).graph.after_completed == -1

    def test_waits_and_sleeps_carry_what_the_kernel_needs(self):
        graph = Saga("shop", wait_for("go", None, timeout="2s"), sleep("3s"), sleep(lambda: 5)).graph
        assert (graph.nodes[1].signal, graph.policies[1].wait_ms, graph.nodes[1].children) == ("go", 2_000, ())
        assert (graph.nodes[2].computed, graph.policies[2].sleep_ms) == (False, 3_000)
        assert graph.nodes[3].computed

    def test_flags_reach_the_node(self):
        made = undone("x", on_unknown="park")
        made.probe(lambda order: None)
        nodes = Saga(
            "shop", plain("r", read_only=True), made, plain("p", pivot=True), plain("t", retriable=True),
            plain("e", best_effort=True),
        ).graph.nodes  # fmt: skip
        told = [
            {
                name
                for name in ("read_only", "pivot", "retriable", "best_effort", "compensation", "probe")
                if getattr(node, name)
            }
            for node in nodes[1:]
        ]
        assert told == [{"read_only"}, {"compensation", "probe"}, {"pivot"}, {"retriable"}, {"best_effort"}]
        assert nodes[2].on_unknown == "park"

    def test_the_fingerprint_changes_with_the_structure_and_with_nothing_else(self):
        def built(**options: Any) -> Saga[Any, Any]:
            return Saga("shop", plain("x", **options), plain("y"))

        assert built().fingerprint == built(timeout=7, retry=Retry(attempts=9), key_ttl=5).fingerprint
        assert built().fingerprint != built(on_unknown="park").fingerprint
        assert built().fingerprint != Saga("shop", plain("y"), plain("x")).fingerprint
        assert built().fingerprint != Saga("shop", plain("x"), plain("y"), version=2).fingerprint
        assert structure_from(structure_of(built().graph)).nodes == built().graph.nodes

    def test_the_fingerprints_of_sagas_without_newer_nodes_are_those_of_the_first_release(self):
        one = Saga("one", plain("a"))
        many = Saga(
            "many", undone("a"), parallel(plain("b"), (undone("c"), sleep(1))),
            choose(when(true, wait_for("w", int, timeout=1, on_timeout=plain("x")))), plain("p", pivot=True),
            plain("r", retriable=True), on_completed=[plain("t")],
        )  # fmt: skip
        assert one.fingerprint == "6a21c43aac0f838b971fe5f269f53d09"
        assert many.fingerprint == "250c8704e3347db2d7bfaae2c8eb41c5"

    def test_the_structure_of_each_call_and_first_of_is_in_it_and_their_tuning_is_not(self):
        def items(order: Order) -> list[int]: ...

        def inner(*nodes: Any, **options: Any) -> Saga[Any, Any]:
            return Saga("inner", *nodes, **options)

        b, c = plain("b"), plain("c")
        sagas = [
            Saga("shop", b, c),
            Saga("shop", each(items, b, c)),
            Saga("shop", each(items, b), c),
            Saga("shop", first_of(b, c)),
            Saga("shop", first_of(c, b)),
            Saga("shop", first_of((b, c))),
            Saga("shop", first_of(b, c, name="either")),
            Saga("shop", call(inner(b, c))),
            Saga("shop", call(inner(b, c), name="other")),
            Saga("shop", call(inner(b, c, result=b))),
        ]
        assert len({saga.fingerprint for saga in sagas}) == len(sagas)
        same = Saga("shop", each(lambda order: [1, 2], b, c, limit=3, item=int), input=Order)
        assert same.fingerprint == sagas[1].fingerprint
        tuned = inner(b, c, version=2, deadline=5, on_completed=[a])
        assert Saga("shop", call(tuned)).fingerprint == sagas[7].fingerprint
        for saga in sagas:
            stored = graph_from(structure_of(saga.graph), saga.fingerprint)
            assert (stored.nodes, stored.results, stored.sizes) == (
                saga.graph.nodes, saga.graph.results, saga.graph.sizes,
            )  # fmt: skip

    def test_a_saga_without_a_node(self):
        refuses("AM1103", lambda: Saga("shop"), 'saga "shop"')
        refuses("AM1103", lambda: Saga("shop", (), [[]]))
        refuses("AM1103", parallel)
        refuses("AM1103", choose)
        refuses("AM1103", lambda: Saga("shop", parallel(a, ())), "empty")

    def test_what_is_no_node(self):
        refuses("AM1104", lambda: Saga("shop", true), "true", "@step")
        refuses("AM1104", lambda: Saga("shop", "pay"), "'pay'")
        refuses("AM1104", lambda: Saga("shop", when(true, a)), "outside choose")
        refuses("AM1104", lambda: choose(a), "when(predicate")
        refuses("AM1104", lambda: wait_for("w", Approval, timeout=1, on_timeout="give_up"), "turn_back")

    def test_paths_are_unique_follow_ups_and_waits_included(self):
        refuses("AM1105", lambda: Saga("shop", a, plain("a")), '"a"')
        refuses("AM1105", lambda: Saga("shop", a, parallel(b, wait_for("a", Approval))))
        refuses("AM1105", lambda: Saga("shop", a, on_completed=[plain("a")]))
        refuses("AM1106", lambda: Saga("shop", a, choose(when(true, a))), '.named("other")')
        refuses("AM1106", lambda: Saga("shop", a, on_completed=[a]))

    def test_depth_and_size_are_bounded(self):
        itself: list[Any] = [a]
        itself.append(itself)
        refuses("AM1106", lambda: Saga("shop", itself))
        empty: list[Any] = []
        empty.append(empty)
        refuses("AM1107", lambda: Saga("shop", (empty, empty)))
        nested: Any = a
        for _ in range(60):
            nested = parallel(nested)
        refuses("AM1107", lambda: Saga("shop", nested), "deep")
        refuses("AM1107", lambda: Saga("shop", *(a.named(f"s{n}") for n in range(10_000))), "10000")

    def test_a_large_saga_is_built_in_linear_time(self):
        saga = Saga("shop", *(parallel(a.named(f"l{n}"), b.named(f"r{n}")) for n in range(3_000)))
        assert len(saga.graph.nodes) == 9_001

    def test_predicates_and_durations_are_plain_functions(self):
        async def slow(order: Order) -> bool: ...

        refuses("AM1108", lambda: when(slow, a), "slow", "plain `def`")
        refuses("AM1108", lambda: sleep(slow), "slow")
        refuses("AM1108", lambda: when(a, b), "plain function")

    def test_follow_ups_are_steps(self):
        refuses("AM1111", lambda: Saga("shop", a, on_completed=[parallel(b)]), "on_completed")
        refuses("AM1111", lambda: Saga("shop", a, on_compensated="b"), "on_compensated")
        refuses("AM1111", lambda: Saga("shop", a, on_completed=[true]), "@step")
        refuses("AM1306", lambda: Saga("shop", a, on_completed=[plain("p", pivot=True)]), '"p"')

    def test_on_timeout_nodes_need_a_timeout(self):
        refuses("AM1113", lambda: wait_for("w", Approval, on_timeout=a), "timeout=")


class TestTheResult:
    def pays(self, name: str = "pay") -> Step[..., Any, Any]:
        def function(order: Order) -> Payment: ...

        return step(name=name)(function)

    def test_it_is_the_named_step_s(self):
        pay = self.pays()
        saga = Saga("shop", pay, a, result=pay)
        assert saga.graph.result == 1
        assert saga.graph.nodes[1].read
        assert saga.decode_result(b'{"payment_id":"p"}') == Payment("p")
        assert saga.decode_result(b"null") is None

    def test_it_must_stand_on_the_forward_path(self):
        refuses("AM1112", lambda: Saga("shop", a, result=b), "b")
        refuses("AM1112", lambda: Saga("shop", a.named("b"), result=b))
        refuses("AM1112", lambda: Saga("shop", a, on_completed=[b], result=b))
        refuses("AM1112", lambda: Saga("shop", a, result="a"))

    def test_without_it_the_last_node_gives_it(self):
        assert Saga("shop", a, (b, self.pays())).decode_result(b'{"payment_id":"p"}') == Payment("p")
        assert Saga("shop", a, wait_for("go", Approval)).decode_result(b'{"by":"x"}') == Approval("x")
        assert Saga("shop", a, parallel(b, c)).graph.result == -1
        assert Saga("shop", a, sleep(1)).graph.result == -1
        assert not Saga("shop", self.pays()).graph.nodes[1].read

    def test_a_choose_gives_its_branch_s_last_decoded_by_their_common_type(self):
        saga = Saga("shop", a, choose(when(true, b, self.pays()), otherwise=self.pays("other")))
        assert saga.graph.result == 2
        assert saga.decode_result(b'{"payment_id":"p"}') == Payment("p")

    def test_a_choose_of_several_types_gives_plain_json(self):
        saga = Saga("shop", choose(when(true, self.pays()), otherwise=wait_for("go", Approval)))
        assert saga.decode_result(b'{"by":"x"}') == {"by": "x"}


class TestPayloads:
    saga = Saga("shop", TestTheResult().pays(), wait_for("go", Approval), plain("none"), plain("flag"))

    def test_input_result_and_signal_go_through_their_types(self):
        saga = self.saga
        assert saga.decode_input(saga.encode_input(Order("o"))) == Order("o")
        assert bytes(saga.encode_result(1, Payment("p"))) == b'{"payment_id":"p"}'
        assert bytes(saga.encode_signal("go", Approval("x"))) == b'{"by":"x"}'
        assert saga.decode_payload(2, b'{"by":"x"}') == Approval("x")
        assert saga.canonical_input(b'{ "order_id":"o", "old":1}') == saga.canonical_input(b'{"order_id":"o"}')

    def test_what_does_not_fit_names_saga_and_step(self):
        saga = self.saga
        for wrong in (
            lambda: saga.encode_input({"order_id": "o"}),
            lambda: saga.encode_result(1, None),
            lambda: saga.encode_probed(1, True),
            lambda: saga.encode_signal("go", None),
        ):
            with pytest.raises(PayloadError, match='AM2107.*saga "shop", (input|result of "pay"|signal "go")'):
                wrong()
        with pytest.raises(PayloadError, match="AM2108"):
            saga.decode_input(b"5")

    def test_an_unknown_signal_names_the_known_ones(self):
        with pytest.raises(UsageError, match="AM2004.*its signals: go"):
            self.saga.encode_signal("stop", None)

    def test_a_node_without_a_value_says_so(self):
        with pytest.raises(PayloadError, match="AM2101.*sequence#0"):
            self.saga.encode_result(0, 1)

    def test_a_probe_says_not_seen_by_none_or_false_and_seen_by_the_result_or_true(self):
        saga = self.saga
        assert saga.encode_probed(1, None) is None
        assert saga.encode_probed(1, False) is None
        assert bytes(saga.encode_probed(1, Payment("p"))) == b'{"payment_id":"p"}'
        assert bytes(saga.encode_probed(3, True)) == b"null"
        assert saga.encode_probed(3, False) is None
        with pytest.raises(PayloadError, match="AM2107"):
            saga.encode_probed(3, "yes")


class TestCodes:
    sources = "\n".join(
        path.read_text() for path in Path(amends.core.__file__).parent.glob("*.py") if path.stem != "codes"
    )
    table = set(re.findall(r"^    (AM\d{4})  ", codes.__doc__, re.MULTILINE))

    def test_every_code_that_is_raised_here_is_in_the_table(self):
        raised = set(re.findall(r'code="(AM(?:1|21)\d+)"', self.sources))
        assert raised <= self.table

    def test_every_code_of_the_table_is_raised(self):
        everywhere = "\n".join(
            path.read_text() for path in Path(amends.__file__).parent.rglob("*.py") if path.stem != "codes"
        )
        raised = set(re.findall(r'"(AM\d{4})"', everywhere))
        assert self.table <= raised
