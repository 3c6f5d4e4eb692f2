"""The command that walks every way through a graph: check --model.

Rules of this file: stories go to standard output, how much was explored to standard error.
"""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Sequence
from typing import Any

from ..errors import UsageError
from ..lint import line
from ..lint.model import Explored, explore
from . import output
from .checking import named
from .exits import FAILED, OK, USAGE, complain, say
from .options import Common
from .targets import try_targets

_WIDTH = 100


def explore_sagas(common: Common, targets: Sequence[str], *, form: str, known: bool) -> int:
    """Explore the sagas of the targets, and tell how effects may come to stay."""
    if known or form not in ("text", "json"):
        raise UsageError("--model tells stories, as text or json; it has no baseline and no other form", code="AM2526")
    loaded = try_targets(named(common, targets))
    for error in loaded.broken:
        complain(error)
    if not (loaded.sagas or loaded.refused):
        return USAGE
    found = [explore(saga) for saga in loaded.sagas]
    if form == "json":
        output.write_json([_record(each) for each in found])
    else:
        output.write_text("".join(_lines(each) for each in found))
    for finding in loaded.refused:
        say(line(finding))
    for each in found:
        say(_told(each))
    if loaded.broken:
        return USAGE
    return FAILED if loaded.refused or any(each.stories for each in found) else OK


def _lines(found: Explored) -> str:
    told = ""
    for story in found.stories:
        told += f'{found.name} v{found.version}: the effect of "{story.step}" may stay\n'
        lines = textwrap.wrap(
            str(story), _WIDTH - 4, break_long_words=False, break_on_hyphens=False
        )  # fmt: skip
        told += "".join(f"    {each}\n" for each in lines)
    return told


def _told(found: Explored) -> str:
    states = (
        f"{found.states:,} states, and there are more" if not found.whole else f"all of its {found.states:,} states"
    )
    count = len(found.stories)
    stays = "no effect stays" if not count else f"{count} effect{'' if count == 1 else 's'} may stay"
    return f"{found.name} v{found.version}, {states}: {stays}"


def _record(found: Explored) -> dict[str, Any]:
    return dataclasses.asdict(found)
