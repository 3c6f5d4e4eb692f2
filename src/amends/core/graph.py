"""The compiled structure of a saga: a tree of nodes with integer indices.

The tree is series-parallel, so it *is* the partial order: of two leaves, the one in an earlier
child of their common SEQUENCE comes first; under a PARALLEL neither does. Going forward the kernel
walks it down and to the right; turning back it walks it from the right, and that is exactly the
reverse partial order.

Rules of this file:
  * `Node` is structure only: what the fingerprint covers and what is stored with the saga.
  * `Policy` is tuning only: timeouts, retries, key lifetimes. Changing one never changes the
    fingerprint, so it reaches running sagas.
  * no functions, no types, no wiring: `decide` and `fold` see nothing but this.

Events and state speak of *slots* (`places.py`): for a node outside `each` the slot is the node's index.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import IntEnum

import msgspec
from msgspec import Struct

from ..policies.retry import Retry


class Kind(IntEnum):
    """What a node does."""

    STEP = 0
    SEQUENCE = 1
    PARALLEL = 2
    CHOOSE = 3
    WAIT = 4
    SLEEP = 5
    EACH = 6
    FIRST_OF = 7
    CALL = 8


class Node(Struct, frozen=True, array_like=True):
    """One node's structure.

    `path` is the step's or wait's name, with a scope's prefix; containers have a made one
    (`"parallel#4"`). `parent` is -1 for a root. `position` is the place among the parent's children.
    A CHOOSE has one SEQUENCE per `when`, and one for `otherwise`, always last.
    A WAIT with `on_timeout` nodes has one SEQUENCE child; without one its timeout turns back.
    An EACH has one child, the body that each item gets a copy of; a CALL one SEQUENCE, the called
    saga's; a FIRST_OF one child per alternative.
    """

    index: int
    kind: Kind
    path: str
    parent: int
    position: int
    children: tuple[int, ...] = ()
    pivot: bool = False
    retriable: bool = False
    read_only: bool = False
    best_effort: bool = False
    on_unknown: str = "undo"  # "undo" | "park" | "retry"
    compensation: bool = False
    needs_result: bool = False  # the compensation cannot take None for the step's own result
    probe: bool = False
    signal: str = ""  # WAIT: the signal's name
    computed: bool = False  # SLEEP: the duration is computed by a function
    follow_up: bool = False  # a node of on_completed or on_compensated
    read: bool = False  # an action, compensation, predicate or `result=` reads this node's result


class Policy(Struct, frozen=True):
    """One node's tuning; lengths in milliseconds, 0 meaning none."""

    timeout_ms: int = 30_000
    retry: Retry = Retry()
    compensation_timeout_ms: int = 30_000
    compensation_retry: Retry = Retry(attempts=20, cap="5m")
    probe_timeout_ms: int = 30_000
    probe_retry: Retry = Retry()
    key_ttl_ms: int = 0
    expires_ms: int = 0  # its effect lapses by itself; nothing is decided by it
    wait_ms: int = 0  # WAIT: its timeout
    sleep_ms: int = 0  # SLEEP: its constant length
    limit: int = 8  # EACH: items at a time


ENDS = -2  # in `Graph.following`: the saga completes with this step


class Graph(Struct, frozen=True):
    """A definition as the kernel sees it.

    `root` is the forward SEQUENCE; `after_completed` and `after_compensated` are the SEQUENCEs of
    the follow-up steps, -1 when there are none. `result` is the index of the node whose value is
    the saga's result, -1 when the result is None; for a container it is resolved when the saga
    ends (`last value of the taken branch`). `results` says the same of each CALL;
    `atomic` are the steps that commit with their own frame.

    `paths`, `sizes` (how many nodes a subtree has) and `first_of` (the nearest FIRST_OF around a
    node, -1 for none; empty when the graph has none) follow from the nodes: `shaped` adds them. So do
    the ways of straight.py: `entry` (the sequences down to the first step, and that step) and `following` (of a
    step: the step next to it, ENDS when the saga completes with it, -1 for anything else).
    """

    name: str
    version: int
    nodes: tuple[Node, ...]
    policies: tuple[Policy, ...]
    root: int
    after_completed: int = -1
    after_compensated: int = -1
    result: int = -1
    deadline_ms: int = 0
    fingerprint: str = ""
    results: dict[int, int] = {}
    atomic: tuple[int, ...] = ()
    paths: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    first_of: tuple[int, ...] = ()
    entry: tuple[int, ...] = ()
    following: tuple[int, ...] = ()

    def find(self, path: str) -> int:
        """The index of the node at `path`; -1 when there is none."""
        for node in self.nodes:
            if node.path == path:
                return node.index
        return -1


