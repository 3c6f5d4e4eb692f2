"""How anything reaches standard output: as a table for people, as JSON for programs.

    a terminal      colour, and as wide as it is
    a pipe or file  plain; a row is never cut, unless COLUMNS says how wide it may be
    no UTF-8        icons and lines become ASCII, JSON is escaped
    a closed pipe   `| head` ended first: `BrokenPipeError`, which ends the command quietly

Rules of this file: it alone writes to standard output. Text from outside becomes a rich `Text` of a
`safe` string and never markup, so that nothing in it is obeyed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from ..runtime.texts import escaped
from .words import safe

_GAP = "  "
_ELASTIC_MIN = 8  # cells that a column keeps when it gives way
_ASCII = str.maketrans(
    {
        "○": "o", "▸": ">", "◂": "<", "✓": "+", "↩": "<", "■": "#", "↻": "~", "…": ".", "✗": "x", "·": ".",
        "━": "=", "┃": "|", "┄": "-", "╌": "-", "×": "x", "≈": "~", "═": "=", "║": "|", "●": "o", "└": "`", "─": "-",
        "├": "|", "│": "|", "◆": "*", "◷": "@", "☾": "z", "≡": "#", "↳": ">",
    }
)  # fmt: skip


def text(said: object, style: str = "") -> Text:
    """One piece of a line, made safe."""
    return Text(safe(said), style)


def width() -> int | None:
    """How many cells a line may have; None for as many as it needs."""
    said = os.environ.get("COLUMNS", "")
    if said.isdigit() and int(said):
        return int(said)
    return os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else None


def write(lines: Iterable[Text]) -> None:
    """Print lines for people."""
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        for line in lines:
            console.print(line, soft_wrap=True)
    _put(captured.get() if _utf8() else captured.get().translate(_ASCII))


@contextmanager
def redrawn() -> Iterator[Callable[[list[Text]], None]]:
    """A way to print lines in the place of those printed before; on no terminal, below them."""
    if not sys.stdout.isatty():
        yield write
        return
    from rich.live import Live

    with Live(console=Console(file=sys.stdout, highlight=False, markup=False, emoji=False), auto_refresh=False) as live:
        yield lambda lines: live.update(Text("\n").join(lines), refresh=True)


def write_script(said: str) -> None:
    """Print a text of ours as it is: lines that a person reads and a program runs."""
    _put(said if said.endswith("\n") else said + "\n")


def write_json(value: Any) -> None:
    """Print one value, indented."""
    _put(_json(value, indent=2) + "\n")


def write_jsonl(value: Any) -> None:
    """Print one value on one line, at once."""
    _put(_json(value) + "\n")


async def write_all(records: AsyncIterator[Any], form: str) -> None:
    """Print many values: an array, or one a line as they come."""
    if form == "jsonl":
        async for record in records:
            write_jsonl(record)
    else:
        write_json([record async for record in records])


def write_text(said: str) -> None:
    """Print a drawing as it is; without UTF-8 its signs become ASCII."""
    _put(said if _utf8() else said.translate(_ASCII))


def write_raw(data: bytes) -> None:
    """Print bytes as they are, such as a bundle."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def write_one(record: Any, form: str) -> None:
    """Print one value in the JSON form asked for."""
    (write_jsonl if form == "jsonl" else write_json)(record)


def _json(value: Any, indent: int | None = None) -> str:
    # Controls below 0x20 are escaped by JSON itself. The others, and what reorders text, by us: the
    # same value for a program, and harmless where JSON is looked at.
    said = json.dumps(value, ensure_ascii=not _utf8(), indent=indent)
    return escaped(said)


def _utf8() -> bool:
    return (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8"


def _put(said: str) -> None:
    if not _utf8():
        said = said.encode(sys.stdout.encoding, "backslashreplace").decode(sys.stdout.encoding)
    # A lone surrogate, which JSON can hold, has no UTF-8.
    sys.stdout.write(said.encode("utf-8", "backslashreplace").decode())
    sys.stdout.flush()


def grid(
    heads: Sequence[str], rows: Sequence[Sequence[Text]], *, room: int | None, elastic: Sequence[int]
) -> list[Text]:
    """Rows under heads, in columns as wide as what they hold.

    Parameters:
        room: cells of a line; None for no limit.
        elastic: the columns that are cut when there is no room, the first one first. All others stay
            whole, so that an id can always be copied.
    """
    table = [[Text(head, "bold") for head in heads], *(list(row) for row in rows)]
    widths = [max(cell_len(row[column].plain) for row in table) for column in range(len(heads))]
    if room is not None:
        for column in elastic:
            over = sum(widths) + len(_GAP) * (len(widths) - 1) - room
            widths[column] -= max(0, min(over, widths[column] - _ELASTIC_MIN))
    return [_line(row, widths) for row in table]


def _line(row: Sequence[Text], widths: Sequence[int]) -> Text:
    line = Text()
    for column, (piece, cells) in enumerate(zip(row, widths, strict=True)):
        fitted = piece.copy()
        fitted.truncate(cells, overflow="ellipsis", pad=column < len(widths) - 1)
        line.append_text(fitted)
        if column < len(widths) - 1:
            line.append(_GAP)
    line.rstrip()
    return line
