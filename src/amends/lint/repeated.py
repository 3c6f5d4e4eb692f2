"""Rules on what a repetition does once more: a sum that grows, a saga that is started again."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..core.definition import Saga
from .calls import Seen, calls_of, followed_by, guarded, relative_update
from .findings import Hit, Rule, Severity
from .keys import is_key
from .source import Source
from .subject import Subject

_COUNTS = frozenset({"incr", "incrby", "incrbyfloat", "decr", "decrby", "hincrby", "zincrby"})


def starts_without_key(subject: Subject) -> Iterator[Hit]:
    """SG025: a step that starts a saga anew in each attempt."""
    for act in subject.acts:
        for function in act.functions:
            for call in function.source.calls:
                if starts_saga(function.source, call) and not any(each.arg in {"key", None} for each in call.keywords):
                    yield Hit(
                        function.source.at(call),
                        act.path,
                        f'the {function.role} of "{act.path}" starts a saga without key=: each attempt starts another '
                        f"one",
                    )


def starts_saga(source: Source, call: ast.Call) -> bool:
    """Whether a call starts a saga on an orchestrator."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr != "start":
        return False
    holder = source.dotted(call.func.value)
    if any(kind in holder for kind in ("Orchestrator()", "SyncOrchestrator()")):
        return True
    first = call.args[0] if call.args else None
    value = source.known.get(first.id) if isinstance(first, ast.Name) and first.id not in source.local else None
    return issubclass(type(value), Saga)


def relative_updates(subject: Subject) -> Iterator[Hit]:
    """SG012: what is added once more by each repetition."""
    for act in subject.acts:
        if not act.has_effect or act.atomic:
            continue
        for function in (act.action, act.compensation):
            if function is None or function.has_key:
                continue
            for through, what in _relative(function.source):
                yield Hit(
                    function.source.at(through),
                    act.path,
                    f'the {function.role} of "{act.path}" changes {what} by what it was: called twice, it changes it '
                    f"twice",
                )
                break


def _relative(source: Source) -> Iterator[tuple[ast.AST, str]]:
    for seen in calls_of(source):
        column = relative_update(seen)
        if column and not guarded(seen):
            yield seen.through, f"the column {column}"
        if what := _relative_call(seen):
            yield seen.through, what
    yield from ((node, what) for node, what in _added(source))
    for call in source.calls:
        followed = followed_by(source, call)
        if followed is not None and not any(is_key(name) for name in followed.parameters):
            yield from ((call, what) for _, what in _added(followed))


def _relative_call(seen: Seen) -> str:
    """What a call adds to: a counter of Redis, or a column by the expression of an ORM; "" for nothing."""
    verb = seen.call.func.attr if isinstance(seen.call.func, ast.Attribute) else ""
    if verb in _COUNTS and seen.call.args:
        return f"what {ast.unparse(seen.call.func)} counts"
    for given in seen.call.keywords if verb in {"update", "values"} else ():
        match given.value:
            case ast.BinOp(left=ast.Attribute(attr=name), op=ast.Add() | ast.Sub()) if name == given.arg:
                return f"the column {name}"
            case ast.BinOp(left=ast.Call(args=[ast.Constant(value=name)]), op=ast.Add() | ast.Sub()) if (
                name == given.arg
            ):
                return f"the column {name}"
    return ""


def _added(source: Source) -> Iterator[tuple[ast.AST, str]]:
    """Where something outside of the function is increased or decreased, and no condition is asked before."""
    for node in source.body:
        target = _changed(node)
        if target is not None:
            root: ast.expr = target
            while isinstance(root, (ast.Attribute, ast.Subscript)):
                root = root.value
            outside = isinstance(root, ast.Name) and (
                root.id == "self" or root.id in source.types or root.id not in source.local or _is_row(source, root.id)
            )
            asked = any(isinstance(each, (ast.If, ast.Match, ast.Try)) for each in source.around(node))
            if outside and root is not target and not asked:
                yield node, ast.unparse(target)


def _is_row(source: Source, name: str) -> bool:
    """Whether a local name came from a call, and what it holds is written back by another."""
    came = any(isinstance(each, (ast.Call, ast.Await)) for each in source.assigned.get(name, ()))
    return came and any(source.called(call).rpartition(".")[2] in {"commit", "save", "flush"} for call in source.calls)


def _changed(node: ast.AST) -> ast.expr | None:
    """What a statement sets relative to what it was: `x += n`, `x = x + n`, `x[k] = x.get(k, 0) + n`."""
    match node:
        case ast.AugAssign(target=target, op=ast.Add() | ast.Sub()):
            return target
        case ast.Assign(targets=[target], value=ast.BinOp(left=left, op=ast.Add() | ast.Sub())):
            before = ast.unparse(target)
            got = isinstance(target, ast.Subscript) and ast.unparse(left).startswith(
                f"{ast.unparse(target.value)}.get({ast.unparse(target.slice)}"
            )
            return target if ast.unparse(left) == before or got else None
        case _:
            return None


RULES = (
    Rule(
        "SG012",
        Severity.WARNING,
        "called twice, it changes something twice",
        "do it once per key: record ctx.idempotency_key in the same transaction (amends.participant does), or set the "
        "value instead of adding to it",
        "Actions and compensations are called at least once. `stock + 1` done twice puts one thing too many on the "
        "shelf, when nothing tells the second call from the first.",
        check=relative_updates,
    ),
    Rule(
        "SG025",
        Severity.ERROR,
        "a step starts a saga without a key",
        "give key=ctx.idempotency_key, so that a repetition finds the saga that the first attempt started",
        "An attempt that is repeated would start a second saga beside the first.",
        check=starts_without_key,
    ),
)