def shaped(graph: Graph) -> Graph:
    """The graph with all that follows from its nodes: `paths`, `sizes` and `first_of`."""
    nodes = graph.nodes
    around = [-1] * len(nodes)
    for node in nodes:
        if node.parent >= 0:
            parent = nodes[node.parent]
            around[node.index] = parent.index if parent.kind is Kind.FIRST_OF else around[parent.index]
    first_of = tuple(around) if any(node.kind is Kind.FIRST_OF for node in nodes) else ()
    paths = tuple(node.path for node in nodes)
    graph = msgspec.structs.replace(graph, paths=paths, sizes=sizes_of(nodes), first_of=first_of)
    if first_of:
        return graph
    return msgspec.structs.replace(graph, entry=_entry(graph), following=tuple(_after(graph, node) for node in nodes))


def _entry(graph: Graph) -> tuple[int, ...]:
    found, index = [graph.root], graph.root
    while graph.nodes[index].kind is Kind.SEQUENCE and graph.nodes[index].children:
        index = graph.nodes[index].children[0]
        found.append(index)
    return tuple(found) if graph.nodes[index].kind is Kind.STEP else ()


def _after(graph: Graph, node: Node) -> int:
    if node.kind is not Kind.STEP or node.parent < 0 or graph.nodes[node.parent].kind is not Kind.SEQUENCE:
        return -1
    beside = graph.nodes[node.parent].children
    if node.position + 1 < len(beside):
        after = beside[node.position + 1]
        return after if graph.nodes[after].kind is Kind.STEP else -1
    return ENDS if node.parent == graph.root and graph.after_completed < 0 else -1


def sizes_of(nodes: Sequence[Node]) -> tuple[int, ...]:
    """How many nodes the subtree of each has."""
    sizes = [1] * len(nodes)
    for node in reversed(nodes):
        if node.parent >= 0:
            sizes[node.parent] += sizes[node.index]
    return tuple(sizes)


class Structure(Struct, frozen=True, omit_defaults=True):
    """What is stored of a definition, and what its fingerprint covers.

    A field that comes later has a default and is left out when it has it, so that the fingerprints of
    sagas without what it speaks of stay. `expires` is tuning, (node, milliseconds) of those that have it: who
    looks without the definition should see it, so it is stored; a participant may change it under running
    sagas, so the fingerprint leaves it out.
    """

    name: str
    version: int
    nodes: tuple[Node, ...]
    root: int
    after_completed: int
    after_compensated: int
    result: int
    results: tuple[tuple[int, int], ...] = ()
    atomic: tuple[int, ...] = ()
    expires: tuple[tuple[int, int], ...] = ()


_encoder = msgspec.json.Encoder(order="deterministic")


def structure_of(graph: Graph) -> bytes:
    """The stored form of a graph's structure, JSON."""
    lapsing = tuple((at, policy.expires_ms) for at, policy in enumerate(graph.policies) if policy.expires_ms)
    return _encoded(graph, lapsing)


def _encoded(graph: Graph, expires: tuple[tuple[int, int], ...] = ()) -> bytes:
    return _encoder.encode(
        Structure(
            graph.name,
            graph.version,
            graph.nodes,
            graph.root,
            graph.after_completed,
            graph.after_compensated,
            graph.result,
            tuple(sorted(graph.results.items())),
            atomic=graph.atomic,
            expires=expires,
        )
    )


def fingerprint_of(graph: Graph) -> str:
    """32 hexadecimal digits that change exactly when the structure does."""
    return hashlib.blake2b(_encoded(graph), digest_size=16).hexdigest()


def structure_from(stored: bytes) -> Structure:
    """The structure that `structure_of` stored.

    Raises:
        ValueError: the stored form is damaged.
    """
    return msgspec.json.decode(stored, type=Structure)


def graph_from(stored: bytes, fingerprint: str) -> Graph:
    """The graph of a stored structure, untuned: enough to fold and to look, not to decide.

    Raises:
        ValueError: the stored form is damaged.
    """
    it = structure_from(stored)
    expires = dict(it.expires)
    policies = tuple(Policy(expires_ms=expires.get(node.index, 0)) for node in it.nodes)
    graph = Graph(
        it.name, it.version, it.nodes, policies, it.root, it.after_completed, it.after_compensated, it.result,
        0, fingerprint, dict(it.results), it.atomic,
    )  # fmt: skip
    return shaped(graph)
