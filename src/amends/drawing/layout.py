"""Where the pieces of a plan stand in a picture: exact, by walking the tree once.

A graph is series-parallel, so each piece is a rectangle with an *axis*: the height at which what comes before
enters on the left, and what comes after leaves on the right. A series puts its pieces side by side with their
axes in line; a fork or choice stacks them, and its axis is half-way between the first and the last of theirs.

Rules of this file: pure arithmetic; lengths are pixels, of a font whose characters are all equally wide.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field

from .plan import Form, Piece

CHAR = 7.8  # of a name, at 13px
SMALL = 6.6  # of what stands below it, at 11px
LINE, SMALL_LINE = 18.0, 15.0
PAD, GAP = 12.0, 26.0  # inside a box; between two of a series
STACK = 14.0  # between two branches
TURN = 30.0  # where a line leaves for its branch, or comes back
DIAMOND = 13.0  # half of it
UNDO_GAP, UNDO = 7.0, 22.0  # below a box, and what undoes it
TITLE = 22.0  # of a frame
BOX_MIN = 64.0


@dataclass
class Placed:
    """A piece with its place. `x`, `y` are its upper left corner, `axis` counts from `y`."""

    piece: Piece
    width: float
    height: float
    axis: float
    x: float = 0.0
    y: float = 0.0
    children: list[Placed] = field(default_factory=list)
    box: tuple[float, float] = (0.0, 0.0)  # LEAF: the size of its box
    sign: float = 0.0  # CHOICE: from the left edge to where the branches part
    lead: float = 0.0  # CHOICE and FORK: from the left edge to where the branches begin


def cells(said: str) -> int:
    """How many equally wide characters a text takes: two for a wide one."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in said)


def place(piece: Piece, x: float, y: float, *, lines: int) -> Placed:
    """A piece and all in it, its upper left corner at (x, y); every box has room for `lines` below its name."""
    placed = _measure(piece, lines)
    _move(placed, x, y)
    return placed


def lines_of(piece: Piece) -> list[str]:
    """What stands below a piece's name, line by line."""
    notes = [", ".join(piece.notes)] if piece.notes else []
    return [*notes, *([f"{piece.mark.icon} {piece.mark.words}"] if piece.mark else [])]


def name_of(piece: Piece) -> str:
    """Its sign and its name."""
    return f"{piece.sign} {piece.label}" if piece.sign else piece.label


def _measure(piece: Piece, lines: int) -> Placed:
    match piece.form:
        case Form.LEAF:
            return _leaf(piece, lines)
        case Form.SERIES:
            return _series(piece, lines)
        case Form.FRAME:
            return _frame(piece, lines)
        case _:
            return _stack(piece, lines)


def _leaf(piece: Piece, lines: int) -> Placed:
    below = lines_of(piece)
    inner = max([cells(name_of(piece)) * CHAR, *(cells(line) * SMALL for line in below)])
    undo = cells(f"↩ {piece.undo}") * SMALL + 2 * PAD if piece.undo else 0.0
    width = max(inner + 2 * PAD, undo, BOX_MIN)
    tall = LINE + SMALL_LINE * lines + PAD
    height = tall + (UNDO_GAP + UNDO if piece.undo else 0.0)
    return Placed(piece, width, height, tall / 2, box=(width, tall))


def _series(piece: Piece, lines: int) -> Placed:
    children = [_measure(child, lines) for child in piece.children]
    if not children:
        return Placed(piece, BOX_MIN / 2, LINE, LINE / 2)
    axis = max(child.axis for child in children)
    below = max(child.height - child.axis for child in children)
    width = sum(child.width for child in children) + GAP * (len(children) - 1)
    return Placed(piece, width, axis + below, axis, children=children)


def _frame(piece: Piece, lines: int) -> Placed:
    inner = _series(piece, lines)
    head = TITLE + (SMALL_LINE if lines_of(piece) else 0.0)
    wide = max(
        inner.width, cells(name_of(piece)) * SMALL, *(cells(line) * SMALL for line in lines_of(piece)), BOX_MIN
    )  # fmt: skip
    return Placed(
        piece, wide + 2 * PAD, head + inner.height + PAD, head + inner.axis, children=inner.children
    )  # fmt: skip


def _stack(piece: Piece, lines: int) -> Placed:
    children = [_measure(child, lines) for child in piece.children]
    words = max((cells(words) for words in piece.words), default=0) * SMALL
    sign = 0.0
    if piece.form is Form.CHOICE:  # the branches bend away behind what stands above the diamond
        sign = max(2 * DIAMOND, max(map(cells, [piece.label, *lines_of(piece)])) * SMALL + PAD - TURN / 2)
    lead = sign + TURN + (words + PAD if words else 0.0)
    width = lead + max((child.width for child in children), default=0.0) + TURN
    height = sum(child.height for child in children) + STACK * max(len(children) - 1, 0)
    tops, top = [], 0.0
    for child in children:
        tops.append(top)
        top += child.height + STACK
    axes = [top + child.axis for top, child in zip(tops, children, strict=True)]
    axis = (axes[0] + axes[-1]) / 2 if axes else LINE / 2
    captions = _captions(piece)
    over = max(0.0, DIAMOND + SMALL_LINE * captions - axis) if sign else 0.0
    return Placed(
        piece, max(width, lead), max(height + over, LINE), axis + over, children=children, lead=lead, sign=sign
    )  # fmt: skip


def _captions(piece: Piece) -> int:
    """How many lines stand above a choice's diamond."""
    return 1 + len(lines_of(piece))


def _move(placed: Placed, x: float, y: float) -> None:
    placed.x, placed.y = x, y
    match placed.piece.form:
        case Form.SERIES | Form.FRAME:
            at = x + (PAD if placed.piece.form is Form.FRAME else 0.0)
            for child in placed.children:
                _move(child, at, y + placed.axis - child.axis)
                at += child.width + GAP
        case Form.FORK | Form.CHOICE:
            height = sum(child.height for child in placed.children) + STACK * max(len(placed.children) - 1, 0)
            top = y + placed.height - max(height, 0.0)
            for child in placed.children:
                _move(child, x + placed.lead, top)
                top += child.height + STACK
        case _:
            pass
