"""The SQL of this package, and how a script of it is cut into statements.

Rules of this file: text only; it opens no database.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from ..packaged import Migration, migrations_of, query_of

__all__ = ["Migration", "migrations", "query", "statements"]
_PACKAGE = __name__.rpartition(".")[0]


def query(name: str) -> str:
    """The text of `queries/{name}.sql`."""
    return query_of(_PACKAGE, name)


def migrations() -> tuple[Migration, ...]:
    """All packaged migrations, in the order they are applied."""
    return migrations_of(_PACKAGE)


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
