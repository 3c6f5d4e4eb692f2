"""A plan as a Mermaid flowchart, for Markdown.

Rules of this file: pure. Ids are ours (`n3`, `u3`), so no name can be taken for a keyword. Every label stands
in quotes, and of ASCII only what is in `_PLAIN` stands for itself in it; the rest is written as an entity
(`#35;`), for a label may hold anything.
"""

from __future__ import annotations

from .plan import Form, Piece, Plan

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _.,:-/+?=!'")
_INDENT = "    "
_CLASSES = {
    "good": "stroke:#1a7f37,stroke-width:2px",
    "bad": "stroke:#cf222e,stroke-width:2px",
    "going": "stroke:#0969da,stroke-width:2px",
    "unknown": "stroke:#8250df,stroke-width:2px,stroke-dasharray:4 2",
    "manual": "stroke:#cf222e,stroke-width:4px",
    "undone": "stroke:#9a6700,stroke-width:2px",
    "idle": "stroke:#6e7781,stroke-dasharray:2 2",
    "undo": "stroke:#9a6700,stroke-dasharray:4 2",
}  # strokes only: the fill is the theme's, so that text stays legible in a dark one


def mermaid(plan: Plan) -> str:
    """The plan as the source of a Mermaid flowchart."""
    return _Chart(plan).source()


class _Chart:
    """One flowchart on its way."""

    def __init__(self, plan: Plan) -> None:
        self._lines = ["flowchart TD"]
        self._depth = 1
        self._classes: dict[str, list[str]] = {}
        self._made = 0
        self._write(f'title["{quoted(plan.title + (f"  {plan.told}" if plan.told else ""))}"]')
        ends = self._follow(plan.root, [("title", "")])
        for words, piece in (("completed", plan.after_completed), ("compensated", plan.after_compensated)):
            if piece is not None:
                self._follow(piece, [(end, words) for end, _ in (ends if words == "completed" else [("title", "")])])

    def source(self) -> str:
        """All lines."""
        classes = [f"{_INDENT}classDef {name} {style}" for name, style in _CLASSES.items() if name in self._classes]
        given = [f"{_INDENT}class {','.join(ids)} {name}" for name, ids in self._classes.items()]
        return "".join(f"{line}\n" for line in [*self._lines, *classes, *given])

    def _write(self, line: str) -> None:
        self._lines.append(_INDENT * self._depth + line)

    def _edges(self, ends: list[tuple[str, str]], to: str) -> None:
        for end, words in ends:
            self._write(f'{end} -->|"{quoted(words)}"| {to}' if words else f"{end} --> {to}")

    def _follow(self, piece: Piece, ends: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Draw a piece after these ends (an id, and what stands on its edge); the ends that it leaves."""
        if piece.form is Form.SERIES:
            for child in piece.children:
                ends = self._follow(child, ends)
            return ends
        if piece.form is Form.LEAF:
            return self._leaf(piece, ends)
        if piece.form is Form.FRAME:
            return self._frame(piece, ends)
        return self._split(piece, ends)

    def _leaf(self, piece: Piece, ends: list[tuple[str, str]]) -> list[tuple[str, str]]:
        own = f"n{piece.index}"
        left, right = ("{{", "}}") if piece.pivot else ("([", "])") if piece.sign and not piece.pivot else ("[", "]")
        self._write(f'{own}{left}"{_label(piece)}"{right}')
        self._edges(ends, own)
        self._mark(piece, own)
        if piece.undo:
            self._write(f'{own} -.- u{piece.index}["↩ {quoted(piece.undo)}"]')
            self._classes.setdefault("undo", []).append(f"u{piece.index}")
        return [(own, "")]

    def _split(self, piece: Piece, ends: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Branches: out of a node of their own, and together again in another."""
        self._made += 1
        begin, end = f"s{self._made}", f"e{self._made}"
        fork = piece.form is Form.FORK
        self._write(f'{begin}{{"{_label(piece)}"}}' if not fork else f'{begin}(("{_label(piece)}"))')
        self._edges(ends, begin)
        self._mark(piece, begin)
        together: list[tuple[str, str]] = []
        for at, child in enumerate(piece.children):
            words = "" if fork else piece.words[at]
            together += self._follow(child, [(begin, words)])
        self._write(f'{end}((" "))')
        self._edges(together, end)
        return [(end, "")]

    def _frame(self, piece: Piece, ends: list[tuple[str, str]]) -> list[tuple[str, str]]:
        self._made += 1
        self._write(f'subgraph g{self._made}["{_label(piece)}"]')
        self._depth += 1
        begin = f"s{self._made}"
        self._write(f'{begin}((" "))')
        inner = [(begin, "")]
        for child in piece.children:
            inner = self._follow(child, inner)
        self._depth -= 1
        self._write("end")
        self._edges(ends, begin)
        self._mark(piece, begin)
        return inner

    def _mark(self, piece: Piece, own: str) -> None:
        if piece.mark is not None and piece.mark.tone:
            self._classes.setdefault(piece.mark.tone, []).append(own)


def _label(piece: Piece) -> str:
    sign = f"{piece.sign} " if piece.sign else ""
    lines = [quoted(f"{sign}{piece.label}")]
    if piece.notes:
        lines.append(quoted(", ".join(piece.notes)))
    if piece.mark is not None:
        lines.append(quoted(f"{piece.mark.icon} {piece.mark.words}"))
    return "<br>".join(lines)


def quoted(said: str) -> str:
    """A text for the inside of a quoted label, which must not be empty."""
    written = "".join(
        char if char in _PLAIN or (ord(char) > 0xA0 and char.isprintable()) else f"#{ord(char)};"
        for char in " ".join(said.split())
    )
    return written or " "
