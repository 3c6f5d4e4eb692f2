"""A plan as a tree of lines, for a terminal.

    place_order v1
    ├─ reserve_payment        ↩ refund_payment  probe
    ├─ parallel
    │  ├─ reserve_inventory   ↩ release_inventory
    │  └─ reserve_courier     ↩ cancel_courier
    ├─ choose
    │  ├─ over_limit: ◷ approval  signal, at most 24h
    │  └─ otherwise: nothing
    └─ ◆ capture_payment      pivot, probe

`↩` is what undoes a step. A saga's marks stand in a column before the tree, so that they are read down.

Rules of this file: pure; lines without control characters, each as wide as it is.
"""

from __future__ import annotations

from collections.abc import Iterator

from .layout import cells
from .plan import Form, Piece, Plan


def text(plan: Plan) -> str:
    """The plan as a tree of lines, for a terminal."""
    rows = list(_rows(plan))
    marks = [f"{piece.mark.icon} {piece.mark.words}" if piece and piece.mark else "" for piece, _, _ in rows]
    width = max(map(cells, marks), default=0)
    column = max((cells(stem) for _, stem, said in rows if said), default=0)
    lines = []
    for (_, stem, said), mark in zip(rows, marks, strict=True):
        line = f"{_padded(stem, column)}  {said}" if said else stem
        lines.append(f"{_padded(mark, width)}  {line}" if width else line)
    return "".join(f"{_clean(line).rstrip()}\n" for line in [*_head(plan), *lines])


def _clean(line: str) -> str:
    """Without what could steer a terminal: a structure may come from elsewhere."""
    return "".join(char if char.isprintable() else "?" for char in line)


def _padded(said: str, width: int) -> str:
    return said + " " * (width - cells(said))


def _head(plan: Plan) -> list[str]:
    return [f"{plan.title}  {plan.told}" if plan.told else plan.title]


_Row = tuple[Piece | None, str, str]  # the piece, its stem with name, what is said beside it


def _rows(plan: Plan) -> Iterator[_Row]:
    yield from _inside(plan.root, "")
    for title, piece in (("on completed", plan.after_completed), ("on compensated", plan.after_compensated)):
        if piece is not None:
            yield None, title, ""
            yield from _inside(piece, "")


def _inside(piece: Piece, stem: str) -> Iterator[_Row]:
    """The lines of what is in a piece; of a single one, its own."""
    children = piece.children if piece.form is Form.SERIES else (piece,)
    for at, child in enumerate(children):
        yield from _one(child, stem, "", last=at == len(children) - 1)


def _one(piece: Piece, stem: str, words: str, *, last: bool) -> Iterator[_Row]:
    corner, below = ("└─ ", "   ") if last else ("├─ ", "│  ")
    lead = f"{words}: " if words else ""
    if piece.form is Form.SERIES:
        if not piece.children:
            yield None, f"{stem}{corner}{lead}nothing", ""
            return
        yield None, f"{stem}{corner}{words or 'in order'}", ""
        for at, child in enumerate(piece.children):
            yield from _one(child, stem + below, "", last=at == len(piece.children) - 1)
        return
    sign = f"{piece.sign} " if piece.sign else ""
    yield piece, f"{stem}{corner}{lead}{sign}{piece.label}", _said(piece)
    parts = piece.children[0].children if _is_a_frame_of_a_series(piece) else piece.children
    for at, child in enumerate(parts):
        beside = piece.words[at] if piece.form is Form.CHOICE else ""
        yield from _one(child, stem + below, beside, last=at == len(parts) - 1)


def _is_a_frame_of_a_series(piece: Piece) -> bool:
    return piece.form is Form.FRAME and len(piece.children) == 1 and piece.children[0].form is Form.SERIES


def _said(piece: Piece) -> str:
    undo = f"↩ {piece.undo}" if piece.undo and piece.undo != "undo" else "↩" if piece.undo else ""
    return "  ".join(each for each in (undo, ", ".join(piece.notes)) if each)
