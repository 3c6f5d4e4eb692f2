"""The command that explains: why.

Rules of this file: the sentences are `amends.runtime.why`'s; here they only get their place on a screen.
"""

from __future__ import annotations

import textwrap

from rich.text import Text

from ..core.transitions import ENDS
from ..runtime.reading import Reader
from ..runtime.why import Reason
from . import output, records, timeline
from .exits import OK
from .looking import needs, present
from .moments import moment
from .options import Common
from .remedies import remedies
from .subjects import looking_at
from .words import clock_time, safe

_TEXT_CELLS_MIN = 40  # a sentence keeps so many, however narrow the terminal is


async def explain(common: Common, said: str, *, at: str) -> int:
    """Print the chain from a saga's present, or a past moment, to its first causes."""
    now = present()
    then = moment(at, now) if at else None
    async with looking_at(common, said) as subject:
        view = await subject.orchestrator.get(subject.saga_id, at=then)
        reasons = await subject.orchestrator.why(subject.saga_id, at=then)
        state = None if at or view.status in ENDS else await Reader(subject.store, {}).state(subject.saga_id)
    if common.output == "jsonl":
        for each in reasons:
            output.write_jsonl(records.reason(each))
    elif common.output == "json":
        output.write_json([records.reason(each) for each in reasons])
    else:
        found = remedies(state, now_ms=int(now.timestamp() * 1000), store=subject.place) if state else []
        lines = [line for each in reasons for line in _lines(each, output.width())]
        output.write([timeline.title(view), Text(), *lines, *needs(view, found)])
    return OK


def _lines(reason: Reason, room: int | None) -> list[Text]:
    """One sentence, wrapped beside its time."""
    head = f"{clock_time(reason.at)}  "
    said = safe(sentence(reason))
    pieces = [said] if room is None else textwrap.wrap(said, max(room - len(head), _TEXT_CELLS_MIN))
    lines = []
    for place, piece in enumerate(pieces):
        line = Text(head if not place else " " * len(head), "dim")
        line.append(piece, "default")
        lines.append(line)
    return lines


def sentence(reason: Reason) -> str:
    """A link as one sentence."""
    own = reason.what.split(" ", 1)[0] == reason.step  # a path keeps its letters
    said = reason.what if own else reason.what[:1].upper() + reason.what[1:]
    return f"{said}, because {reason.because}." if reason.because else f"{said}."
