"""What differs between two structures: each kind of difference by itself, and what is none."""

from typing import Any

import msgspec
import pytest

from amends import Saga, call, choose, each, parallel, sleep, step, wait_for, when
from amends.core.graph import graph_from, structure_of
from amends.lint.differing import Change, changes, tuning


@step
async def pack(order: str) -> str:
    return order


@step
async def weigh(order: str) -> str:
    return order


@step
async def label(order: str) -> str:
    return order


@step
async def ship(order: str) -> str:
    return order


@step
async def told(order: str) -> None: ...


def heavy(order: str) -> bool:
    return True


def saga(*nodes: Any, version: int = 1, **rest: Any) -> Saga[Any, Any]:
    return Saga("shipping", *nodes, input=str, version=version, **rest)


def between(old: Saga[Any, Any], new: Saga[Any, Any]) -> list[tuple[str, str, str]]:
    """As `amends diff` does it: the old one from its stored form."""
    stored = graph_from(structure_of(old.graph), old.fingerprint)
    return [(each.kind, each.path, each.what) for each in changes(stored, new.graph)]


def flagged(**options: Any) -> Saga[Any, Any]:
    @step(**options)
    async def act(order: str) -> str:
        return order

    return saga(act)


def test_the_same_nodes_of_another_version_differ_in_nothing():
    assert between(saga(pack, parallel(weigh, label)), saga(pack, parallel(weigh, label), version=2)) == []


def test_a_step_that_came_stands_with_the_one_before_it():
    assert between(saga(pack, told), saga(pack, weigh, told)) == [("added", "weigh", "after pack")]
    assert between(saga(pack, told), saga(weigh, pack, told)) == [("added", "weigh", "first")]


def test_a_step_that_went_stands_where_it_was():
    old = saga(pack, parallel(weigh, label), told)
    assert between(old, saga(pack, parallel(label, ship.named("weigh_2")), told)) == [
        ("removed", "weigh", "it was in parallel, after pack"),
        ("added", "weigh_2", "in parallel, after label"),
    ]


def test_of_steps_in_another_order_the_fewest_are_moved():
    found = between(saga(pack, weigh, label, told), saga(label, pack, weigh, told))
    assert found == [("moved", "label", "first; it was after weigh")]


def test_a_step_that_stands_in_another_block_is_moved():
    old = saga(choose(when(heavy, weigh), otherwise=label), told)
    new = saga(choose(when(heavy, label), otherwise=weigh), told)
    assert {path for kind, path, _ in between(old, new) if kind == "moved"} == {"weigh", "label"}
    assert between(saga(pack, weigh, told), saga(parallel(pack, weigh), told)) == [
        ("moved", "pack", "in parallel, first; it was first"),
        ("moved", "weigh", "in parallel, after pack; it was after pack"),
    ]


def test_a_block_that_came_before_moves_nothing_of_another_block():
    old = saga(parallel(weigh, label), told)
    new = saga(parallel(pack, ship), parallel(weigh, label), told)
    assert [kind for kind, _, _ in between(old, new)] == ["added", "added"]


def test_a_follow_up_is_not_where_the_step_was():
    (moved,) = between(saga(pack, told), saga(pack, on_completed=[told]))[:1]
    assert moved == ("moved", "told", "in on_completed, after pack; it was after pack")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ({}, {"pivot": True}, "is the pivot now"),
        ({"pivot": True}, {}, "is no pivot any more"),
        ({"read_only": True}, {}, "is not read_only any more"),
        ({}, {"best_effort": True}, "is best_effort now"),
        ({}, {"on_unknown": "park"}, 'on_unknown="park"; it was "undo"'),
    ],
)
def test_a_flag_of_a_step_is_named(old: dict[str, Any], new: dict[str, Any], said: str):
    assert ("changed", "act", said) in between(flagged(**old), flagged(**new))


