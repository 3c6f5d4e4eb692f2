"""The enumerated sagas with `each`, `call`, `first_of`, `Accepted` and atomic steps; `family.py` has the others.

Where a saga has many calls its steps are of the kind `once`, which repeats nothing: repetition is walked in the
smaller ones, and what is new here is how the calls stand to each other.
"""

from __future__ import annotations

from amends.core.graph import Graph
from tests.core.graphs import Spec, call, choose, each, first_of, graph, once, parallel, sleep, step, wait  # fmt: skip
from tests.core.situation import Moves

Sagas = dict[str, tuple[Graph, Moves]]
ASK, CALL = ("ask",), ("",)  # how what was accepted is asked after: by a poll, or by calling again
BOTH = ASK + CALL
A, B, C, X, Y = (step(name) for name in "abcxy")
a, b, c, x, y = (once(name) for name in "abcxy")
PIVOT, SHIP = step("p", pivot=True), step("s", retriable=True)
DISPOSABLE: dict[str, bool] = {"best_effort": True, "compensation": False}


def nodes() -> Sagas:
    """Every saga of this file."""
    return _each() | _call() | _first_of() | _first_of_within() | _accepted() | _undo_accepted() | _atomic()


def _each() -> Sagas:
    def of(*body: Spec, limit: int = 2, deadline: bool = True, then: tuple[Spec, ...] = ()) -> Graph:
        return graph(each(*body, limit=limit), *then, deadline=deadline)

    return {
        "each": (of(A), Moves(verbs=False)),
        "each, by hand": (of(a, deadline=False), Moves(items=(2,))),
        "each, paused": (of(a), Moves(pause=True, drain=True, verbs=False)),
        "each, late": (of(a), Moves(late=True, verbs=False)),
        "each, one at a time": (of(a, limit=1), Moves(together=True, poison=True)),
        "each of two, one at a time": (of(a, b, limit=1), Moves(items=(2,), verbs=False)),
        "each of two": (of(a, b, deadline=False), Moves(verbs=False, items=(2,))),
        "each of three items, two at a time": (of(a, deadline=False), Moves(verbs=False, items=(3,))),
        "plain, each, plain": (graph(a, each(b), c), Moves(verbs=False)),
        "each uncompensated": (of(once("a", compensation=False)), Moves(items=(2,))),
        "each probed": (of(once("a", probe=True), deadline=False), Moves(items=(2,), verbs=False)),
        "each park": (of(once("a", on_unknown="park")), Moves(items=(2,))),
        "each read-only": (of(step("a", read_only=True)), Moves(verbs=False)),
        "each best effort, plain": (
            of(once("a", best_effort=True), then=(b,), deadline=False), Moves(items=(2,), verbs=False),
        ),
        "each disposable, plain": (of(once("a", **DISPOSABLE), then=(b,)), Moves(items=(2,), verbs=False)),
        "each of waits": (of(wait("w", timeout=True), limit=1), Moves(items=(2,), verbs=False)),
        "each of a wait with nodes": (of(wait("w", on_timeout=[a]), limit=1), Moves(items=(2,), verbs=False)),
        "each of sleeps": (of(sleep(computed=True), a, limit=1), Moves(items=(2,), poison=True, verbs=False)),
        "each of choices": (of(choose([a], [])), Moves(items=(2,), verbs=False)),
        "each of branches": (of(parallel(a, b), limit=1, deadline=False), Moves(items=(2,), verbs=False)),
        "each of each": (
            of(a, each(b, limit=1), limit=1, deadline=False), Moves(items=(0, 2), verbs=False, crash=False),
        ),
        "each || plain": (graph(parallel(each(a, limit=1), b)), Moves(items=(2,), verbs=False)),
        "pivot, each": (graph(PIVOT, each(once("s", retriable=True), limit=1), deadline=True), Moves(items=(2,))),
        "pivot, each of best effort": (
            graph(PIVOT, each(once("s", **DISPOSABLE)), deadline=True), Moves(items=(2,), verbs=False),
        ),
    }  # fmt: skip


