"""Which scenarios there are: from what a run came by, those that turn off at one place more.

    one fault     every way of the table, at every call, wait and sleep that a run without faults came by
    two faults    behind each of these, every way at every place that comes after

Rules of this file: pure, and in a fixed order. What makes no difference to the author's functions is left out by the
columns of the table, never by chance. What a definition could come by at all is counted apart, so that nobody takes
"all of what was seen" for "all".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...core.definition import Saga
from ...core.graph import Graph, Kind, Node
from .lab import Place, Trial
from .scenario import Fault, Scenario
from .ways import ACTION, COMPENSATION, PROBE, SLEEP, WAIT, WAYS, Way

DOUBLE_CALLS_MAX = 24  # of one call of a function: of those beyond, none goes wrong
CALLS_MAX = 3  # of one op and path: of those beyond, none goes wrong
_ONCE = ("cancelled", "deadline", "deadline-before", "other", "signal-early")

Cell = tuple[str, str, str]  # op, path, way with its number: a point of the coverage


def following(saga: Saga[Any, Any], trial: Trial) -> Iterator[Scenario]:
    """The scenarios with one fault more than a trial's."""
    scenario = trial.scenario
    begin = 0
    if scenario.faults:
        last = scenario.faults[-1]
        if not last.row.goes_on:
            return
        begin = 1 + next(
            (
                number
                for number, each in enumerate(trial.places)
                if (each.op, each.path, each.call) == (last.op, last.path, last.call)
            ),
            len(trial.places),
        )
    used = {fault.way for fault in scenario.faults}
    for place in trial.places[begin:]:
        if place.free and place.call <= CALLS_MAX:
            for fault in _faults(saga.graph, place):
                if (not used or fault.row.last) and not (fault.way in _ONCE and fault.way in used):
                    yield scenario.then(fault)


def _faults(graph: Graph, place: Place) -> Iterator[Fault]:
    node = graph.nodes[place.node]
    for way in _ways(graph, node, place.op):
        for at in _numbers(way, min(place.doubles, DOUBLE_CALLS_MAX)):
            yield Fault(place.op, place.path, place.call, way.name, at)


def _numbers(way: Way, doubles: int) -> range:
    if not way.within:
        return range(1)
    if way.name == "other":  # before the first call of a double is before the function
        return range(1, doubles + 1) if doubles else range(1)
    if way.name == "call-crash":  # after the last one is after the function
        return range(1, doubles)
    return range(1, doubles + 1)


def _ways(graph: Graph, node: Node, op: str) -> Iterator[Way]:
    """The ways that a call, wait or sleep of this node can go."""
    for (of, name), way in WAYS.items():
        if of != op:
            continue
        if name in ("deadline", "deadline-before") and (not graph.deadline_ms or node.follow_up or node.pivot):
            continue
        if name == "cancelled" and node.follow_up:
            continue
        if name == "no-signal" and not graph.policies[node.index].wait_ms:
            continue
        if name == "slow" and not _beside_others(graph, node):
            continue
        yield way


def _beside_others(graph: Graph, node: Node) -> bool:
    while node.parent >= 0:
        node = graph.nodes[node.parent]
        if node.kind in (Kind.PARALLEL, Kind.EACH):
            return True
    return False


# --- what is counted -----------------------------------------------------------------------------------


def possible(graph: Graph) -> set[Cell]:
    """What may go wrong in a definition, whatever its functions do: the calls of doubles are counted when seen."""
    return {
        (op, node.path, way.name)
        for node in graph.nodes
        for op in _ops(node)
        for way in _ways(graph, node, op)
        if not way.within
    }


def seen(graph: Graph, trial: Trial) -> set[Cell]:
    """What may go wrong at the places that a trial came by, calls of doubles included."""
    return {
        cell(graph, place.node, fault)
        for place in trial.places
        if place.free and place.call <= CALLS_MAX
        for fault in _faults(graph, place)
    }


def cell(graph: Graph, node: int, fault: Fault) -> Cell:
    """The point of the coverage that a fault is: items of an each are one."""
    at = f"@{fault.at}" if fault.row.within else ""
    return fault.op, graph.nodes[node].path, f"{fault.way}{at}"


def _ops(node: Node) -> Iterator[str]:
    if node.kind is Kind.STEP:
        yield ACTION
        if node.compensation:
            yield COMPENSATION
        if node.probe:
            yield PROBE
    elif node.kind in (Kind.WAIT, Kind.SLEEP):
        yield WAIT if node.kind is Kind.WAIT else SLEEP
