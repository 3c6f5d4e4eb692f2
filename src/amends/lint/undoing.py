"""Rules on compensations: whether they can undo what the step may have done."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .findings import Hit, Rule, Severity
from .subject import Act, Function, Subject
from .words import GIVES, TAKES, things_of, words_of

_KEYS = ("action_key", "idempotency_key", "headers", "saga_id")


def needs_the_result(subject: Subject) -> Iterator[Hit]:
    """SG009: a compensation that cannot undo when the action's answer was lost."""
    for act in subject.acts:
        undo = act.compensation
        if undo is None or undo.own_result is None or act.atomic or act.node.on_unknown == "park":
            continue
        name = undo.own_result.name
        if act.node.needs_result:
            yield Hit(
                undo.source.places,
                act.path,
                f'the compensation of "{act.path}" cannot take None for "{name}": when the answer of the action is '
                f"lost, its effect stays",
            )
        elif undo.source.tree is not None and (node := _does_nothing(undo, name)):
            yield Hit(
                undo.source.at(node)[:1] + undo.source.places,
                act.path,
                f'the compensation of "{act.path}" does nothing when "{name}" is None: the action may have taken '
                f"effect, and the saga would end compensated",
                "undo by ctx.action_key when it is None",
                Severity.ERROR,
            )
        elif undo.source.tree is not None and (node := _unasked(undo, name)):
            yield Hit(
                undo.source.at(node),
                act.path,
                f'the compensation of "{act.path}" uses "{name}" as if it were never None: when the answer of the '
                f"action is lost it raises, and the effect stays",
                "undo by ctx.action_key when it is None",
            )


def _does_nothing(undo: Function, name: str) -> ast.AST | None:
    """The `if` by which a compensation leaves everything as it is when the result is None."""
    tree = undo.source.tree
    assert tree is not None
    body = tree.body if isinstance(tree.body, list) else []
    body = [each for each in body if not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))]
    if not body or not isinstance(body[0], ast.If) or _handles_key(undo, body[0]):
        return None
    first = body[0]
    if _is_none(first.test, name) and _idle(first.body):
        return first
    if _is_there(first.test, name) and len(body) == 1 and _idle(first.orelse):
        return first
    return None


def _handles_key(undo: Function, branch: ast.If) -> bool:
    """Whether the branch uses the key itself."""
    return any(
        isinstance(node, ast.Attribute) and node.attr in _KEYS for each in branch.body if not _idle([each])
        for node in ast.walk(each)
    ) and _is_none(branch.test, undo.own_result.name if undo.own_result else "")  # fmt: skip


def _is_none(test: ast.expr, name: str) -> bool:
    match test:
        case ast.Compare(left=ast.Name(id=found), ops=[ast.Is() | ast.Eq()], comparators=[ast.Constant(value=None)]):
            return found == name
        case ast.UnaryOp(op=ast.Not(), operand=ast.Name(id=found)):
            return found == name
        case _:
            return False


def _is_there(test: ast.expr, name: str) -> bool:
    match test:
        case ast.Compare(
            left=ast.Name(id=found), ops=[ast.IsNot() | ast.NotEq()], comparators=[ast.Constant(value=None)]
        ):
            return found == name
        case ast.Name(id=found):
            return found == name
        case _:
            return False


def _idle(body: list[ast.stmt]) -> bool:
    """Whether statements do nothing: they pass, return, or only log."""
    return all(
        isinstance(each, ast.Pass)
        or (isinstance(each, ast.Return) and (each.value is None or isinstance(each.value, ast.Constant)))
        or (isinstance(each, ast.Expr) and _logs(each.value))
        for each in body
    )


