"""The sagas that the enumerator explores, by name, each with the moves that matter for it.

Those here are made of steps, branches, choices, waits, sleeps and follow-ups; `family_of_nodes.py` has the others.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from amends.core.graph import Graph
from tests.core.family_of_nodes import nodes
from tests.core.graphs import Spec, choose, graph, parallel, sleep, step, wait
from tests.core.situation import Moves

KINDS: dict[str, dict[str, object]] = {
    "plain": {},
    "uncompensated": {"compensation": False},
    "read_only": {"read_only": True},
    "best_effort": {"best_effort": True, "compensation": False},
    "best_effort_undone": {"best_effort": True},
    "best_effort_probed": {"best_effort": True, "probe": True, "compensation": False},
    "probed": {"probe": True},
    "park": {"on_unknown": "park"},
    "park_probed": {"on_unknown": "park", "probe": True},
    "retry": {"on_unknown": "retry"},
    "retry_probed": {"on_unknown": "retry", "probe": True},
    "needs_result": {"needs_result": True},
    "key_ttl": {"key_ttl": True},
    "key_ttl_probed": {"key_ttl": True, "probe": True},
    "best_effort_key_ttl": {"key_ttl": True, "best_effort": True},
    "key_ttl_park": {"key_ttl": True, "on_unknown": "park"},
}
HEAVY = {("probed", "probed"), ("best_effort_undone", "probed"), ("best_effort_undone", "park")}
PIVOTS: dict[str, dict[str, object]] = {
    "pivot": {},
    "pivot_probed": {"probe": True},
    "pivot_key_ttl": {"key_ttl": True},
    "pivot_key_ttl_probed": {"key_ttl": True, "probe": True},
}
AFTER: dict[str, dict[str, object]] = {
    "retriable": {"retriable": True},
    "retriable_probed": {"retriable": True, "probe": True},
    "retriable_read": {"retriable": True, "read": True},
    "retriable_key_ttl": {"retriable": True, "key_ttl": True},
    "read_only": {"read_only": True},
    "best_effort": {"best_effort": True, "compensation": False},
}


def _pivot(kind: str = "pivot") -> Spec:
    return step("p", pivot=True, **PIVOTS[kind])  # type: ignore[arg-type]


def _of(name: str, table: dict[str, dict[str, object]], kind: str) -> Spec:
    return step(name, **table[kind])  # type: ignore[arg-type]


def _ship(name: str = "s") -> Spec:
    return step(name, retriable=True)


def family() -> dict[str, tuple[Graph, Moves]]:
    """Every saga of the default run; some 270."""
    sagas: dict[str, tuple[Graph, Moves]] = {}

    def add(name: str, saga: Graph, **moves: object) -> None:
        sagas[name] = (saga, Moves(**moves))  # type: ignore[arg-type]

    for kind in KINDS:
        ttl = "key_ttl" in kind
        add(f"{kind}", graph(_of("a", KINDS, kind), deadline=True), late=True, poison=True, downtime=ttl)
        add(
            f"{kind}, paused",
            graph(_of("a", KINDS, kind), deadline=True),
            pause=True,
            drain=True,
            poison=ttl,
            downtime=ttl,
        )
        add(f"{kind}, plain", graph(_of("a", KINDS, kind), step("b")), late=True, verbs=False)
        add(f"plain, {kind}", graph(step("a"), _of("b", KINDS, kind), deadline=True), downtime=ttl, verbs=not ttl)
    for kind in PIVOTS:
        add(f"{kind}", graph(_pivot(kind), deadline=True), late=True, pause=True, poison=True, downtime=True)
        add(f"plain, {kind}, retriable", graph(step("a"), _pivot(kind), _ship(), deadline=True), downtime=True)
    for kind in AFTER:
        add(
            f"pivot, {kind}",
            graph(_pivot(), _of("s", AFTER, kind), deadline=True),
            late=True,
            poison=True,
            downtime=True,
        )
        add(f"pivot, {kind}, retriable", graph(_pivot(), _of("s", AFTER, kind), _ship("t"), deadline=True))
    add("plain, paused, late", graph(step("a")), pause=True, late=True, verbs=False)
    return sagas | _control() | _parallels() | _follow_ups() | _four() | nodes()


def full() -> dict[str, tuple[Graph, Moves]]:
    """The same sagas with every verb, and what is late, everywhere; it takes the better part of an hour."""
    return {name: (saga, replace(moves, verbs=True, late=True)) for name, (saga, moves) in family().items()}


def _control() -> dict[str, tuple[Graph, Moves]]:
    """Waits, sleeps and branches."""
    a, b = step("a"), step("b")
    timed = wait("w", timeout=True)
    nodes = wait("w", on_timeout=[step("c")])
    empty = wait("w", on_timeout=[])
    return {
        "wait": (graph(a, wait("w"), b, deadline=True), Moves(pause=True, verbs=False)),
        "wait, timeout turns back": (graph(a, timed, b, deadline=True), Moves(pause=True, drain=True, verbs=False)),
        "wait, timeout with nodes": (graph(a, nodes, b, deadline=True), Moves(verbs=False)),
        "wait, timeout with nothing": (graph(a, empty, b), Moves()),
        "two waits of one signal": (graph(wait("v", signal="x"), a, wait("w", signal="x")), Moves(drain=True)),
        "two waits of one signal at once": (
            graph(parallel(wait("v", signal="x"), [a, wait("w", signal="x", timeout=True)])),
            Moves(drain=True, pause=True),
        ),
        "sleep": (graph(a, sleep(), b, deadline=True), Moves(pause=True, downtime=True, verbs=False)),
        "computed sleep": (graph(a, sleep(computed=True), deadline=True), Moves(poison=True, pause=True)),
        "choose": (graph(a, choose([b], []), step("c"), deadline=True), Moves(poison=True, verbs=False)),
        "choose, by hand": (graph(a, choose([b], []), deadline=True), Moves(poison=True)),
        "choose, both": (graph(a, choose([b, step("c")], [step("d")]), deadline=True), Moves(verbs=False)),
        "choose of pivots": (
            graph(a, choose([_pivot(), _ship()], [step("q", pivot=True), _ship("t")], []), deadline=True), Moves(),
        ),
        "pivot in one branch only": (graph(choose([_pivot(), _ship()], [a]), _ship("t"), deadline=True), Moves()),
        "pivot, wait with nodes": (
            graph(_pivot(), wait("w", on_timeout=[_ship()]), _ship("t"), deadline=True), Moves(),
        ),
        "pivot, wait": (graph(_pivot(), wait("w"), _ship("t"), deadline=True), Moves(poison=True)),
        "pivot, sleep": (graph(_pivot(), sleep(computed=True), _ship(), deadline=True), Moves(poison=True, pause=True)),
        "pivot, choose": (graph(_pivot(), choose([_ship()], [_ship("t")], []), deadline=True), Moves(poison=True)),
    }  # fmt: skip


def _parallels() -> dict[str, tuple[Graph, Moves]]:
    """Two branches side by side."""
    found: dict[str, tuple[Graph, Moves]] = {}
    pairs = ["plain", "uncompensated", "probed", "park", "best_effort_undone", "read_only"]
    for one, other in product(pairs, pairs):
        if one <= other and (one, other) not in HEAVY:
            both = parallel(_of("a", KINDS, one), _of("b", KINDS, other))
            small = (one, other) in {("plain", "uncompensated"), ("uncompensated", "uncompensated"), ("plain", "plain")}
            found[f"{one} || {other}"] = (graph(both, deadline=True), Moves(verbs=small))
    a, b, c = step("a"), step("b"), step("c")
    park = step("b", on_unknown="park")
    found |= {
        "plain, plain || plain": (graph(a, parallel(b, c)), Moves(verbs=False)),
        "plain || plain, plain": (graph(parallel(a, [b, c])), Moves(verbs=False)),
        "plain || wait": (graph(parallel(a, wait("w", timeout=True)), c), Moves(downtime=True, verbs=False)),
        "park || wait with nodes": (graph(parallel(park, wait("w", on_timeout=[c]))), Moves()),
        "park || sleep": (graph(parallel(park, [sleep(), c]), deadline=True), Moves()),
        "plain || choose": (graph(parallel(a, choose([b], []))), Moves(poison=True, verbs=False)),
        "plain || read with late answers": (
            graph(parallel(a, step("b", read_only=True))), Moves(late=True, cancel=False),
        ),
        "plain || plain with pause": (graph(parallel(a, b)), Moves(pause=True, verbs=False)),
        "pivot, retriable || retriable": (graph(_pivot(), parallel(_ship(), _ship("t")), deadline=True), Moves()),
        "pivot, retriable || wait": (graph(_pivot(), parallel(_ship(), wait("w")), deadline=True), Moves(pause=True)),
        "pivot, retriable || best effort": (
            graph(_pivot(), parallel(_ship(), step("m", best_effort=True, compensation=False)), deadline=True), Moves(),
        ),
    }  # fmt: skip
    return found


def _follow_ups() -> dict[str, tuple[Graph, Moves]]:
    mail = step("mail", compensation=False)
    note = step("note", compensation=False, probe=True)
    kind = step("kind", best_effort=True, compensation=False)
    return {
        "follow-ups": (
            graph(step("a"), completed=[mail, kind], compensated=[note], deadline=True),
            Moves(late=True, poison=True),
        ),
        "follow-ups after a pivot": (
            graph(_pivot(), completed=[mail], compensated=[note], deadline=True), Moves(pause=True),
        ),
        "poison by deaths": (graph(step("a"), step("b", probe=True)), Moves(deaths_max=2)),
        "poison by deaths, pivot": (
            graph(_pivot("pivot_probed"), _ship(), completed=[mail], deadline=True), Moves(deaths_max=2),
        ),
        "poison by deaths, park": (graph(step("a", on_unknown="park", probe=True), deadline=True), Moves(deaths_max=3)),
    }  # fmt: skip


def _four() -> dict[str, tuple[Graph, Moves]]:
    """Four steps, the shape of a real order."""
    a, b, c = step("a"), step("b", probe=True), step("c")
    read = step("v", read_only=True)
    mail = step("m", best_effort=True, compensation=False)
    return {
        "three and a pivot": (graph(a, b, c, _pivot(), deadline=True), Moves(verbs=False)),
        "order": (graph(read, a, _pivot("pivot_probed"), _ship(), deadline=True), Moves()),
        "order with parallel": (graph(a, parallel(b, c), _pivot(), deadline=True), Moves(verbs=False)),
        "order with approval": (
            graph(a, choose([wait("w", timeout=True)], []), _pivot(), _ship(), deadline=True),
            Moves(),
        ),
        "order with mail": (graph(a, step("u", compensation=False), mail, c, deadline=True), Moves(verbs=False)),
    }
