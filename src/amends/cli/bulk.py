"""The verbs over many sagas: `--filter`, `--dry-run`, one line for each saga, and the counts at the end.

    01KB…  cancel applied, now compensating          on standard output, or as JSON (see records.py)
    01KC…  refused: is completed: cancel comes too late
    amends: cancel: 1 applied, 1 refused              on standard error

Rules of this file: a verb that cannot be taken back asks before it begins, but only a person at a terminal.
Whatever ends it early, what was done by then is said. The exit code is the worst of all.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.text import Text

from ..errors import UsageError
from ..runtime.bulk import Bulk, Done
from . import output, records
from .exits import INTERRUPTED, OK, code_of, say
from .looking import looking
from .options import Common, Many
from .words import word_of

FINAL = frozenset({"cancel", "resolve", "skip"})  # no other verb takes these back
_REASONS_SHOWN = 5


async def act_on_many(common: Common, many: Many, verb: str, ids: Sequence[str], **words: Any) -> int:
    """Apply a verb to what a filter finds, or try it on some ids."""
    async with looking(common) as (orchestrator, _):
        bulk = orchestrator.bulk(
            verb,  # type: ignore[arg-type] # the commands are its verbs
            many.filter or "", ids=ids, dry_run=many.dry_run, limit=many.limit, **words,
        )  # fmt: skip
        await bulk.prepare()
        asks = many.filter is not None and not (many.dry_run or many.yes) and verb in FINAL
        if asks and bulk.ids and not _confirmed(f"{verb} {_sagas(bulk)}?"):
            say("amends: nothing was done")
            return INTERRUPTED
        return await _run(common, bulk, verb)


def chosen(many: Many, ids: Sequence[str]) -> bool:
    """Whether the sagas are given by a filter, and not by ids. Raises UsageError for both, or neither."""
    if (many.filter is None) == (not ids):
        raise UsageError("which sagas? Give ids, or --filter, and not both", code="AM2524")
    if many.filter is None and many.limit is not None:
        raise UsageError("--limit goes with --filter", code="AM2524")
    return many.filter is not None


def shifted(many: Many, words: Sequence[str | None], usage: str, *, last: str | None = None) -> list[str]:
    """The words of a command whose first one is the saga's id, unless there is a filter; then that is left empty.

    Parameters:
        words: as they were given; those left out, at the end, are None.
        usage: how the command is written with an id.
        last: what the last word is when it is left out.
    """
    given = [word for word in words if word is not None]
    if many.filter is not None:
        given.insert(0, "")
    if last is not None and len(given) == len(words) - 1:
        given.append(last)
    if len(given) != len(words):
        form = usage if many.filter is None else usage.removeprefix("ID ") + " --filter FILTER"
        raise UsageError(f"write {form}", code="AM2525")
    return given


def _sits_at_the_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _confirmed(question: str) -> bool:
    """Whether a person at the terminal says yes; True where nobody sits."""
    if not _sits_at_the_terminal():
        return True
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # asyncio's would wait for the answer
    try:
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    finally:
        signal.signal(signal.SIGINT, before)


async def _run(common: Common, bulk: Bulk, verb: str) -> int:
    code, found = OK, []
    refusals: Counter[str] = Counter()
    try:
        async for done in bulk:
            if done.error is not None:
                code = max(code, code_of(done.error))
                refusals[_reason(done)] += 1
            record = records.acted(
                done.id, verb, done.result, status=done.status, error=str(done.error) if done.error else ""
            )
            found.append(record)
            if common.output == "jsonl":
                output.write_jsonl(record)
            elif common.output == "table":
                output.write([_line(done)])
    except asyncio.CancelledError:
        _tell_open(bulk)
        raise
    finally:
        if common.output == "json":
            output.write_json(found)
        _tell(bulk, verb, refusals)
    return code


def _line(done: Done) -> Text:
    said: str = done.result
    if done.error is not None:
        said = f"refused: {_reason(done)}"
    elif done.result == "applied":
        said = f"{done.verb} applied, now {word_of(done.status)}"
    elif done.status:
        said = f"{done.result}, {word_of(done.status)}"
    return output.text(f"{done.id}  {said}")


def _reason(done: Done) -> str:
    """Why, without what differs from saga to saga."""
    return done.error.message.removeprefix(f"saga {done.id} ").partition(";")[0] if done.error else ""


def _sagas(bulk: Bulk) -> str:
    count = len(bulk.ids)
    of_all = "" if count == bulk.matching else f" of the {bulk.matching:,} that fit"
    return f"{count:,} saga{'' if count == 1 else 's'}{of_all}"


def _tell(bulk: Bulk, verb: str, refusals: Counter[str]) -> None:
    """The counts, and why some were refused."""
    counts = ", ".join(f"{count:,} {result}" for result, count in sorted(bulk.counts.items())) or "no saga fits"
    left = bulk.matching - len(bulk.ids)
    say(f"amends: {verb}: {counts}" + (f"; {left:,} more fit" if left else ""))
    for reason, count in refusals.most_common(_REASONS_SHOWN):
        say(f"  {count:,} x {reason}")
    if len(refusals) > _REASONS_SHOWN:
        say(f"  and {len(refusals) - _REASONS_SHOWN} more reasons")
    if bulk.counts["queued"]:
        say("  what is queued is applied as soon as a worker leads this store")


def _tell_open(bulk: Bulk) -> None:
    """What an interrupt leaves undecided."""
    open_, never = bulk.begun - bulk.counts.total(), len(bulk.ids) - bulk.begun
    say(f"amends: interrupted: {open_:,} were being asked for and may still be applied; {never:,} were not begun")
