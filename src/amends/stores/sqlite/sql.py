"""The packaged SQL: one statement, or one small group, per file of `queries/` and `migrations/`.

Rules of this file: text only; it opens no database. A file's text is the same object each time, so
that the driver finds its prepared statement.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import NamedTuple

_NAME = re.compile(r"(\d{4})_(pre|post)_(\w+)\.sql")


class Migration(NamedTuple):
    """One packaged migration. Release N runs beside N + 1 between its `pre` and its `post`."""

    number: int
    kind: str
    name: str
    text: str


@cache
def query(name: str) -> str:
    """The text of `queries/{name}.sql`."""
    return files(__package__).joinpath("queries", f"{name}.sql").read_text(encoding="utf-8")


@cache
def migrations() -> tuple[Migration, ...]:
    """All packaged migrations, in the order they are applied."""
    found = []
    for entry in files(__package__).joinpath("migrations").iterdir():
        match = _NAME.fullmatch(entry.name)
        if match:
            text = entry.read_text(encoding="utf-8")
            found.append(Migration(int(match[1]), match[2], match[3], text))
    return tuple(sorted(found))


def statements(text: str) -> Iterator[str]:
    """The statements of a script, one by one; a trigger's body is part of its statement."""
    gathered = ""
    for line in text.splitlines(keepends=True):
        gathered += line
        if sqlite3.complete_statement(gathered):
            yield gathered.strip()
            gathered = ""
    if gathered.strip():
        yield gathered.strip()
