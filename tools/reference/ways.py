"""docs/reference/ways.md: what `amends verify` lets go wrong, from its table."""

from __future__ import annotations

from collections.abc import Iterator

from amends.testing.exploring.ways import WAYS, Way
from tools.reference.text import generated, table

INTRODUCTION = """\
What may become of one call, in a run of `amends verify`. A scenario names the call, the way, and for a way with `@N`
the number of the call that the function makes of a double:

    action charge_card unanswered; compensation charge_card answer-lost
    input 2; action ship call 2 call-crash@1

`call 2` is the second call of that action. A failure by a way names the rule whose page explains such a mistake.
"""


def page() -> str:
    """The whole page."""
    lines = [*generated("What goes wrong in a verification", "src/amends/testing/exploring/ways.py"), INTRODUCTION]
    lines += table(("what", "way", "what happens", "rule"), list(_rows()))
    return "\n".join(lines).rstrip() + "\n"


def _rows() -> Iterator[tuple[str, str, str, str]]:
    told: dict[int, tuple[Way, list[str]]] = {}
    for (op, _), way in WAYS.items():
        told.setdefault(id(way), (way, []))[1].append(op)
    for way, ops in told.values():
        rule = f"[{way.rule}](rules.md#{way.rule.lower()})" if way.rule else ""
        said = way.said.format(path="it", nth="call N" if way.within else "")
        yield ", ".join(ops), f"`{way.name}{'@N' if way.within else ''}`", said, rule
