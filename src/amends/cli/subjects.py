"""What a command looks at: a saga of a store by its id, or a bundle that `amends export` wrote.

A word that names a file, or could (it ends in `.json` or has a `/`), and `-` for standard input, is a
bundle. A bundle opens as a store that holds its one saga, so that whatever looks at a store looks at it.

    AM2551   the file cannot be read          AM2552   it is larger than any bundle

Rules of this file: it alone knows both; nothing is ever written through it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from ..limits import BUNDLE_BYTES_MAX
from ..runtime import bundle
from ..runtime.orchestrator import Orchestrator
from ..stores.base import Store
from .exits import say
from .options import Common, keys, named_store, open_store


@dataclass(frozen=True)
class Subject:
    """A saga, and where it is looked at.

    Attributes:
        place: the store's address when a command line must repeat it; "" otherwise.
    """

    saga_id: str
    orchestrator: Orchestrator
    store: Store
    place: str = ""


@asynccontextmanager
async def looking_at(common: Common, said: str) -> AsyncIterator[Subject]:
    """The saga that a word stands for, behind an orchestrator that runs nothing."""
    if _is_file(said):
        what = "standard input" if said == "-" else said
        found = bundle.read(_bytes(said), what)
        less = "" if found.payloads else ", without payloads"
        say(f"from a bundle that Amends {found.release} wrote at {found.exported_at}{less}")
        store = await bundle.store_of(found, what)
        async with Orchestrator(store, worker=False, encryption=keys()) as orchestrator:
            yield Subject(found.saga_id, orchestrator, store)
        return
    store = open_store(common, make=False)
    async with Orchestrator(store, worker=False, encryption=keys()) as orchestrator:
        yield Subject(said, orchestrator, store, named_store(common))


def _is_file(said: str) -> bool:
    return said == "-" or said.endswith(".json") or "/" in said or os.sep in said or Path(said).is_file()


def _bytes(said: str) -> bytes:
    try:
        if said == "-":
            data = sys.stdin.buffer.read(BUNDLE_BYTES_MAX + 1)
        else:
            with Path(said).open("rb") as file:
                data = file.read(BUNDLE_BYTES_MAX + 1)
    except OSError as error:
        raise UsageError(f"the bundle {said} cannot be read: {error.strerror or error}", code="AM2551") from error
    if len(data) > BUNDLE_BYTES_MAX:
        raise UsageError(f"{said} has more than {BUNDLE_BYTES_MAX} bytes: that is no bundle", code="AM2552")
    return data
