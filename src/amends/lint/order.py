"""Rules on the order of the graph: what stands before what, when a saga may turn back past it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..core.graph import Kind
from .findings import Hit, Rule, Severity
from .repeated import starts_saga
from .subject import Act, Function, Subject
from .undoing import nothing_in
from .words import GIVES, MESSAGES, MONEY, TAKES, TOLD, things_of, words_of


def no_compensation(subject: Subject) -> Iterator[Hit]:
    """SG005: a step that has none, and something after it that may turn the saga back."""
    for act in subject.acts:
        if act.node.best_effort and not act.node.compensation and words_of(act.step.name) & MONEY:
            yield Hit(
                act.places,
                act.path,
                f'"{act.path}" is best_effort and has no compensation: an amount that moved though its answer was lost '
                f"is forgotten",
                "give it a compensation, or drop best_effort=True",
                Severity.WARNING,
            )
        if _starts(act) or _cannot_be_taken_back(act) or not (why := _turned_back_by(subject, act)):
            continue
        if act.kept:
            yield Hit(act.places, act.path, f'step "{act.path}" has no compensation, and {why}')
        elif _undone_by_nothing(act) and act.compensation is not None:
            yield Hit(
                act.compensation.source.places,
                act.path,
                f'the compensation of "{act.path}" does nothing, and {why}: its effect stays, and the saga ends '
                f"compensated",
                "undo it, or say best_effort=True and drop the compensation when its effect may stay",
                Severity.INFO if _only_logs(act.compensation) else Severity.WARNING,
            )


def irreversible_too_early(subject: Subject) -> Iterator[Hit]:
    """SG002: something that cannot be taken back stands before a step that may fail."""
    for act in subject.acts:
        if not _cannot_be_taken_back(act) or not (why := _turned_back_by(subject, act)):
            continue
        if act.kept or _undone_by_nothing(act, said=True):
            severity = None if act.kept else Severity.WARNING
            yield Hit(act.places, act.path, f'step "{act.path}" cannot be taken back, and {why}', severity=severity)
        elif act.compensation is not None and words_of(act.step.name) & MESSAGES:
            yield Hit(
                act.places,
                act.path,
                f'step "{act.path}" is read before it is certain, and {why}: has it to stand so early?',
                severity=Severity.INFO,
            )


def unknown_at_the_end(subject: Subject) -> Iterator[Hit]:
    """SG004: a last step without compensation that is no pivot; an unknown outcome of it is a person's work."""
    for act in subject.acts:
        if act.kept and not act.atomic and not _turned_back_by(subject, act):
            yield Hit(
                act.places,
                act.path,
                f'step "{act.path}" has no compensation and is no pivot: when its answer is lost, a person has to find '
                f"out what became of it",
            )


def refuses_behind_the_pivot(subject: Subject) -> Iterator[Hit]:
    """SG001: a step behind the pivot that says no."""
    for act in subject.acts:
        if not act.node.retriable or act.node.follow_up:
            continue
        source = act.action.source
        raised = [node for node in source.body if isinstance(node, ast.Raise) and node.exc is not None]
        said = next((node for node in raised if "Rejected" in ast.unparse(node.exc or node)), None)
        if said is not None or act.step.options.rejects:
            yield Hit(
                source.at(said) if said is not None else act.places,
                act.path,
                f'"{act.path}" stands behind the pivot and may reject: there is no way back, so that a person has to '
                f"decide",
                "find out before the pivot whether it can be done",
                Severity.WARNING,
            )


def undone_before_done(subject: Subject) -> Iterator[Hit]:
    """SG010: by their names, a step that gives back stands before the one that takes."""
    acts = [act for act in subject.acts if not act.node.follow_up]
    for place, act in enumerate(acts):
        if not words_of(act.step.name) & GIVES or not things_of(act.step.name):
            continue
        for later in acts[place + 1 :]:
            same = things_of(act.step.name) == things_of(later.step.name)
            taken_before = any(
                words_of(each.step.name) & TAKES and things_of(each.step.name) == things_of(act.step.name)
                for each in acts[:place]
            )
            if same and words_of(later.step.name) & TAKES and not taken_before:
                yield Hit(
                    act.places,
                    act.path,
                    f'"{act.path}" stands before "{later.path}": it gives back what is not taken yet',
                    "put it behind, or make it the compensation of the other",
                    Severity.WARNING,
                )


def starts_another(subject: Subject) -> Iterator[Hit]:
    """SG031: a step that starts a saga of its own, which nothing undoes when this one turns back."""
    for act in subject.acts:
        calls = [call for call in act.action.source.calls if starts_saga(act.action.source, call)]
        if act.kept and calls and (why := _turned_back_by(subject, act)):
            yield Hit(
                act.action.source.at(calls[0]),
                act.path,
                f'step "{act.path}" starts another saga and has no compensation, and {why}: the other one goes on',
            )


def all_atomic(subject: Subject) -> Iterator[Hit]:
    """SG040: several steps that all write to the store's own database."""
    acts = [act for act in subject.acts if not (act.node.read_only or act.node.follow_up)]
    waits = any(node.kind in (Kind.WAIT, Kind.SLEEP) for node in subject.graph.nodes)
    if len(acts) > 1 and all(act.atomic for act in acts) and not waits:
        yield Hit(
            subject.places,
            "",
            f"all {len(acts)} steps that change something are atomic, on one database: would one transaction do?",
        )