def test_a_compensation_that_came_and_a_probe_that_went_are_named():
    @step
    async def act(order: str) -> str:
        return order

    @act.probe
    async def find(order: str) -> str:
        return order

    probed = saga(act, told)

    @step(name="act")
    async def again(order: str) -> str:
        return order

    @again.compensation
    async def undo(order: str, act: str) -> None: ...

    assert between(probed, saga(again, told))[:3] == [
        ("changed", "act", "has a compensation now"),
        ("changed", "act", "has a compensation that needs its result now"),
        ("changed", "act", "has no probe any more"),
    ]


def test_a_name_that_belongs_to_another_kind_of_node_is_said_so():
    waiting = saga(pack, wait_for("weigh", str), told)
    assert between(waiting, saga(pack, weigh, told)) == [("changed", "weigh", "is a step now; it was a wait")]


def test_sleeps_have_no_name_and_are_counted():
    assert between(saga(pack, sleep("1h"), told), saga(pack, sleep("1h"), sleep("2h"), told)) == [
        ("added", "sleep 2", "after sleep 1")
    ]
    assert between(saga(pack, sleep("1h"), told), saga(pack, sleep("3h"), told)) == []


def test_the_result_is_named_when_it_is_that_of_another_node():
    old, new = saga(pack, weigh, result=pack), saga(pack, weigh, result=weigh)
    assert ("changed", "", "its result is that of weigh; it was that of pack") in between(old, new)


def test_blocks_that_nest_in_another_way_are_told_though_no_step_moved():
    one = saga(parallel(pack, weigh), parallel(label, ship), told)
    other = saga(parallel(pack, weigh, label, ship), told)
    (found,) = between(one, other)
    assert found[:2] == ("changed", "") and "nest in another way" in found[2]


def test_the_nodes_of_a_call_bear_its_name():
    inner = Saga("inner", label, input=str)
    assert between(saga(pack, told), saga(pack, call(inner, name="sub"), told)) == [
        ("added", "sub", "after pack"),
        ("added", "sub/label", "in call sub, after sub"),
    ]
    longer = Saga("inner", label, ship, input=str)
    assert between(saga(pack, call(inner, name="sub")), saga(pack, call(longer, name="sub"))) == [
        ("added", "sub/ship", "in call sub, after sub/label"),
        ("changed", "sub", "its result is that of sub/ship; it was that of sub/label"),
    ]


def test_whatever_changes_the_fingerprint_is_told():
    """Flip each field of each node of a graph with everything in it; none may go unsaid."""

    def parcels(order: str) -> list[str]:
        return [order]

    @step
    async def hand(item: str) -> str:
        return item

    whole = saga(pack, choose(when(heavy, weigh), otherwise=label), each(parcels, hand), wait_for("go", str), told)
    silent = []
    for node in whole.graph.nodes:
        for field in ("pivot", "retriable", "read_only", "best_effort", "compensation", "needs_result", "probe",
                      "computed", "read"):  # fmt: skip
            flipped = msgspec.structs.replace(node, **{field: not getattr(node, field)})
            nodes = (*whole.graph.nodes[: node.index], flipped, *whole.graph.nodes[node.index + 1 :])
            if not changes(whole.graph, msgspec.structs.replace(whole.graph, nodes=nodes)):
                silent.append((node.path, field))
    assert silent == []
    for other in ({"root": 1}, {"after_completed": 1}, {"after_compensated": 1}, {"result": 1}, {"atomic": (1,)}):
        assert changes(whole.graph, msgspec.structs.replace(whole.graph, **other)), other


def test_what_lapses_is_tuning_and_no_change():
    old, new = flagged(expires="1h"), flagged()
    stored = graph_from(structure_of(old.graph), old.fingerprint)
    assert old.fingerprint == new.fingerprint and between(old, new) == []
    assert tuning(stored, new.graph) == (Change("changed", "act", "expires never; it was after 1h"),)
    assert tuning(stored, flagged(expires="1h", timeout="9s").graph) == ()
