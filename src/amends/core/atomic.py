"""What the wiring checks of atomic steps: who may have the store's connection, and who must.

Rule of this file: the connection is told by its type's name, for nothing here may import a driver.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import DefinitionError
from .annotations import Annotation
from .calls import Argument, Call, Source

DRIVERS = ("sqlite3", "psycopg")


def is_connection(annotation: Annotation) -> bool:
    """Whether a bare type is a connection that atomic functions take: of sqlite3, or of psycopg."""
    return isinstance(annotation, type) and annotation.__module__ in DRIVERS and annotation.__qualname__ == "Connection"


def store_connection(name: str, wanted: Annotation, where: str, *, atomic: bool) -> Argument:
    """The argument of a parameter that takes the store's connection.

    Raises:
        DefinitionError: AM1220.
    """
    if not atomic:
        raise DefinitionError(
            f"{where}: the store's connection is handed to the action and the compensation of an atomic step only; "
            f"write step(atomic=True), or declare a connection of your own with Saga(resources=[...])",
            code="AM1220",
        )
    return Argument(name, Source.RESOURCE, resource=wanted)


def connection_of(wired: Sequence[Argument], where: str, *, atomic: bool, is_async: bool) -> type | None:
    """The type of the store's connection, when this function of an atomic step takes it.

    Raises:
        DefinitionError: AM1410.
    """
    found = next((argument.resource for argument in wired if is_connection(argument.resource)), None)
    if found is None or not atomic:
        return None
    if is_async:
        raise DefinitionError(
            f"{where}: it takes the store's connection and is `async def`: it runs inside one transaction, where "
            f"nothing can be awaited; write a plain `def`",
            code="AM1410",
        )
    return found


def check_action(action: Call, where: str, *, atomic: bool) -> None:
    """An atomic step writes with something.

    Raises:
        DefinitionError: AM1221.
    """
    if atomic and action.connection is None:
        raise DefinitionError(
            f"{where}: atomic=True, but it takes no sqlite3.Connection (or psycopg.Connection), and so has nothing to "
            f"write with; add a parameter `db: sqlite3.Connection`, or drop atomic=True",
            code="AM1221",
        )