def _call() -> Sagas:
    return {
        "call": (graph(call("k", A), B, deadline=True), Moves(verbs=False)),
        "call, by hand": (graph(call("k", a, b)), Moves(poison=True, pause=True)),
        "call of a call": (graph(call("k", a, call("l", b)), c), Moves(verbs=False)),
        "call || call": (graph(parallel(call("k", a), call("l", b)), deadline=True), Moves()),
        "call with a pivot": (graph(a, call("k", b, PIVOT), SHIP, deadline=True), Moves()),
        "pivot, call": (graph(PIVOT, call("k", SHIP), deadline=True), Moves(poison=True)),
        "call of a choice of pivots": (
            graph(call("k", choose([PIVOT, SHIP], [a])), step("t", retriable=True), deadline=True), Moves(verbs=False),
        ),
        "call of each": (graph(call("k", each(a), b)), Moves(items=(2,), verbs=False)),
        "each of calls": (graph(each(call("k", a, b), limit=1)), Moves(items=(2,), verbs=False)),
        "call of a wait": (graph(call("k", wait("w", timeout=True), a), b, deadline=True), Moves(verbs=False)),
    }  # fmt: skip


def _first_of() -> Sagas:
    two = graph(first_of(A, B), deadline=True)
    found: Sagas = {
        "first_of": (two, Moves()),
        "first_of, paused": (two, Moves(pause=True, drain=True, verbs=False)),
        "first_of, late": (graph(first_of(A, B)), Moves(late=True, poison=True)),
        "first_of, deaths": (graph(first_of(A, B)), Moves(deaths_max=2)),
        "first_of three": (graph(first_of(a, b, c), deadline=True), Moves()),
        "first_of one": (graph(a, first_of(b)), Moves()),
        "plain, first_of, plain": (graph(a, first_of(b, x), c), Moves(verbs=False)),
        "first_of sequences": (graph(first_of([A, X], [B, Y])), Moves(verbs=False)),
        "first_of sequences, by hand": (graph(first_of([a, x], y)), Moves(pause=True)),
        "first_of branches": (graph(first_of(parallel(A, B), Y)), Moves(verbs=False)),
        "first_of branches, by hand": (graph(first_of(parallel(a, b), y)), Moves()),
        "first_of branches, late": (graph(first_of(parallel(a, x), y)), Moves(late=True, verbs=False, cancel=False)),
    }
    kinds: dict[str, dict[str, object]] = {
        "uncompensated": {"compensation": False},
        "probed": {"probe": True},
        "needs_result": {"needs_result": True},
        "park": {"on_unknown": "park"},
        "key_ttl": {"key_ttl": True},
        "read_only": {"read_only": True},
        "best_effort": {"best_effort": True},
        "disposable": DISPOSABLE,
    }
    for kind, flags in kinds.items():
        first = step("a", **flags)  # type: ignore[arg-type]
        downtime = "key_ttl" in flags
        found[f"first_of {kind}"] = (graph(first_of(first, B), deadline=True), Moves(downtime=downtime))
        late = kind in ("needs_result", "best_effort", "disposable")
        found[f"first_of {kind}, plain"] = (graph(first_of([once("a", **flags), x], y)), Moves(late=late, verbs=False))
    return found


