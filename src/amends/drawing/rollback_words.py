"""The words of a rollback table, the same in every form of it.

Rules of this file: pure; plain sentences, nothing of how they are laid out.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..core.transitions import SagaStatus
from ..lint.failing import Outcome, Undo
from ..lint.rollback import Point, Row

NOTHING = "nothing is undone"
NO_WAY = "no way leads here"
_KINDS = {"pivot": "the pivot", "wait": "a wait", "sleep": "a sleep"}


def where(point: Point) -> str:
    """What stands beside a point's name: what it is, if it is no plain step, and which branches lead to it."""
    said = [_KINDS[point.kind]] if point.kind in _KINDS else []
    if point.where:
        said.append(f"when {point.where}")
    return ", ".join(said)


def how(row: Row) -> str:
    """How it fails, and on which branches."""
    ways = _either(row.ways)
    return f"{ways}, when {_either(row.when)}" if row.when else ways


def _either(words: Sequence[str]) -> str:
    return " or ".join([*([", ".join(words[:-1])] if words[1:] else []), words[-1]])


def call(undo: Undo) -> str:
    """A compensation with its arguments; or that there is none that can be called."""
    if undo.owed:
        return f"not undone, a person is asked: {undo.owed}"
    return f"{undo.function}({', '.join(f'{each.name} = {each.source}' for each in undo.given)})"


def ends(outcome: Outcome) -> str:
    """Where the saga ends."""
    why = "; ".join(outcome.why)
    match outcome.ends:
        case SagaStatus.COMPENSATED:
            said = "it ends compensated"
        case SagaStatus.COMPLETED:
            said = "it goes on, and ends completed"
        case SagaStatus.REQUIRES_MANUAL:
            said = "it waits in requires_manual"
        case _:
            said = "it does not end by itself"
    return f"{said}: {why}" if why else said
