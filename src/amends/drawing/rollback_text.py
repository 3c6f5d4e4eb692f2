"""A rollback table as lines, for a terminal of 100 columns.

    reserve_payment
      rejected or never sent
        1. create_order ↩ cancel_order(order = input, ctx = context)
        it ends compensated

Rules of this file: pure; lines without control characters. What has one number runs at the same time.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from ..lint.rollback import Point, Row, Table
from . import rollback_words as words

WIDTH = 100


def rollback_text(table: Table) -> str:
    """The table as lines."""
    lines = [f"{table.title}: what is undone when it fails", ""]
    for note in table.notes:
        lines += _wrapped(note, "", "")
    for point in table.points:
        lines += ["", *_point(point)]
    return "".join(f"{line}\n" for line in lines)


def _point(point: Point) -> Iterator[str]:
    beside = words.where(point)
    yield from _wrapped(f"{point.path}  ({beside})" if beside else point.path, "", "  ")
    if not point.rows:
        yield f"  {words.NO_WAY}"
    for row in point.rows:
        yield from _row(row)


def _row(row: Row) -> Iterator[str]:
    yield from _wrapped(words.how(row), "  ", "    ")
    if not row.outcome.undone:
        yield f"    {words.NOTHING}"
    width = len(str(len(row.outcome.undone)))
    for number, group in enumerate(row.outcome.undone, 1):
        lead = f"    {number:>{width}}. "
        for undo in group:
            yield from _wrapped(f"{undo.step} ↩ {words.call(undo)}", lead, " " * (len(lead) + 2))
            lead = f"    {'':>{width}}∥ "
    yield from _wrapped(words.ends(row.outcome), "    ", "      ")


def _wrapped(said: str, first: str, then: str) -> list[str]:
    clean = "".join(char if char.isprintable() else "?" for char in said)
    return textwrap.wrap(
        clean, WIDTH, initial_indent=first, subsequent_indent=then, break_long_words=False, break_on_hyphens=False
    )