def _first_of_within() -> Sagas:
    """A first_of beside, around and within everything else."""
    return {
        "first_of || plain": (graph(parallel(first_of(a, b), c)), Moves(verbs=False, together=True)),
        "first_of || plain, by hand": (graph(parallel(first_of(a, y), c)), Moves()),
        "first_of || first_of": (graph(parallel(first_of(a, b), first_of(x, y))), Moves(verbs=False, cancel=False)),
        "first_of first_of": (graph(first_of([a, first_of(b, x)], y)), Moves()),
        "first_of (first_of || plain)": (
            graph(first_of(parallel(first_of(a, b), x), y)), Moves(verbs=False, cancel=False),
        ),
        "first_of in the last alternative": (graph(first_of(a, first_of([b, x], y)), c), Moves(verbs=False)),
        "first_of each": (graph(first_of([each(a), x], y)), Moves(items=(0, 2), verbs=False)),
        "first_of each, by hand": (graph(first_of(each(a, limit=1), y)), Moves(items=(2,))),
        "each of first_of": (graph(each(first_of(a, b))), Moves(items=(2,), verbs=False, cancel=False)),
        "each of first_of, one at a time": (graph(each(first_of(a, b), limit=1)), Moves(items=(2,), verbs=False)),
        "first_of call": (graph(first_of(call("k", a, x), y)), Moves(poison=True)),
        "call of first_of": (graph(a, call("k", first_of(b, x))), Moves(verbs=False)),
        "first_of choice": (graph(first_of([choose([a], []), x], y)), Moves(poison=True)),
        "choice of first_of": (graph(choose([first_of(a, b)], [x]), c), Moves(verbs=False)),
        "first_of wait": (graph(first_of([a, wait("w", timeout=True)], b), deadline=True), Moves(pause=True)),
        "first_of wait || plain": (graph(first_of(parallel(wait("w"), a), b), deadline=True), Moves()),
        "first_of wait with nodes": (graph(first_of(wait("w", on_timeout=[a, x]), b)), Moves(verbs=False)),
        "first_of sleep || plain": (graph(first_of(parallel([sleep(), x], a), b), deadline=True), Moves(verbs=False)),
        "first_of, pivot": (graph(first_of(a, b), PIVOT, SHIP, deadline=True), Moves()),
        "pivot, first_of": (
            graph(PIVOT, first_of(SHIP, step("t", retriable=True)), deadline=True), Moves(poison=True, pause=True),
        ),
        "park || first_of": (graph(parallel(once("a", on_unknown="park"), first_of(b, x))), Moves()),
    }  # fmt: skip


def _accepted() -> Sagas:
    kinds: dict[str, dict[str, object]] = {
        "plain": {},
        "uncompensated": {"compensation": False},
        "read_only": {"read_only": True},
        "best_effort": {"best_effort": True},
        "disposable": DISPOSABLE,
        "probed": {"probe": True},
        "park": {"on_unknown": "park"},
        "retry": {"on_unknown": "retry"},
        "needs_result": {"needs_result": True},
        "key_ttl": {"key_ttl": True},
    }
    found: Sagas = {}
    for kind, flags in kinds.items():
        downtime = "key_ttl" in flags
        one = graph(step("a", **flags), deadline=True)  # type: ignore[arg-type]
        found[f"{kind} accepted"] = (one, Moves(accept=BOTH, downtime=downtime, late=not downtime))
        found[f"{kind} accepted, paused"] = (one, Moves(accept=BOTH, pause=True, drain=True, downtime=downtime))
    first = ("a",)
    pivot = graph(PIVOT, SHIP, deadline=True)
    probed = graph(step("p", pivot=True, probe=True), deadline=True)
    mail = graph(A, completed=[step("m", compensation=False)], compensated=[step("n", compensation=False)])
    after = graph(PIVOT, once("m", **DISPOSABLE), deadline=True)
    return found | {
        "accepted, deaths": (graph(A, b), Moves(accept=BOTH, accepting=first, deaths_max=2, poison=True)),
        "accepted, plain": (graph(A, b), Moves(accept=BOTH, accepting=first, together=True, verbs=False)),
        "accepted || plain": (graph(parallel(A, b), deadline=True), Moves(accept=BOTH, accepting=first, verbs=False)),
        "accepted || accepted": (graph(parallel(a, b)), Moves(accept=ASK, late=True, verbs=False)),
        "accepted pivot": (pivot, Moves(accept=BOTH, pause=True)),
        "accepted pivot, probed": (probed, Moves(accept=BOTH, late=True, downtime=True)),
        "accepted pivot, key_ttl": (
            graph(step("p", pivot=True, key_ttl=True), deadline=True), Moves(accept=BOTH, downtime=True),
        ),
        "accepted after the pivot, deaths": (pivot, Moves(accept=BOTH, accepting=("s",), deaths_max=2, late=True)),
        "accepted best effort after the pivot": (after, Moves(accept=BOTH, accepting=("m",), late=True)),
        "accepted follow-ups": (mail, Moves(accept=BOTH, accepting=("m", "n"), deaths_max=2, late=True)),
        "accepted in each": (graph(each(a, limit=1)), Moves(accept=BOTH, items=(2,), pause=True)),
        "accepted in first_of": (graph(first_of(A, b), deadline=True), Moves(accept=BOTH, together=True)),
        "accepted in a branch of first_of": (
            graph(first_of(parallel(a, x), y)), Moves(accept=BOTH, accepting=first, verbs=False),
        ),
        "accepted in a call": (graph(call("k", a, b)), Moves(accept=ASK, undo_accept=ASK, verbs=False)),
    }  # fmt: skip


