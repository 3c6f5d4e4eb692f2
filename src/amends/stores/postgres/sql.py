"""The SQL of this package.

Rules of this file: text only; it opens no database.
"""

from __future__ import annotations

from functools import cache

from ..packaged import Migration, migrations_of, query_of

__all__ = ["Migration", "migrations", "query"]
_PACKAGE = __name__.rpartition(".")[0]


@cache
def query(name: str) -> str:
    """The text of `queries/{name}.sql`, without its comments: psycopg would look for placeholders in them."""
    lines = query_of(_PACKAGE, name).splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("--"))


def migrations() -> tuple[Migration, ...]:
    """All packaged migrations, in the order they are applied."""
    return migrations_of(_PACKAGE)
