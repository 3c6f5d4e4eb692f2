"""Which scenarios there are: from what a run came by, those that turn off at one place more.

    one fault     every way of the table, at every call, wait and sleep that a run without faults came by
    two faults    behind each of these, every way at every place that comes after

Rules of this file: pure, and in a fixed order. What makes no difference to the author's functions is left out by the
columns of the table, never by chance. What a definition could come by at all is counted apart, so that nobody takes
"all of what was seen" for "all".
"""

from __future__ import annotations

from collections.abc import Iterator

from ...core.graph import Graph, Kind, Node
from ...core.places import split
from .lab import Place, Trial
from .scenario import Fault, Scenario
from .ways import ACTION, COMPENSATION, PROBE, SLEEP, WAIT, WAYS, Way

DOUBLE_CALLS_MAX = 24  # of one call of a function: of those beyond, none goes wrong
CALLS_MAX = 3  # of one op and path: of those beyond, none goes wrong
_ONCE = frozenset({"cancelled", "deadline", "deadline-before", "other", "signal-early"})  # in one run

_PLAIN = frozenset({"refused", "cancelled", "no-signal"})  # the saga turns back, and nothing is unknown

Cell = tuple[str, str, str]  # op, path, way with its number: a point of the coverage


class Plan:
    """What follows from what, for one definition.

    Parameters:
        graph: its structure.
        beside: whether another saga may run beside one.
    """

    def __init__(self, graph: Graph, *, beside: bool = True) -> None:
        self._graph = graph
        self._beside = beside
        self._known: dict[tuple[int, str, int], list[tuple[str, int, Cell]]] = {}
        self.possible = frozenset(self._possible())

    def following(self, trial: Trial) -> Iterator[Scenario]:
        """The scenarios with one fault more than a trial's; of the first, the plainest before all others."""
        faults = [fault for fault, _ in self.turnings(trial) if not trial.scenario.faults or fault.row.last]
        if not trial.scenario.faults:
            faults.sort(key=lambda fault: fault.way not in _PLAIN)
        yield from map(trial.scenario.then, faults)

    def turnings(self, trial: Trial) -> Iterator[tuple[Fault, Cell]]:
        """The faults that may come behind those of a trial, and the point of the coverage that each is."""
        faults = trial.scenario.faults
        if faults and not faults[-1].row.goes_on:
            return
        used = {fault.way for fault in faults} & _ONCE
        for place in _behind(trial):
            for way, at, cell in self._ways_at(place):
                if way not in used:
                    yield Fault(place.op, place.path, place.call, way, at), cell

    def seen(self, trial: Trial) -> set[Cell]:
        """What may go wrong at the places that a trial came by, calls of doubles included."""
        places = [place for place in trial.places if place.free and place.call <= CALLS_MAX]
        return {cell for place in places for _, _, cell in self._ways_at(place)}

    def _ways_at(self, place: Place) -> list[tuple[str, int, Cell]]:
        """The ways that a place can go, each with its number and its point."""
        doubles = min(place.doubles, DOUBLE_CALLS_MAX)
        key = (place.node, place.op, doubles)
        if key not in self._known:
            node = self._graph.nodes[place.node]
            self._known[key] = [
                (way.name, at, cell_of(Fault(place.op, node.path, 1, way.name, at)))
                for way in _ways(self._graph, node, place.op)
                if self._beside or way.name != "other"
                for at in _numbers(way, doubles)
            ]
        return self._known[key]

    def _possible(self) -> Iterator[Cell]:
        """What may go wrong whatever the functions do: the calls of doubles are counted when they are seen."""
        for node in self._graph.nodes:
            for op in _ops(node):
                for way in _ways(self._graph, node, op):
                    if not way.within:
                        yield op, node.path, way.name


def cell_of(fault: Fault) -> Cell:
    """The point of the coverage that a fault is: items of an each are one, and calls of one function."""
    at = f"@{fault.at}" if fault.row.within else ""
    return fault.op, split(fault.path)[0], f"{fault.way}{at}"


def _behind(trial: Trial) -> Iterator[Place]:
    """The places of a trial that come after its last fault, and at which something may go wrong."""
    faults = trial.scenario.faults
    last = (faults[-1].op, faults[-1].path, faults[-1].call) if faults else None
    behind = last is None
    for place in trial.places:
        if behind and place.free and place.call <= CALLS_MAX:
            yield place
        behind = behind or (place.op, place.path, place.call) == last


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


def _ops(node: Node) -> Iterator[str]:
    if node.kind is Kind.STEP:
        yield ACTION
        if node.compensation:
            yield COMPENSATION
        if node.probe:
            yield PROBE
    elif node.kind in (Kind.WAIT, Kind.SLEEP):
        yield WAIT if node.kind is Kind.WAIT else SLEEP
