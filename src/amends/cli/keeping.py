"""The command that removes what ended long ago: prune.

    pruned 1,234 sagas, and 87 old keys and commands      on standard output, or as JSON
    {"sagas": 1234, "rows": 87, "more": false, "bytes": 0, "dry_run": false}

Rules of this file: like those that look, it needs no definitions, and a database that is not there is not made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.filters import Filter
from ..errors import Conflict
from ..runtime.arguments import filter_of
from ..runtime.clock import SystemClock
from . import output
from .exits import OK, say
from .looking import looking
from .options import Common


async def prune_sagas(
    common: Common, *, older: str, status: Sequence[str], said: str, vacuum: bool, dry_run: bool, **how: Any
) -> int:  # fmt: skip
    """Remove, or count, what is old enough; perhaps give the space back."""
    which: Filter = filter_of(said, status=status)
    async with looking(common) as (orchestrator, store):
        if vacuum and not dry_run and await store.holder(now=SystemClock().now_ms()) is not None:
            raise Conflict(
                f"a worker leads {store.address}, and --vacuum would keep it from writing until the file is rewritten: "
                "stop it first, or prune without --vacuum (the space is used again by what comes)",
                code="AM4010",
            )
        done = await orchestrator.prune(which, older=older, dry_run=dry_run, **how)
        given_back = await store.shrink() if vacuum and not dry_run else 0
    if common.output == "table":
        output.write([output.text(_line(done.sagas, done.rows, given_back, dry_run=dry_run))])
        if done.more:
            say("there are more; see --limit")
    else:
        record = {
            "sagas": done.sagas, "rows": done.rows, "more": done.more, "bytes": given_back, "dry_run": dry_run,
        }  # fmt: skip
        output.write_one(record, common.output)
    return OK


def _line(sagas: int, rows: int, given_back: int, *, dry_run: bool) -> str:
    said = f"{'would prune' if dry_run else 'pruned'} {sagas:,} saga{'' if sagas == 1 else 's'}"
    said += f", and {rows:,} old keys and commands" if rows else ""
    return said + (f"; {given_back / 1_048_576:.1f} MiB given back" if given_back else "")
