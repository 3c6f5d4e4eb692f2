"""The packaged SQL of a backend: one statement, or one small group, per file of `queries/` and `migrations/`.

Rules of this file: text only; it opens no database. A file's text is the same object each time, so
that a driver finds its prepared statement.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import NamedTuple, Protocol

_NAME = re.compile(r"(\d{4})_(pre|post)_(\w+)\.sql")


class Migration(NamedTuple):
    """One packaged migration. Release N runs beside N + 1 between its `pre` and its `post`."""

    number: int
    kind: str
    name: str
    text: str


class Schema(Protocol):
    """The schema of one store, for whoever migrates it by hand."""

    place: str  # what it is the schema of, without a password

    def known(self) -> tuple[Migration, ...]:
        """All migrations of this release, in the order they are applied."""

    def applied(self) -> set[int]:
        """The numbers of those that the store has. Only reads. Raises StoreError."""

    def migrate(self) -> list[Migration]:
        """Apply all that is missing, the last `post` too; what it was. Raises StoreError."""


@cache
def query_of(package: str, name: str) -> str:
    """The text of the package's `queries/{name}.sql`."""
    return files(package).joinpath("queries", f"{name}.sql").read_text(encoding="utf-8")


@cache
def migrations_of(package: str) -> tuple[Migration, ...]:
    """All packaged migrations, in the order they are applied."""
    found = []
    for entry in files(package).joinpath("migrations").iterdir():
        match = _NAME.fullmatch(entry.name)
        if match:
            text = entry.read_text(encoding="utf-8")
            found.append(Migration(int(match[1]), match[2], match[3], text))
    return tuple(sorted(found))


def missing_of(known: tuple[Migration, ...], has: set[int], *, last_post: bool) -> list[Migration]:
    """What is to be applied, in order; `last_post`: also what waits until no older release is left."""
    found = [migration for migration in known if migration.number not in has]
    while found and has and not last_post and found[-1].kind == "post":
        found.pop()
    return found
