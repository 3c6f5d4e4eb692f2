"""A rollback table as a Mermaid flowchart: from each point, a line of what is undone to where the saga ends.

Rules of this file: those of `mermaid`: ids are ours, every label is quoted, strokes only.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..core.transitions import SagaStatus
from ..lint.failing import Outcome, Undo
from ..lint.rollback import Point, Table
from . import rollback_words as words
from .mermaid import quoted

_CLASSES = {
    SagaStatus.COMPENSATED: "stroke:#9a6700,stroke-width:2px",
    SagaStatus.COMPLETED: "stroke:#1a7f37,stroke-width:2px",
    SagaStatus.REQUIRES_MANUAL: "stroke:#cf222e,stroke-width:4px",
    SagaStatus.RUNNING: "stroke:#0969da,stroke-width:2px",
}


def rollback_mermaid(table: Table) -> str:
    """The table as the source of a Mermaid flowchart."""
    lines = ["flowchart LR", f'    title["{quoted(f"{table.title}: what is undone when it fails")}"]']
    ended: dict[str, list[str]] = {}
    for at, point in enumerate(table.points):
        lines += _point(at, point, ended)
    for ends, ids in ended.items():
        if ends in _CLASSES:
            lines.append(f"    classDef {ends} {_CLASSES[SagaStatus(ends)]}")
            lines.append(f"    class {','.join(ids)} {ends}")
    return "".join(f"{line}\n" for line in lines)


def _point(at: int, point: Point, ended: dict[str, list[str]]) -> Iterator[str]:
    beside = words.where(point)
    yield f'    p{at}["{quoted(f"{point.path} ({beside})" if beside else point.path)}"]'
    for number, row in enumerate(point.rows):
        own = f"p{at}r{number}"
        yield from _line(f"p{at}", own, words.how(row), row.outcome)
        ended.setdefault(row.outcome.ends, []).append(f"{own}end")


def _line(begin: str, own: str, how: str, outcome: Outcome) -> Iterator[str]:
    before, edge = [begin], f' -->|"{quoted(how)}"| '
    for number, group in enumerate(outcome.undone):
        ids = [f"{own}u{number}x{place}" for place in range(len(group))]
        for each, undo in zip(ids, group, strict=True):
            yield f'    {each}["{_label(undo)}"]'
            yield from (f"    {earlier}{edge}{each}" for earlier in before)
        before, edge = ids, " --> "
    yield f'    {own}end(["{quoted(words.ends(outcome))}"])'
    yield from (f"    {earlier}{edge}{own}end" for earlier in before)


def _label(undo: Undo) -> str:
    return f"↩ {quoted(undo.step)}<br>{quoted(words.call(undo))}"
