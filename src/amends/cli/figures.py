"""The command that counts by definition: top.

Rules of this file: the figures are the store's (`amends.stores.figures` says of what each share is); here they
get their places, and with --watch are asked for again and again.
"""

from __future__ import annotations

import asyncio

from rich.text import Text

from ..errors import UsageError
from ..runtime.orchestrator import Orchestrator
from ..stores.figures import Figures
from . import output, records
from .exits import OK, say
from .looking import looking
from .moments import span_ms
from .options import Common
from .words import length

_HEADS = ("DEFINITION", "STARTED", "IN FLIGHT", "SETTLED", "COMPLETED", "COMPENSATED", "BY HAND", "P50", "P95", "P99")


async def top(common: Common, *, filter: str, since: str, watch: bool, every: str) -> int:
    """Print the figures of each definition and version, once or until interrupted."""
    window_s = span_ms(since, "--since") / 1000 if since else None
    pause_s = span_ms(every, "--every") / 1000
    if watch and common.output == "json":
        raise UsageError("--watch never ends, and -o json prints one value: give -o jsonl", code="AM2553")
    async with looking(common) as (orchestrator, _):
        if not watch:
            _write(await orchestrator.top(filter, since=window_s), common)
        elif common.output == "jsonl":
            while True:
                _write(await orchestrator.top(filter, since=window_s), common)
                await asyncio.sleep(pause_s)
        else:
            await _watch(orchestrator, filter, window_s, pause_s, since)
    return OK


async def _watch(
    orchestrator: Orchestrator, filter: str, window_s: float | None, pause_s: float, since: str
) -> None:  # fmt: skip
    """One table that is drawn anew where it stands; on no terminal, one after the other."""
    of = f" of the last {since}" if since else ""
    with output.redrawn() as draw:
        while True:
            figures = await orchestrator.top(filter, since=window_s)
            draw([Text(f"figures{of}, anew every {length(pause_s)}; Ctrl-C ends", "dim"), *table(figures)])
            await asyncio.sleep(pause_s)


def _write(figures: list[Figures], common: Common) -> None:
    found = [records.figures(each) for each in figures]
    if common.output == "json":
        output.write_json(found)
    elif common.output == "jsonl":
        for each in found:
            output.write_jsonl(each)
    elif figures:
        output.write(table(figures))
    else:
        say("no saga fits")


def table(figures: list[Figures]) -> list[Text]:
    """A line per definition and version."""
    rows = [_row(each) for each in figures]
    return output.grid([*_HEADS, "FAILS MOST"], rows, room=output.width(), elastic=(10, 0))


def _row(of: Figures) -> list[Text]:
    failed = f"{of.failed_step} {_percent(of.share(of.failed))}" if of.failed_step else "-"
    by_hand = of.share(of.by_hand)
    return [
        output.text(f"{of.name} v{of.version}", "bold"),
        output.text(f"{of.started:,}"),
        output.text(f"{of.in_flight:,}"),
        output.text(f"{of.settled:,}"),
        output.text(_percent(of.share(of.completed)), "green"),
        output.text(_percent(of.share(of.compensated)), "yellow"),
        output.text(_percent(by_hand), "bold red" if by_hand else ""),
        *(output.text(_length(each)) for each in (of.p50_ms, of.p95_ms, of.p99_ms)),
        output.text(failed),
    ]


def _percent(share: float | None) -> str:
    """A share in at most five characters, that says 100% of all only, and 0% of none."""
    if share is None:
        return "-"
    percent = 100 * share
    if 0 < percent < 0.1:
        return "<0.1%"
    if 99.9 < percent < 100:
        return ">99.9%"
    return f"{percent:.1f}%".replace(".0%", "%")


def _length(ms: int | None) -> str:
    return "-" if ms is None else length(ms / 1000)