def _undo_accepted() -> Sagas:
    first = ("a",)
    moves = Moves(undo_accept=BOTH, accepting=first)
    branches = graph(parallel(a, x), b)
    return {
        "undo accepted": (graph(A, deadline=True), Moves(undo_accept=BOTH, late=True, poison=True)),
        "undo accepted, paused": (graph(A), Moves(undo_accept=BOTH, pause=True, drain=True)),
        "undo accepted, deaths": (graph(A), Moves(undo_accept=BOTH, deaths_max=2)),
        "undo accepted, key_ttl": (graph(step("a", key_ttl=True)), Moves(undo_accept=BOTH, downtime=True)),
        "both accepted": (graph(a, b, deadline=True), Moves(accept=ASK, undo_accept=BOTH, accepting=first)),
        "undo accepted, plain": (graph(a, b), moves),
        "undo accepted || plain": (branches, Moves(undo_accept=BOTH, accepting=first, verbs=False)),
        "undo accepted in each": (graph(each(a, limit=1), b), Moves(undo_accept=ASK, items=(2,), verbs=False)),
        "undo accepted in first_of": (graph(first_of([a, b], y)), moves),
    }


def _atomic() -> Sagas:
    plain = step("a", atomic=True)
    quick = once("a", atomic=True)
    return {
        "atomic": (graph(plain, deadline=True), Moves(poison=True, pause=True, drain=True)),
        "atomic, plain": (graph(plain, b, deadline=True), Moves()),
        "plain, atomic": (graph(b, plain, deadline=True), Moves()),
        "atomic uncompensated": (graph(step("a", atomic=True, compensation=False), b), Moves()),
        "atomic best effort": (graph(step("a", atomic=True, best_effort=True), b), Moves(verbs=False)),
        "atomic key_ttl": (graph(step("a", atomic=True, key_ttl=True), deadline=True), Moves(downtime=True)),
        "atomic, deaths": (graph(plain, b), Moves(deaths_max=2, verbs=False)),
        "atomic || plain": (graph(parallel(plain, b), deadline=True), Moves(verbs=False, together=True)),
        "atomic || atomic": (graph(parallel(quick, once("b", atomic=True))), Moves()),
        "atomic pivot": (graph(b, step("p", pivot=True, atomic=True), SHIP, deadline=True), Moves()),
        "pivot, atomic": (graph(PIVOT, step("s", retriable=True, atomic=True), deadline=True), Moves(pause=True)),
        "atomic in each": (graph(each(quick)), Moves(items=(2,), verbs=False)),
        "atomic in first_of": (graph(first_of([quick, x], y)), Moves(pause=True)),
        "atomic || accepted": (graph(parallel(quick, b)), Moves(accept=BOTH, verbs=False)),
        "atomic follow-up": (graph(B, completed=[step("m", atomic=True, compensation=False)]), Moves(pause=True)),
    }  # fmt: skip
