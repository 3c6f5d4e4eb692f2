"""A plan as a picture: one SVG file that needs nothing beside it.

From left to right is forward; below a step hangs what undoes it, dashed, and turning back goes from right to
left. No script, no font and no address outside it; light or dark as the reader's system is; a title and a
description for those who do not see it. Colour never says anything alone: a mark has its icon and word.

Rules of this file: pure; every text is escaped, and what XML cannot hold is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape

from . import layout
from .layout import Placed, cells, lines_of, name_of, place
from .plan import Form, Piece, Plan

_MARGIN = 24.0
_HEAD = 44.0
_CORNER = 9.0  # the radius of a bend
_STYLE = """
svg{font-family:ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;
--paper:#ffffff;--ink:#1f2328;--soft:#59636e;--line:#8c959f;--box:#f6f8fa;
--good:#1a7f37;--bad:#cf222e;--going:#0969da;--unknown:#8250df;--undo:#9a6700}
@media (prefers-color-scheme:dark){svg{--paper:#0d1117;--ink:#e6edf3;--soft:#9198a1;--line:#656c76;--box:#161b22;
--good:#3fb950;--bad:#f85149;--going:#58a6ff;--unknown:#bc8cff;--undo:#d29922}}
.paper{fill:var(--paper)}.box{fill:var(--box);stroke:var(--line);stroke-width:1.2}
.line{fill:none;stroke:var(--line);stroke-width:1.4}
.dot{fill:var(--line)}.end{fill:var(--paper);stroke:var(--line);stroke-width:1.4}
.frame{fill:none;stroke:var(--line);stroke-dasharray:2 3}.undo{fill:none;stroke:var(--undo);stroke-dasharray:4 3}
text{font-size:13px;fill:var(--ink)}.small{font-size:11px;fill:var(--soft)}.undone-by{font-size:11px;fill:var(--undo)}
.head{font-size:15px;font-weight:600}.pivot{stroke:var(--ink);stroke-width:2.4}
.good{stroke:var(--good)}.bad{stroke:var(--bad)}.going{stroke:var(--going)}.unknown{stroke:var(--unknown)}
.manual{stroke:var(--bad);stroke-width:3}.undone{stroke:var(--undo)}.idle{stroke-dasharray:2 3}
text.good,text.bad,text.going,text.unknown,text.manual,text.undone{stroke:none}
text.good{fill:var(--good)}text.bad,text.manual{fill:var(--bad)}text.going{fill:var(--going)}
text.unknown{fill:var(--unknown)}text.undone{fill:var(--undo)}
"""


def svg(plan: Plan) -> str:
    """The plan as an SVG picture, which needs nothing beside it."""
    rows = [(words, piece) for words, piece in _rows(plan) if piece is not None]
    lines = max((len(lines_of(piece)) for piece in _all(plan) if piece.form is Form.LEAF), default=0)
    parts: list[str] = []
    y = _MARGIN + _HEAD
    width = max(_MARGIN * 2 + len(plan.title + plan.told) * 9 + 40, 320.0)
    for words, piece in rows:
        if words:
            parts.append(_text(_MARGIN, y + 11, words, "small"))
            y += 20
        placed = place(piece, _MARGIN + 22, y, lines=lines)
        parts += _row(placed)
        y += placed.height + 26
        width = max(width, placed.x + placed.width + 22 + _MARGIN)
    legend = _legend(plan)
    for line in legend:
        parts.append(_text(_MARGIN, y + 4, line, "small"))
        width = max(width, _MARGIN * 2 + cells(line) * layout.SMALL)
        y += 16
    height = y + _MARGIN - 8
    head = _text(_MARGIN, _MARGIN + 12, plan.title, "head")
    if plan.told:
        head += _text(_MARGIN + cells(plan.title) * 9 + 18, _MARGIN + 12, plan.told, "small")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img" aria-labelledby="title description">\n'
        f'<title id="title">{_clean(plan.title)}</title>\n'
        f'<desc id="description">{_clean(_described(plan))}</desc>\n<style>{_STYLE}</style>\n'
        f'<rect class="paper" width="100%" height="100%" rx="8"/>\n{head}{"".join(parts)}</svg>\n'
    )


def _rows(plan: Plan) -> Iterator[tuple[str, Piece | None]]:
    yield "", plan.root
    yield "on completed", plan.after_completed
    yield "on compensated", plan.after_compensated


def _row(placed: Placed) -> Iterator[str]:
    """A graph between its beginning and its end."""
    y = placed.y + placed.axis
    right = placed.x + placed.width
    yield f'<circle class="dot" cx="{placed.x - 17:.1f}" cy="{y:.1f}" r="5"/>\n'
    yield _line(placed.x - 12, y, placed.x)
    yield from _draw(placed)
    yield _line(right, y, right + 12)
    yield f'<circle class="end" cx="{right + 17:.1f}" cy="{y:.1f}" r="5"/>\n'


def _draw(placed: Placed) -> Iterator[str]:
    match placed.piece.form:
        case Form.LEAF:
            yield from _leaf(placed)
        case Form.FRAME:
            yield from _frame(placed)
        case Form.SERIES:
            yield from _series(placed, placed.x, placed.x + placed.width)
        case _:
            yield from _split(placed)


def _series(placed: Placed, left: float, right: float) -> Iterator[str]:
    """Lines up to, between and behind the pieces, and the pieces."""
    y, at = placed.y + placed.axis, left
    for child in placed.children:
        yield _line(at, y, child.x)
        yield from _draw(child)
        at = child.x + child.width
    yield _line(at, y, right)


def _leaf(placed: Placed) -> Iterator[str]:
    piece, (width, tall) = placed.piece, placed.box
    tone = piece.mark.tone if piece.mark else ""
    classes = " ".join(each for each in ("box", "pivot" if piece.pivot else "", tone) if each)
    yield (
        f'<g><rect class="{classes}" x="{placed.x:.1f}" y="{placed.y:.1f}" width="{width:.1f}" height="{tall:.1f}" '
        f'rx="{tall / 2 if _is_round(piece) else 6:.1f}"/>\n'
    )
    lines = lines_of(piece)
    middle = placed.x + width / 2
    y = placed.y + tall / 2 + 4.5 - len(lines) * layout.SMALL_LINE / 2
    yield _text(middle, y, name_of(piece), "", middle=True)
    for line in lines:
        y += layout.SMALL_LINE
        marked = piece.mark is not None and line.startswith(piece.mark.icon)
        yield _text(middle, y, line, f"small {tone}" if marked else "small", middle=True)
    if piece.undo:
        top = placed.y + tall + layout.UNDO_GAP
        yield (
            f'<path class="undo" d="M{middle:.1f} {placed.y + tall:.1f}V{top:.1f}"/>'
            f'<rect class="undo" x="{placed.x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{layout.UNDO:.1f}" '
            'rx="4"/>\n'
        )
        yield _text(middle, top + 15, f"↩ {piece.undo}", "undone-by", middle=True)
    yield "</g>\n"


def _is_round(piece: Piece) -> bool:
    return bool(piece.sign) and not piece.pivot


def _frame(placed: Placed) -> Iterator[str]:
    piece = placed.piece
    tone = piece.mark.tone if piece.mark else ""
    yield (
        f'<rect class="frame {tone}" x="{placed.x:.1f}" y="{placed.y:.1f}" width="{placed.width:.1f}" '
        f'height="{placed.height:.1f}" rx="8"/>\n'
    )
    y = placed.y + 15
    yield _text(placed.x + layout.PAD, y, name_of(piece), "small")
    for line in lines_of(piece):
        y += layout.SMALL_LINE
        yield _text(placed.x + layout.PAD, y, line, f"small {tone}")
    yield from _series(placed, placed.x, placed.x + placed.width)


def _split(placed: Placed) -> Iterator[str]:
    """Branches between where they part and where they meet again."""
    piece, y = placed.piece, placed.y + placed.axis
    part, meet = placed.x, placed.x + placed.width
    if piece.form is Form.CHOICE:
        yield from _diamond(placed, y)
        yield _line(part + 2 * layout.DIAMOND, y, part + placed.sign)
        part += placed.sign
    left = placed.x + placed.lead
    words_at = part + layout.TURN
    for at, child in enumerate(placed.children):
        axis = child.y + child.axis
        yield _bend(part, y, words_at, axis)
        yield _line(words_at, axis, left)
        if piece.words:
            yield _text(words_at, axis - 5, piece.words[at], "small")
        yield from _draw(child)
        yield _line(child.x + child.width, axis, meet - layout.TURN)
        yield _bend(meet - layout.TURN, axis, meet, y)


def _diamond(placed: Placed, y: float) -> Iterator[str]:
    piece, half = placed.piece, layout.DIAMOND
    tone = piece.mark.tone if piece.mark else ""
    x = placed.x + half
    yield f'<path class="box {tone}" d="M{x - half:.1f} {y:.1f}l{half} -{half}l{half} {half}l-{half} {half}z"/>\n'
    captions = [piece.label, *lines_of(piece)]
    for at, line in enumerate(reversed(captions)):
        yield _text(placed.x, y - half - 4 - at * layout.SMALL_LINE, line, "small")


def _line(start: float, y: float, end: float) -> str:
    return f'<path class="line" d="M{start:.1f} {y:.1f}H{end:.1f}"/>\n' if end - start > 0.05 else ""


def _bend(x: float, y: float, to_x: float, to_y: float) -> str:
    """A line that leaves and arrives level, with round corners; those of many branches share their upright part."""
    if abs(y - to_y) < 0.05:
        return _line(x, y, to_x)
    middle = (x + to_x) / 2
    radius = min(_CORNER, abs(to_y - y) / 2)
    turn = radius if to_y > y else -radius
    return (
        f'<path class="line" d="M{x:.1f} {y:.1f}H{middle - radius:.1f}q{radius:.1f} 0 {radius:.1f} {turn:.1f}'
        f'V{to_y - turn:.1f}q0 {turn:.1f} {radius:.1f} {turn:.1f}H{to_x:.1f}"/>\n'
    )


def _text(x: float, y: float, said: str, kind: str, *, middle: bool = False) -> str:
    anchor = ' text-anchor="middle"' if middle else ""
    of_kind = f' class="{kind.strip()}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{of_kind}{anchor} xml:space="preserve">{_clean(said)}</text>\n'


def _clean(said: str) -> str:
    return escape("".join(char for char in " ".join(said.split(" ")) if _holds(char)))


def _holds(char: str) -> bool:
    """Whether XML can hold it, and nothing is reordered by it."""
    number = ord(char)
    return 0x20 <= number < 0x7F or (number >= 0xA0 and char.isprintable())


def _legend(plan: Plan) -> list[str]:
    pieces = list(_all(plan))
    lines = []
    if any(piece.undo for piece in pieces):
        lines.append("↩ undoes what stands above it; turning back goes from right to left")
    if any(piece.pivot for piece in pieces):
        lines.append("◆ the pivot: once it has succeeded there is no way back")
    return lines


def _all(plan: Plan) -> Iterator[Piece]:
    stack = [piece for _, piece in _rows(plan) if piece is not None]
    while stack:
        piece = stack.pop()
        yield piece
        stack += piece.children


def _described(plan: Plan) -> str:
    from .text import text

    return text(plan)
