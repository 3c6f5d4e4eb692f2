"""From what an author wrote to what the kernel and the runtime read.

    nodes --flatten--> tree --check_pivots, wire--> bindings --here--> graph

Rules of this file: the `Graph` holds structure and tuning and no function; the `Binding`s hold the
functions and codecs, at the same indices. The codes of all mistakes are listed in `codes.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ..errors import DefinitionError
from .annotations import NONE, Annotation, bare
from .calls import Binding
from .codec import Codec
from .flatten import Draft, Tree, flatten, last_value
from .graph import Graph, Kind, Node, Policy, fingerprint_of, shaped
from .nodes import AnyNode, AnyStep, Each, Sleep, Wait
from .pivots import check_pivots
from .steps import Step
from .wiring import Wired, wire


@dataclass(frozen=True, slots=True)
class Compiled:
    """A saga, compiled; `bindings` and `graph.nodes` have the same indices."""

    graph: Graph
    bindings: tuple[Binding, ...]
    steps: dict[str, AnyStep]
    input: Codec
    result: Codec
    resources: tuple[type, ...]


def compile_saga(
    name: str,
    version: int,
    nodes: Sequence[AnyNode],
    *,
    input_type: Annotation | None,
    result: AnyStep | None,
    deadline_ms: int,
    on_completed: object,
    on_compensated: object,
    resources: tuple[type, ...],
    names: Mapping[str, Any],
) -> Compiled:
    """Compile a saga, checking everything that can be checked before it runs.

    Parameters:
        names: where annotations may be looked up besides their own module; the others as `Saga` takes them.

    Raises:
        DefinitionError: any AM11xx to AM13xx.
    """
    tree = flatten(name, nodes, on_completed, on_compensated)
    check_pivots(tree)
    explicit = -1 if result is None else _result_step(tree, result)
    wired = wire(tree, names=names, input_type=input_type, resources=resources)
    result_node = explicit if explicit >= 0 else last_value(tree.drafts, tree.root)
    read = {giver for index in wired.read | {explicit} for giver in (index, *_givers(tree, index))}
    read |= {giver for index in (*read, *_givers(tree, result_node)) for giver in _item_givers(tree, wired, index)}
    graph = Graph(
        name=name,
        version=version,
        nodes=tuple(_node(draft, wired, draft.index in read) for draft in tree.drafts),
        policies=tuple(_policy(draft) for draft in tree.drafts),
        root=tree.root,
        after_completed=tree.after_completed,
        after_compensated=tree.after_compensated,
        result=result_node,
        deadline_ms=deadline_ms,
        results=tree.results,
        atomic=tuple(
            draft.index for draft in tree.drafts if isinstance(draft.source, Step) and draft.source.options.atomic
        ),
    )
    graph = shaped(msgspec.structs.replace(graph, fingerprint=fingerprint_of(graph)))
    steps = {draft.path: draft.source for draft in tree.drafts if isinstance(draft.source, Step)}
    result_codec = _result_codec(tree, wired, graph.result)
    return Compiled(graph, wired.bindings, steps, wired.input, result_codec, wired.resources)


def _node(draft: Draft, wired: Wired, read: bool) -> Node:
    shared: dict[str, Any] = {
        "index": draft.index,
        "kind": draft.kind,
        "path": draft.path,
        "parent": draft.parent,
        "position": draft.position,
        "children": tuple(draft.children),
        "follow_up": draft.follow_up,
        "read": read,
    }
    match draft.source:
        case Step() as step:
            return Node(
                **shared,
                pivot=step.options.pivot,
                retriable=step.options.retriable,
                read_only=step.options.read_only,
                best_effort=step.options.best_effort,
                on_unknown=step.options.on_unknown,
                compensation=wired.bindings[draft.index].compensation is not None,
                needs_result=draft.index in wired.needs_result,
                probe=step.prober is not None,
            )
        case Wait() as wait:
            return Node(**shared, signal=wait.name)
        case Sleep() as sleep:
            return Node(**shared, computed=sleep.duration is not None)
        case _:
            return Node(**shared)


def _policy(draft: Draft) -> Policy:
    match draft.source:
        case Step() as step:
            policy = Policy(
                timeout_ms=step.options.timeout_ms, retry=step.options.retry,
                key_ttl_ms=step.options.key_ttl_ms, expires_ms=step.options.expires_ms,
            )  # fmt: skip
            if step.undo is not None:
                policy = msgspec.structs.replace(
                    policy, compensation_timeout_ms=step.undo.timeout_ms, compensation_retry=step.undo.retry
                )
            if step.prober is not None:
                policy = msgspec.structs.replace(
                    policy, probe_timeout_ms=step.prober.timeout_ms, probe_retry=step.prober.retry
                )
            return policy
        case Wait() as wait:
            return Policy(wait_ms=wait.timeout_ms)
        case Sleep() as sleep:
            return Policy(sleep_ms=sleep.length_ms)
        case Each() as each:
            return Policy(limit=each.limit)
        case _:
            return Policy()


def _result_step(tree: Tree, result: AnyStep) -> int:
    """The index of the `result=` step."""
    if isinstance(result, Step):
        index = tree.names.get((-1, result.name), -1)
        if index >= 0 and tree.drafts[index].source is result and not tree.drafts[index].follow_up:
            if _in_each(tree, index):
                raise DefinitionError(
                    f'saga "{tree.saga}": result={result.name!r} stands in an each and has a result per item; '
                    f"leave result= out with the each last, or collect the list in a later step",
                    code="AM1112",
                )
            return index
    raise DefinitionError(
        f'saga "{tree.saga}": result={getattr(result, "name", result)!r} is no step of its forward path; '
        f"give the very step (or the .named copy) that stands in it",
        code="AM1112",
    )


def _in_each(tree: Tree, index: int) -> bool:
    while index >= 0:
        index = tree.drafts[index].parent
        if index >= 0 and tree.drafts[index].kind is Kind.EACH:
            return True
    return False


def _result_codec(tree: Tree, wired: Wired, result: int) -> Codec:
    """One type when all nodes that may give the result have the same, else plain JSON."""
    found = {index: wired.bindings[index].payload for index in _givers(tree, result)}
    codecs = {id(codec): codec for codec in found.values() if codec is not None}
    return next(iter(codecs.values())) if len(codecs) == 1 else Codec(Any)


def _givers(tree: Tree, index: int) -> list[int]:
    """The steps, waits and EACHs whose value may become the value of node `index`."""
    if index < 0:
        return []
    draft = tree.drafts[index]
    match draft.kind:
        case Kind.STEP | Kind.EACH:
            return [index]
        case Kind.CALL:
            return _givers(tree, tree.results.get(index, -1))
        case Kind.WAIT:  # when its time is over, its `on_timeout` nodes give the value
            return [index, *(giver for child in draft.children for giver in _givers(tree, child))]
        case Kind.SEQUENCE:
            return _givers(tree, draft.children[-1]) if draft.children else []
        case Kind.CHOOSE | Kind.FIRST_OF:
            return [giver for child in draft.children for giver in _givers(tree, child)]
        case _:
            return []


def _item_givers(tree: Tree, wired: Wired, index: int) -> Iterator[int]:
    """What gives the value of an item, when the node is an EACH: a list of its type has no place for None."""
    if index < 0 or tree.drafts[index].kind is not Kind.EACH:
        return
    for giver in _givers(tree, tree.drafts[index].children[0]):
        payload = wired.bindings[giver].payload
        if payload is not None and bare(payload.declared) is not NONE:
            yield giver
        yield from _item_givers(tree, wired, giver)
