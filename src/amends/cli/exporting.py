"""The command that writes bundles: export.

Rules of this file: a file that is there is never written over, and one that could not be written whole is
not left behind.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import UsageError
from . import output
from .exits import OK, say
from .looking import looking
from .options import Common


async def export_saga(common: Common, saga_id: str, *, out: str, payloads: bool) -> int:
    """Write one saga's bundle to a file, or to standard output."""
    async with looking(common) as (orchestrator, _):
        data = await orchestrator.export(saga_id, payloads=payloads)
    if not out or out == "-":
        output.write_raw(data)
    else:
        _make(Path(out), data)
        say(f"{out}: {len(data):,} bytes; see it with `amends show {out}`")
    return OK


def _make(path: Path, data: bytes) -> None:
    try:
        file = path.open("xb")
    except FileExistsError:
        raise UsageError(f"{path} is there already; give another name, or remove it first", code="AM2554") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be made: {error.strerror or error}", code="AM2554") from error
    try:
        with file:
            file.write(data)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise UsageError(f"{path} cannot be written: {error.strerror or error}", code="AM2554") from error
