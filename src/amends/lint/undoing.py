"""Rules on compensations: whether they can undo what the step may have done."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .findings import Hit, Rule, Severity
from .source import walk
from .subject import Act, Function, Subject
from .under_none import idle, read
from .words import GIVES, TAKES, things_of, words_of

_LOOPS = (ast.For, ast.AsyncFor, ast.While)


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
            continue
        reading = read(undo.source, name)
        if reading.acts:
            continue
        if reading.raised is not None:
            yield Hit(
                undo.source.at(reading.raised),
                act.path,
                f'the compensation of "{act.path}" raises when "{name}" is None: when the answer of the action is '
                f"lost, its effect stays",
                "undo by ctx.action_key when it is None",
            )
        elif reading.leaves is not None and not nothing_in(undo):
            yield Hit(
                undo.source.at(reading.leaves)[:1] + undo.source.places,
                act.path,
                f'the compensation of "{act.path}" does nothing when "{name}" is None: the action may have taken '
                f"effect, and the saga would end compensated",
                "undo by ctx.action_key when it is None",
                Severity.ERROR,
            )


def nothing_in(undo: Function) -> bool:
    """Whether a compensation does nothing at all, or is written nowhere we can see."""
    tree = undo.source.tree
    return tree is None or not isinstance(tree.body, list) or all(idle(each) for each in tree.body)


def same_effect(subject: Subject) -> Iterator[Hit]:
    """SG017: a compensation that calls what the action called."""
    for act in subject.acts:
        undo = act.compensation
        if undo is None:
            continue
        done = {act.action.source.called(call): call for call in act.action.source.calls}
        for call in undo.source.calls:
            name = undo.source.called(call)
            words = words_of(name.rpartition(".")[2])
            if name in done and words & TAKES and not words & GIVES and _alike(done[name], call):
                yield Hit(
                    undo.source.at(call),
                    act.path,
                    f'the compensation of "{act.path}" calls {ast.unparse(call.func)}, as its action does: is that '
                    f"meant?",
                    severity=Severity.WARNING if _same(done[name], call) else None,
                )


def _same(one: ast.Call, other: ast.Call) -> bool:
    """Whether two calls are given the very same, their keys apart."""
    return [ast.dump(each) for each in one.args] == [ast.dump(each) for each in other.args] and bool(one.args)


def _alike(one: ast.Call, other: ast.Call) -> bool:
    """Whether two calls are given the same, no amount being negated in one of them."""
    return not any(isinstance(node, ast.USub) for call in (one, other) for node in walk(call))


def stops_at_its_first_error(subject: Subject) -> Iterator[Hit]:
    """SG035: several things undone in one loop."""
    for act in subject.acts:
        undo = act.compensation
        if undo is None or act.atomic:
            continue
        calls = [call for call in undo.source.calls if _undoes(undo, call) and not _caught(undo, call)]
        loop = next((each for call in calls for each in undo.source.around(call) if isinstance(each, _LOOPS)), None)
        several = len({call.lineno for call in calls if not _chosen(undo, call)}) > 1
        if loop is not None or several:
            yield Hit(
                undo.source.at(loop or calls[0])[:1] + undo.source.places,
                act.path,
                f'the compensation of "{act.path}" undoes one thing after the other: what comes behind the first '
                f"that cannot be undone is never reached",
            )


def _undoes(undo: Function, call: ast.Call) -> bool:
    named = words_of(undo.source.called(call).rpartition(".")[2])
    return bool(named & GIVES) and undo.source.runs_itself(call)


def _caught(undo: Function, call: ast.Call) -> bool:
    return any(isinstance(each, ast.Try) for each in undo.source.around(call))


def _chosen(undo: Function, call: ast.Call) -> bool:
    """Whether it is one of several that exclude each other, or follows one that ended the function."""
    return any(isinstance(each, (ast.If, ast.IfExp, ast.Match)) for each in undo.source.around(call)) or any(
        isinstance(node, ast.Return) and node.lineno < call.lineno for node in undo.source.body
    )


def other_s_compensation(subject: Subject) -> Iterator[Hit]:
    """SG041: a compensation that by its name belongs to another step."""
    for act in subject.acts:
        undo = act.compensation
        name = undo.call.function.__name__ if undo is not None and hasattr(undo.call.function, "__name__") else ""
        words = words_of(name)
        if not words & GIVES or not _is_a_pair(words, act):
            continue
        things = things_of(name)
        theirs = [other for other in subject.acts if other is not act and things == things_of(other.step.name)]
        if things and theirs and not _owns(act, name):
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
