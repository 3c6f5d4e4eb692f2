"""Rules on what is kept where it does not last: in the process, or in a value that only one function sees."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..core.calls import Source as From
from .findings import Hit, Rule, Severity
from .source import Source
from .subject import Function, Subject

_PLAIN = (dict, list, set)
_VALUES = frozenset({From.INPUT, From.RESULT, From.OWN_RESULT, From.ITEM})
_CHANGING = frozenset({"append", "add", "extend", "insert", "update", "setdefault", "remove", "clear"})


def kept_in_the_process(subject: Subject) -> Iterator[Hit]:
    """SG042: what an action leaves in a global for its compensation, or another step."""
    written: dict[int, tuple[str, Function, ast.AST, str]] = {}
    for act in subject.acts:
        for name, node, value in _stored(act.action.source):
            written.setdefault(id(value), (act.path, act.action, node, name))
    for act in subject.acts:
        for function in act.functions:
            for name, value in _globals(function.source):
                writer = written.get(id(value))
                if writer is None or function is writer[1] or not _reads(function.source, name):
                    continue
                path, action, node, kept = written.pop(id(value))
                yield Hit(
                    action.source.at(node),
                    path,
                    f'"{path}" keeps in {kept} what the {function.role} of "{act.path}" reads: after a crash, or in '
                    f"another process, it is not there",
                )


def _globals(source: Source) -> Iterator[tuple[str, object]]:
    names = {node.id for node in source.body if isinstance(node, ast.Name) and node.id not in source.local}
    for name in sorted(names):
        value = source.known.get(name)
        if type(value) in _PLAIN:
            yield name, value


def _stored(source: Source) -> Iterator[tuple[str, ast.AST, object]]:
    known = dict(_globals(source))
    for node in source.body:
        match node:
            case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name))]) if name in known:
                if not _is_counted(source, node):
                    yield name, node, known[name]


def _is_counted(source: Source, node: ast.Assign) -> bool:
    """Whether it is a stand-in for a service, which knows calls by their key, or counts."""
    return any(isinstance(each, (ast.If, ast.BinOp)) for each in (*source.around(node), node.value))


def _reads(source: Source, name: str) -> bool:
    """Whether a value is taken out of the global."""
    for node in source.body:
        match node:
            case ast.Subscript(value=ast.Name(id=found), ctx=ast.Load()) if found == name:
                return True
            case ast.Call(func=ast.Attribute(value=ast.Name(id=found), attr="get" | "pop")) if found == name:
                return not isinstance(source.parents.get(node), ast.Expr)
    return False


def lost_change(subject: Subject) -> Iterator[Hit]:
    """SG043: a change of a parameter that nobody sees."""
    for act in subject.acts:
        for function in act.functions:
            values = {each.name for each in function.call.wired if each.source in _VALUES}
            for node, name, what in _changes(function.source):
                used = any(
                    isinstance(each, ast.Name) and each.id == name and each.lineno > (node.end_lineno or node.lineno)
                    for each in function.source.body
                )
                looped = any(isinstance(each, (ast.For, ast.While)) for each in function.source.around(node))
                if name in values and not used and not looped:
                    yield Hit(
                        function.source.at(node),
                        act.path,
                        f'the {function.role} of "{act.path}" changes {what}, and nobody sees it: each function gets a '
                        f"copy of its own",
                    )


def _changes(source: Source) -> Iterator[tuple[ast.stmt, str, str]]:
    for node in source.body:
        target: ast.expr | None = None
        match node:
            case (
                ast.Assign(targets=[ast.Attribute() | ast.Subscript() as changed])
                | ast.AugAssign(target=ast.Attribute() | ast.Subscript() as changed)
            ):
                target = changed
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Attribute() as changed, attr=verb))):
                target = changed if verb in _CHANGING else None
        root: ast.expr | None = target
        while isinstance(root, (ast.Attribute, ast.Subscript)):
            root = root.value
        if target is not None and isinstance(root, ast.Name) and isinstance(node, ast.stmt):
            yield node, root.id, ast.unparse(target)


RULES = (
    Rule(
        "SG042",
        Severity.WARNING,
        "something is kept in the memory of the process",
        "return it from the step, whose result is journalled and given to the others",
        "A saga outlives its process: after a crash its compensation runs in another one, which has an empty "
        "dictionary. What a step returns is in the journal.",
        check=kept_in_the_process,
    ),
    Rule(
        "SG043",
        Severity.ERROR,
        "a change of a parameter is lost",
        "return what is new as the step's result, and let later steps take it by type or name",
        "Every function gets values decoded anew from what the journal holds, never an object that another function "
        "held. A changed field is gone when the function returns.",
        check=lost_change,
    ),
)
