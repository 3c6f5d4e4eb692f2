"""Rules on compensations: whether they can undo what the step may have done."""

from __future__ import annotations

from collections.abc import Iterator

from .findings import Hit, Rule, Severity
from .subject import Subject


def needs_the_result(subject: Subject) -> Iterator[Hit]:
    """SG009: a compensation that cannot be called when the action's answer was lost."""
    for act in subject.acts:
        undo = act.compensation
        if undo is None or undo.own_result is None or act.atomic or act.node.on_unknown == "park":
            continue
        if act.node.needs_result:
            yield Hit(
                undo.source.places,
                act.path,
                f'the compensation of "{act.path}" cannot take None for "{undo.own_result.name}": when the answer of '
                f"the action is lost, its effect stays",
            )


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
)