def _logs(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return True
    words = words_of(ast.unparse(node.func)) if isinstance(node, ast.Call) else frozenset()
    return bool(words & {"log", "logger", "logging", "print"})


def _unasked(undo: Function, name: str) -> ast.AST | None:
    """The first use of the result's attributes, when nothing in the function asks whether it is None."""
    first: ast.AST | None = None
    for node in undo.source.body:
        if not (isinstance(node, ast.Name) and node.id == name):
            continue
        outer = undo.source.parents.get(node)
        if not (isinstance(outer, (ast.Attribute, ast.Subscript)) and outer.value is node):
            return None  # it is asked about, given on, or assigned anew
        first = first or outer
    return first


def same_effect(subject: Subject) -> Iterator[Hit]:
    """SG017: a compensation that calls what the action called."""
    for act in subject.acts:
        undo = act.compensation
        if undo is None:
            continue
        done = {act.action.source.called(call): call for call in act.action.source.calls()}
        for call in undo.source.calls():
            name = undo.source.called(call)
            words = words_of(name.rpartition(".")[2])
            if name in done and words & TAKES and not words & GIVES and _alike(done[name], call):
                yield Hit(
                    undo.source.at(call),
                    act.path,
                    f'the compensation of "{act.path}" calls {ast.unparse(call.func)}, as its action does: is that '
                    f"meant?",
                )


def _alike(one: ast.Call, other: ast.Call) -> bool:
    """Whether two calls are given the same, no amount being negated in one of them."""
    return not any(isinstance(node, ast.USub) for call in (one, other) for node in ast.walk(call))


def stops_at_its_first_error(subject: Subject) -> Iterator[Hit]:
    """SG035: several things undone in one loop."""
    for act in subject.acts:
        undo = act.compensation
        if undo is None or act.atomic:
            continue
        for loop in undo.source.body:
            if not isinstance(loop, (ast.For, ast.AsyncFor)) or not undo.source.runs_itself(loop):
                continue
            calls = [node for each in loop.body for node in ast.walk(each) if isinstance(node, ast.Call)]
            undoing = [each for each in calls if words_of(undo.source.called(each).rpartition(".")[2]) & GIVES]
            caught = any(isinstance(node, ast.Try) for each in loop.body for node in ast.walk(each))
            if undoing and not caught:
                yield Hit(
                    undo.source.at(loop)[:1] + undo.source.places,
                    act.path,
                    f'the compensation of "{act.path}" undoes one thing after the other: what comes behind the first '
                    f"that cannot be undone is never reached",
                )


def other_s_compensation(subject: Subject) -> Iterator[Hit]:
    """SG041: a compensation that by its name belongs to another step."""
    for act in subject.acts:
        undo = act.compensation
        name = undo.call.function.__name__ if undo is not None and hasattr(undo.call.function, "__name__") else ""
        words = words_of(name)
        if not words & GIVES or not _is_a_pair(words, act):
            continue
        theirs = [other for other in subject.acts if other is not act and _owns(other, name)]
        if theirs and not _owns(act, name):
            yield Hit(
                undo.source.places if undo else act.places,
                act.path,
                f'{name} is the compensation of "{act.path}", and by its name undoes "{theirs[0].path}"',
            )


def _is_a_pair(words: frozenset[str], act: Act) -> bool:
    return bool(words and words_of(act.step.name) & TAKES)


def _owns(act: Act, name: str) -> bool:
    things = things_of(name)
    return bool(things) and things <= things_of(act.step.name)


RULES = (
    Rule(
        "SG009",
        Severity.WARNING,
        "a compensation needs the result that an unknown outcome does not give",
        'annotate the parameter "... | None" and undo by ctx.action_key when it is None',
        "A step that timed out may have taken effect all the same. Its compensation is then called with None for the "
        "step's result, and has to undo by the key under which the action was called.",
        check=needs_the_result,
    ),
    Rule(
        "SG017",
        Severity.INFO,
        "a compensation does what the action does",
        "call what undoes it",
        "A compensation that was copied from its action, and charges once more where it should refund, is found by "
        "nobody until it runs.",
        check=same_effect,
    ),
    Rule(
        "SG035",
        Severity.WARNING,
        "a compensation stops at its first error",
        "give each thing a step of its own with each(...), so that each is undone by itself; or go on behind an error "
        "and raise at the end",
        "A compensation is retried as a whole. One thing that cannot be undone keeps all behind it from being undone, "
        "and nobody sees which these are.",
        check=stops_at_its_first_error,
    ),
    Rule(
        "SG041",
        Severity.WARNING,
        "a compensation seems to belong to another step",
        "attach each compensation to the step that it undoes, or rename it",
        "Two compensations that were swapped release what was never taken, and keep what was.",
        check=other_s_compensation,
    ),
)