def _starts(act: Act) -> bool:
    return any(starts_saga(act.action.source, call) for call in act.action.source.calls)


def _cannot_be_taken_back(act: Act) -> bool:
    source = act.action.source
    called = (words_of(source.called(call).rpartition(".")[2]) for call in source.calls)
    return bool(words_of(act.step.name) & TOLD) or any(words & MESSAGES for words in called)


def _only_logs(undo: Function) -> bool:
    """Whether it logs: then somebody may follow up."""
    return bool(undo.source.calls)


def _undone_by_nothing(act: Act, *, said: bool = False) -> bool:
    """Whether its compensation is a `pass`; one that is left out (`...`) is no code of anybody's.

    Parameters:
        said: also when there is a docstring alone.
    """
    undo = act.compensation
    if undo is None or not act.has_effect or act.node.best_effort or undo.source.tree is None:
        return False
    body = undo.source.tree.body
    left_out = isinstance(body, list) and all(
        isinstance(each, ast.Expr)
        and isinstance(each.value, ast.Constant)
        and (each.value.value is Ellipsis or not said or len(body) > 1)
        for each in body
    )
    return not left_out and nothing_in(undo)


def _turned_back_by(subject: Subject, act: Act) -> str:
    """What may turn the saga back past a step; "" when nothing may."""
    if act.node.follow_up or act.node.pivot or act.node.retriable:
        return ""
    alternatives = subject.around(act.node, Kind.FIRST_OF)
    if alternatives is not None and not _is_in_the_last(subject, act, alternatives.index):
        return "another alternative may only be tried when it is undone"
    after = next((node for node in subject.following(act) if subject.can_turn_back(node)), None)
    if after is not None:
        beside = "beside it" if after.index < act.node.index else "after it"
        return f'"{after.path}", which comes {beside}, may turn the saga back'
    if subject.around(act.node, Kind.EACH) is not None:
        return "when another item fails, the saga turns back past it"
    return ""


def _is_in_the_last(subject: Subject, act: Act, first_of: int) -> bool:
    node = act.node
    while node.parent != first_of:
        node = subject.graph.nodes[node.parent]
    return node.index == subject.graph.nodes[first_of].children[-1]


RULES = (
    Rule(
        "SG001",
        Severity.ERROR,
        "what stands after the pivot may turn the saga back, where nothing turns back",
        "make it retriable=True, read_only=True or best_effort=True, or put it before the pivot",
        "Behind the point of no return a saga only goes forward. A step there is repeated until it succeeds, or is "
        "passed over; one that may fail for good would leave the saga neither done nor undone.",
        check=refuses_behind_the_pivot,
        codes=("AM1303", "AM1304", "AM1305", "AM1306"),
    ),
    Rule(
        "SG002",
        Severity.ERROR,
        "what cannot be taken back stands before what may fail",
        "move it behind the pivot with retriable=True or among on_completed=, make it the pivot, or say "
        "best_effort=True when it may stay",
        "A mail that was sent stays sent. When a later step fails, the saga turns back, finds nothing that undoes this "
        "one, and waits in `requires_manual` for a person.",
        check=irreversible_too_early,
    ),
    Rule(
        "SG004",
        Severity.INFO,
        "the last effect of the saga is neither undone nor a pivot",
        "make it pivot=True, which repeats it under its key until its outcome is certain, or give it a compensation",
        "A step whose answer is lost may have taken effect. A step with a compensation is undone by its key, and a "
        "pivot is repeated and probed until its outcome is certain. One that is neither waits in `requires_manual` for "
        "a person.",
        check=unknown_at_the_end,
    ),
    Rule(
        "SG005",
        Severity.ERROR,
        "a step that the saga may have to undo has no compensation",
        "give it a compensation, say read_only=True if it changes nothing, or make it the pivot or retriable behind it",
        "When the saga turns back past a step that took effect and has no compensation, the effect stays and the saga "
        "waits in `requires_manual` for a person.",
        check=no_compensation,
    ),
    Rule(
        "SG010",
        Severity.ERROR,
        "something stands before what it needs",
        "reorder the steps, or read what was assigned before",
        "A compensation runs in reverse order: it sees the input, its own result and what was assigned before its "
        "action, never what a later step gave. A result behind a `choose` may be missing altogether. And what gives "
        "back comes after what takes.",
        check=undone_before_done,
        codes=("AM1205", "AM1206"),
    ),
    Rule(
        "SG031",
        Severity.ERROR,
        "a saga that a step starts is not undone with this one",
        "give the step a compensation that cancels it, run its nodes here with call(), or start it behind the pivot",
        "A saga that a step starts is independent: when this one turns back, it goes on, and books what nobody wants.",
        check=starts_another,
    ),
    Rule(
        "SG040",
        Severity.INFO,
        "a saga does what one transaction could",
        "write one function and one transaction, unless the steps are to be seen one by one",
        "Atomic steps write to the store's own database. When all steps do, nothing is distributed, and a transaction "
        "undoes for nothing.",
        check=all_atomic,
    ),
)
