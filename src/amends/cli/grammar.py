"""What every command's grammar is made of: the application, its groups, and the types that parameters share.

Rules of this file: no command and no work; nothing heavy is imported, for `amends --help` waits for it.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Annotated, Any, Literal

from cyclopts import App, Group, Parameter

from .. import __version__

app = App(
    name="amends",
    help="Durable sagas: every step done, or what was done made good.",
    version=lambda: __version__,
    help_format="plaintext",
    result_action="return_value",
    exit_on_error=False,
    print_error=False,
    suppress_keyboard_interrupt=False,
)

RUN, LOOK, ACT, KEEP, PROVE = (
    Group(name, sort_key=place) for place, name in enumerate(("Run", "Look", "Act", "Keep", "Prove"))
)

Text = Annotated[str, Parameter(allow_leading_hyphen=True)]  # "-" is standard input
Texts = Annotated[tuple[str, ...], Parameter(negative_iterable="")]
Subject = Annotated[str, Parameter(allow_leading_hyphen=True)]  # an id, a bundle's file, "-" for standard input
NONE: tuple[str, ...] = ()
Reason = Annotated[str, Parameter(help="Why; it is kept in the saga's journal.")]
Actor = Annotated[str, Parameter(help="Who; the user of the operating system when left out.", show_default=False)]
Flag = Annotated[bool, Parameter(negative="")]
Ids = Annotated[tuple[str, ...], Parameter(help="The sagas' ids.", negative_iterable="", show_default=False)]
Word = Annotated[str | None, Parameter(allow_leading_hyphen=True, show_default=False)]
FilterText = Annotated[str, Parameter(allow_leading_hyphen=True)]  # "-is:ended" is a filter
By = Literal["status", "name", "version", "hold", "step"]


def wait_for(command: Coroutine[Any, Any, int]) -> int:
    """Run an asynchronous command on a loop of its own."""
    import asyncio

    return asyncio.run(command)
