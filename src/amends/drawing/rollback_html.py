"""A rollback table as one page of HTML by itself: no script, nothing loaded from elsewhere.

A table with a heading for each column and each point, so that a screen reader says both; colours only go with words.

Rules of this file: pure; every text goes through `_text`, for a name may hold anything.
"""

from __future__ import annotations

import html
from collections.abc import Iterator

from ..lint.failing import Outcome
from ..lint.rollback import Point, Table
from . import rollback_words as words

_STYLE = """\
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { margin: 2rem auto; max-width: 75rem; padding: 0 1rem; overflow-wrap: anywhere }
h1 { font-size: 1.6rem; line-height: 1.25 }
.notes { opacity: .75; font-size: .9rem; margin-bottom: 1rem }
table { border-collapse: collapse; width: 100% }
caption { text-align: left; font-weight: bold; padding: .5rem 0 }
th, td { border-bottom: 1px solid #8886; padding: .5rem .75rem; text-align: left; vertical-align: top }
thead th { position: sticky; top: 0; background: Canvas; border-bottom: 2px solid }
tbody { border-top: 2px solid #888a }
tr { break-inside: avoid }
ol, ul { margin: 0; padding-left: 1.4rem }
code { font-family: ui-monospace, monospace; font-size: .9rem }
.compensated { border-left: .3rem solid #9a6700 }
.completed { border-left: .3rem solid #1a7f37 }
.requires_manual { border-left: .3rem solid #cf222e; font-weight: bold }
.running { border-left: .3rem solid #0969da }
@media (width >= 45rem) { th:first-child { width: 18% } td:last-child { width: 22% } }
@media (width < 45rem) {
table, caption, tbody, tr, th, td { display: block; border: 0; padding: .15rem 0 }
thead { display: none }
tbody { border-top: 2px solid #888a; padding: .5rem 0 }
tr { border-bottom: 1px solid #8886; padding: .5rem 0 }
tr:last-child { border-bottom: 0 }
td:last-child { border-left: .3rem solid; padding-left: .6rem; margin-top: .3rem }
td.compensated { border-color: #9a6700 }
td.completed { border-color: #1a7f37 }
td.requires_manual { border-color: #cf222e }
td.running { border-color: #0969da }
}
@media print { body { margin: 0; max-width: none } thead th { position: static } }
"""
_COLUMNS = "".join(
    f'<th scope="col">{each}</th>' for each in ("Where", "How it fails", "What is undone", "Where it ends")
)


def rollback_html(table: Table) -> str:
    """The table as a page of HTML."""
    title = _text(f"{table.title}: what is undone when it fails")
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title>",
        f"<style>\n{_STYLE}</style>",
        "</head>",
        "<body>",
        f"<h1>{title}</h1>",
        '<ul class="notes">',
        *(f"<li>{_text(note)}</li>" for note in table.notes),
        "</ul>",
        "<table>",
        "<caption>What is undone, in this order, and where the saga ends</caption>",
        "<thead>",
        f"<tr>{_COLUMNS}</tr>",
        "</thead>",
    ]
    for point in table.points:
        lines += _point(point)
    lines += ["</table>", "</body>", "</html>"]
    return "".join(f"{line}\n" for line in lines)


def _point(point: Point) -> Iterator[str]:
    beside = words.where(point)
    said = f"<br>{_text(beside)}" if beside else ""
    yield "<tbody>"
    head = f'<th scope="rowgroup" rowspan="{max(1, len(point.rows))}"><code>{_text(point.path)}</code>{said}</th>'
    if not point.rows:
        yield f'<tr>{head}<td colspan="3">{words.NO_WAY}</td></tr>'
    for row in point.rows:
        yield (
            f"<tr>{head}<td>{_text(words.how(row))}</td><td>{_undone(row.outcome)}</td>"
            f'<td class="{_text(row.outcome.ends)}">{_text(words.ends(row.outcome))}</td></tr>'
        )
        head = ""
    yield "</tbody>"


def _undone(outcome: Outcome) -> str:
    """A numbered list; what runs at the same time is a list in one of its entries."""
    if not outcome.undone:
        return words.NOTHING
    entries = []
    for group in outcome.undone:
        said = [f"{_text(undo.step)} ↩ <code>{_text(words.call(undo))}</code>" for undo in group]
        together = "at the same time:<ul>" + "".join(f"<li>{each}</li>" for each in said) + "</ul>"
        entries.append(f"<li>{together if len(said) > 1 else said[0]}</li>")
    return f"<ol>{''.join(entries)}</ol>"


def _text(said: str) -> str:
    return html.escape("".join(char if char.isprintable() else "?" for char in said))
