"""From journal rows to summaries: the part of the projection that every store shares.

Rules of this file: no I/O. A frame that this release cannot read never stops the projection: its
saga is listed as poison, and everybody else's list stays true.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..core.events import Started, decode_frame
from ..core.graph import structure_from
from ..core.summary import Summary, fold_summary, fold_undecodable, hold_of
from .base import DefinitionRow, Filter, FrameRow

Paths = dict[tuple[str, int], list[str]]


def paths_of(definitions: Iterable[DefinitionRow]) -> Paths:
    """The node paths of each registered definition; one that is damaged is left out."""
    paths: Paths = {}
    for row in definitions:
        try:
            paths[row.name, row.version] = [node.path for node in structure_from(row.structure).nodes]
        except ValueError:
            continue
    return paths


def fold_row(summary: Summary | None, row: FrameRow, paths: Mapping[tuple[str, int], list[str]]) -> Summary:
    """The saga's summary after one more journal row."""
    try:
        frame = decode_frame(row.body)
        if summary is not None:
            name, version = summary.name, summary.version
        elif frame.events and isinstance(first := frame.events[0], Started):
            name, version = first.name, first.version
        else:
            name, version = "", 0
        return fold_summary(summary, row.saga_id, frame, row.seq, paths.get((name, version), ()))
    except ValueError as error:
        return fold_undecodable(summary, row.saga_id, row.seq, f"frame {row.seq}: {error}")


def matches(summary: Summary, which: Filter) -> bool:
    """Whether a summary is in the list that the filter asks for."""
    return (
        (not which.status or summary.status in which.status)
        and (not which.name or summary.name == which.name)
        and (not which.key or summary.key == which.key)
        and (not which.hold or hold_of(summary) == which.hold)
        and all(summary.correlation.get(key) == value for key, value in which.correlation)
        and which.anomalous in (None, summary.anomalous)
        and which.followup_failed in (None, summary.followup_failed)
    )
