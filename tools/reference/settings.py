"""docs/reference/settings.md: what may be set about an orchestrator, and every limit."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

from amends import limits
from amends.cli import options
from amends.core import steps
from amends.policies.retry import Retry
from amends.runtime.settings import Settings
from tools.reference.text import generated, parse, table

INTRODUCTION = """\
Lengths of time are seconds, or texts such as `"250ms"`, `"10s"`, `"5m"`, `"24h"`, `"7d"`.
"""


def page() -> str:
    """The whole page."""
    lines = [
        *generated("Settings and limits", "src/amends/runtime/settings.py, src/amends/limits.py and others"),
        INTRODUCTION,
        "## Of an orchestrator", "", "Given as keywords: `Orchestrator(..., concurrency=200)`.", "", *_settings(),
        "## Of a step", "", *_steps(),
        "## Of the command line", "", *_command_line(),
        "## Limits", "",
        "What goes over one is refused, with an error that names it. The constants of `amends.limits`:", "", *_limits(),
    ]  # fmt: skip
    return "\n".join(lines).rstrip() + "\n"


def _settings() -> Iterator[str]:
    told = dict(parse(Settings.__doc__).sections["Parameters"])
    defaults = {each.name: each.default for each in dataclasses.fields(Settings)}
    assert told.keys() == defaults.keys(), "the docstring of Settings and its fields differ"
    yield from table(
        ("setting", "", "default"), [(f"`{name}`", told[name], f"`{value!r}`") for name, value in defaults.items()]
    )


def _steps() -> Iterator[str]:
    def row(what: str, timeout: float, retry: Retry) -> tuple[str, str, str, str]:
        return what, f"{timeout} s", str(retry.attempts), f"`{retry.base}` to `{retry.cap}`"

    yield from table(
        ("call", "timeout", "attempts", "pauses"),
        [
            row("action", steps.ACTION_TIMEOUT, steps.ACTION_RETRY),
            row("compensation", steps.ACTION_TIMEOUT, steps.COMPENSATION_RETRY),
            row("probe", steps.ACTION_TIMEOUT, steps.PROBE_RETRY),
        ],
    )


def _command_line() -> Iterator[str]:
    doc = options.__doc__ or ""
    for line in doc.split("\n\n")[1].splitlines():
        name, _, text = line.strip().partition(" ")
        yield f"- `{name}`: {text.strip()}"
    yield ""
    yield "\n\n".join(part.replace("\n", " ") for part in doc.split("\n\n")[2:-1])
    yield ""


def _limits() -> Iterator[str]:
    source = Path(limits.__file__).read_text(encoding="utf-8")
    rows = re.findall(r"^([A-Z_]+) = [^#\n]*(?:# *(.*))?$", source, re.MULTILINE)
    yield from table(("limit", "value", ""), [(f"`{name}`", f"{getattr(limits, name):,}", told) for name, told in rows])
