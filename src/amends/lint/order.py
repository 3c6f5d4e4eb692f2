"""Rules on the order of the graph: what stands before what, when a saga may turn back past it."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.graph import Kind
from .findings import Hit, Rule, Severity
from .subject import Act, Subject
from .words import TOLD, words_of


def no_compensation(subject: Subject) -> Iterator[Hit]:
    """SG005: a step that has none, and something after it that may turn the saga back."""
    for act in subject.acts:
        if act.kept and not _cannot_be_taken_back(act) and (why := _turned_back_by(subject, act)):
            yield Hit(act.places, act.path, f'step "{act.path}" has no compensation, and {why}')


def irreversible_too_early(subject: Subject) -> Iterator[Hit]:
    """SG002: something that cannot be taken back stands before a step that may fail."""
    for act in subject.acts:
        if act.kept and _cannot_be_taken_back(act) and (why := _turned_back_by(subject, act)):
            yield Hit(act.places, act.path, f'step "{act.path}" cannot be taken back, and {why}')


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


def _cannot_be_taken_back(act: Act) -> bool:
    return bool(words_of(act.step.name) & TOLD)


def _turned_back_by(subject: Subject, act: Act) -> str:
    """What may turn the saga back past a step; "" when nothing may."""
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
)
