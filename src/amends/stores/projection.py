"""From journal rows to summaries: the part of the projection that every store shares.

Rules of this file: no I/O. A frame that this release cannot read never stops the projection: its
saga is listed as poison, and everybody else's list stays true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import ge, gt, le, lt
from string import ascii_lowercase, ascii_uppercase
from typing import NamedTuple

from ..core.events import Started, decode_frame
from ..core.filters import CORRELATION, Comparison, Filter, Match, Term, bound_of, fits
from ..core.graph import sizes_of, structure_from
from ..core.summary import Summary, fold_summary, fold_undecodable, hold_of
from .base import DefinitionRow, FrameRow, GroupBy


class Outline(NamedTuple):
    """What a summary is told of a definition: of each node its path, and how many nodes its subtree has."""

    paths: Sequence[str] = ()
    sizes: Sequence[int] = ()


Outlines = dict[tuple[str, int], Outline]
_UNKNOWN = Outline()


def outlines_of(definitions: Iterable[DefinitionRow]) -> Outlines:
    """The outline of each registered definition; one that is damaged is left out."""
    outlines: Outlines = {}
    for row in definitions:
        try:
            nodes = structure_from(row.structure).nodes
        except ValueError:
            continue
        outlines[row.name, row.version] = Outline([node.path for node in nodes], sizes_of(nodes))
    return outlines


def fold_row(summary: Summary | None, row: FrameRow, outlines: Mapping[tuple[str, int], Outline]) -> Summary:
    """The saga's summary after one more journal row."""
    try:
        frame = decode_frame(row.body)
        if summary is not None:
            name, version = summary.name, summary.version
        elif frame.events and isinstance(first := frame.events[0], Started):
            name, version = first.name, first.version
        else:
            name, version = "", 0
        outline = outlines.get((name, version), _UNKNOWN)
        return fold_summary(summary, row.saga_id, frame, row.seq, outline.paths, outline.sizes)
    except ValueError as error:
        return fold_undecodable(summary, row.saga_id, row.seq, f"frame {row.seq}: {error}")


def matches(summary: Summary, which: Filter) -> bool:
    """Whether a summary is in the list that the filter asks for."""
    return all(_holds(term, summary, which.now) is not term.negated for term in which.terms)


def group_of(summary: Summary, field: GroupBy) -> str | int:
    """The value that a tally groups the summary by."""
    return _GROUP[field](summary)


def _holds(term: Term, summary: Summary, now: int) -> bool:
    if isinstance(term, Match):
        return _MATCH[term.field](summary, term)
    op, limit = bound_of(term, now)
    number = _NUMBER[term.field](summary)
    if term.field == "duration" and number:
        number = (summary.ended or now) - number
    elif number == 0 and term.unit != "number":
        return False  # it has no such time
    return _OPERATORS[op](number, limit)


def _any_flag(summary: Summary, term: Match) -> bool:
    return any(_FLAGS[value.text](summary) for value in term.values)


def _cause(summary: Summary, term: Match) -> bool:
    return any(value.text.translate(_SMALL) in summary.cause.translate(_SMALL) for value in term.values)


def _correlation(summary: Summary, term: Match) -> bool:
    value = summary.correlation.get(term.key)
    return value is not None and fits(term.values, value)


_SMALL = str.maketrans(ascii_uppercase, ascii_lowercase)  # which is what SQL's lower() does

_MATCH: dict[str, Callable[[Summary, Match], bool]] = {
    "status": lambda summary, term: fits(term.values, summary.status),
    "hold": lambda summary, term: fits(term.values, hold_of(summary)),
    "is": _any_flag,
    "name": lambda summary, term: fits(term.values, summary.name),
    "key": lambda summary, term: fits(term.values, summary.key),
    "id": lambda summary, term: fits(term.values, summary.saga_id),
    "step": lambda summary, term: fits(term.values, summary.step),
    "failed": lambda summary, term: any(fits(term.values, step) for step in summary.failed),
    "cause": _cause,
    "version": lambda summary, term: fits(term.values, str(summary.version)),
    CORRELATION: _correlation,
}

_FLAGS: dict[str, Callable[[Summary], bool]] = {
    "ended": lambda summary: summary.ended > 0,
    "waiting": lambda summary: hold_of(summary) != "",
    "paused": lambda summary: summary.paused,
    "anomalous": lambda summary: summary.anomalous,
    "followup_failed": lambda summary: summary.followup_failed,
    "turned_back": lambda summary: summary.turned_back,
    "manual": lambda summary: summary.manual,
    "intervened": lambda summary: summary.intervened,
}

_NUMBER: dict[str, Callable[[Summary], int]] = {
    "started": lambda summary: summary.started,
    "updated": lambda summary: summary.updated,
    "ended": lambda summary: summary.ended,
    "deadline": lambda summary: summary.deadline,
    "waiting": lambda summary: summary.waiting_since,
    "duration": lambda summary: summary.started,  # from when it counts
    "version": lambda summary: summary.version,
}

_GROUP: dict[GroupBy, Callable[[Summary], str | int]] = {
    "name": lambda summary: summary.name,
    "version": lambda summary: summary.version,
    "status": lambda summary: summary.status,
    "hold": hold_of,
    "step": lambda summary: summary.step,
}

_OPERATORS: dict[Comparison, Callable[[int, int], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}
