"""Sagas built as `Graph`s directly, without functions or types, for tests of the kernel.

    graph(step("a", compensation=True), parallel(step("b"), [step("c"), wait("ok")]), step("p", pivot=True))
    graph(first_of(step("card"), [step("hold"), step("invoice")]), each(step("ship"), limit=2), call("k", step("l")))

Times are far apart on purpose: a backoff (one second) is much shorter than the time between two polls, that than a
sleep, that than a wait's timeout, that than a key's life, and that than the deadline. So a test can say "the next thing
due" and know what it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from amends.core.graph import Graph, Kind, Node, Policy, shaped
from amends.policies.retry import Retry

BACKOFF = 1_000
EVERY = 10_000
UNTIL = 2 * EVERY
SLEEP = 1_000_000
WAIT = 10_000_000
TTL = 100_000_000
DEADLINE = 1_000_000_000
TWICE = Retry(attempts=2, base=1, cap=1, jitter="none")
ONCE = Retry(attempts=1, base=1, cap=1, jitter="none")
UNTUNED = Policy(retry=TWICE, compensation_retry=TWICE, probe_retry=TWICE)


@dataclass
class Spec:
    """A node on its way into a graph; `flags` are fields of `Node`, `tuning` fields of `Policy`."""

    kind: Kind
    name: str = ""
    branches: list[list[Spec]] = field(default_factory=list)
    flags: dict[str, Any] = field(default_factory=dict)
    tuning: dict[str, Any] = field(default_factory=dict)
    atomic: bool = False


def step(name: str, *, key_ttl: bool = False, attempts: int = 2, atomic: bool = False, **flags: Any) -> Spec:
    """A step, compensatable unless `compensation=False`, it is read-only, or after the pivot."""
    plain = not (flags.get("read_only") or flags.get("pivot") or flags.get("retriable"))
    flags.setdefault("compensation", plain)
    tuning: dict[str, Any] = {"key_ttl_ms": TTL} if key_ttl else {}
    if attempts != 2:
        tuning["retry"] = Retry(attempts=attempts, base=1, cap=1, jitter="none")
    return Spec(Kind.STEP, name, flags=flags, tuning=tuning, atomic=atomic)


def once(name: str, **flags: Any) -> Spec:
    """A step of which nothing is repeated: neither its action nor its compensation nor its probe."""
    spec = step(name, **flags)
    spec.tuning |= dict.fromkeys(("retry", "compensation_retry", "probe_retry"), ONCE)
    return spec


def parallel(*branches: Spec | list[Spec]) -> Spec:
    """Branches side by side."""
    return Spec(Kind.PARALLEL, branches=[branch if isinstance(branch, list) else [branch] for branch in branches])


def choose(*branches: list[Spec]) -> Spec:
    """One branch of several, the last one being `otherwise`."""
    return Spec(Kind.CHOOSE, branches=list(branches))


def each(*body: Spec, limit: int = 2, **flags: Any) -> Spec:
    """A copy of the body for each item, at most `limit` of them at a time."""
    return Spec(Kind.EACH, branches=[list(body)], flags=flags, tuning={"limit": limit})


def call(name: str, *nodes: Spec) -> Spec:
    """Another saga's nodes; its value is that of the last."""
    return Spec(Kind.CALL, name, [list(nodes)])


def first_of(*alternatives: Spec | list[Spec], name: str = "") -> Spec:
    """Alternatives that are tried in turn."""
    return Spec(Kind.FIRST_OF, name, [given if isinstance(given, list) else [given] for given in alternatives])


def wait(name: str, *, timeout: bool = False, on_timeout: list[Spec] | None = None, signal: str = "") -> Spec:
    """A wait for a signal; its timeout turns back unless nodes are given."""
    branches = [] if on_timeout is None else [on_timeout]
    timed = timeout or on_timeout is not None
    return Spec(Kind.WAIT, name, branches, {"signal": signal or name}, {"wait_ms": WAIT if timed else 0})


def sleep(*, computed: bool = False) -> Spec:
    """A sleep of constant or computed length."""
    return Spec(Kind.SLEEP, flags={"computed": computed}, tuning={"sleep_ms": SLEEP})


def graph(
    *nodes: Spec, completed: list[Spec] | None = None, compensated: list[Spec] | None = None, deadline: bool = False,
    result: int = -1,
) -> Graph:  # fmt: skip
    """The compiled saga, indices in preorder as the compiler gives them."""
    building = _Building()
    root = building.sequence(list(nodes), -1, 0)
    building.follow_up = True
    after_completed = building.sequence(completed, -1, 0) if completed else -1
    after_compensated = building.sequence(compensated, -1, 0) if compensated else -1
    saga = Graph(
        "saga", 1, tuple(n for n in building.nodes if n), tuple(building.policies), root, after_completed,
        after_compensated, result=result, deadline_ms=DEADLINE if deadline else 0, results=building.results,
        atomic=tuple(building.atomic),
    )  # fmt: skip
    return shaped(saga)


class _Building:
    def __init__(self) -> None:
        self.nodes: list[Node | None] = []
        self.policies: list[Policy] = []
        self.results: dict[int, int] = {}
        self.atomic: list[int] = []
        self.follow_up = False
        self.prefix = ""

    def sequence(self, specs: list[Spec], parent: int, position: int) -> int:
        return self.add(Spec(Kind.SEQUENCE), parent, position, specs)

    def add(self, spec: Spec, parent: int, position: int, specs: list[Spec] | None = None) -> int:
        index = len(self.nodes)
        self.nodes.append(None)
        self.policies.append(
            Policy(**{name: getattr(UNTUNED, name) for name in Policy.__struct_fields__} | spec.tuning)
        )
        around = self.prefix
        path = around + (spec.name or f"{spec.kind.name.lower()}#{index}")
        if spec.name and spec.kind in (Kind.CALL, Kind.FIRST_OF):
            self.prefix = f"{path}/"
        children = []
        if specs is not None:
            children = [self.add(child, index, place) for place, child in enumerate(specs)]
        elif spec.kind in (Kind.PARALLEL, Kind.EACH, Kind.FIRST_OF):
            for place, branch in enumerate(spec.branches):
                child = self.add(branch[0], index, place) if len(branch) == 1 else self.sequence(branch, index, place)
                children.append(child)
        else:
            children = [self.sequence(branch, index, place) for place, branch in enumerate(spec.branches)]
        self.prefix = around
        if spec.kind is Kind.CALL:
            self.results[index] = children[0]
        if spec.atomic:
            self.atomic.append(index)
        self.nodes[index] = Node(
            index, spec.kind, path, parent, position, tuple(children), follow_up=self.follow_up, **spec.flags
        )
        return index
