"""`# amends: ignore[SG011] reason`: one place is silenced, and says why.

The comment stands at the end of the line, or alone on the line above. Several rules: `ignore[SG011, SG016]`.
Without a reason it silences nothing, and is reported itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .findings import Place
from .source import Files

_COMMENT = re.compile(r"#\s*amends:\s*ignore\b(?:\[(?P<rules>[^\]]*)\])?[:\s]*(?P<reason>.*)$")


@dataclass(frozen=True, slots=True)
class Ignore:
    """One comment: where it stands, which rules it names, and its reason."""

    place: Place
    rules: frozenset[str]
    reason: str

    @property
    def works(self) -> bool:
        """Whether it silences anything: it names rules and says why."""
        return bool(self.rules and self.reason)


def ignores_at(files: Files, places: tuple[Place, ...]) -> list[Ignore]:
    """The comments that stand at any of these places."""
    found = []
    for file, line in dict.fromkeys((place.file, place.line) for place in places):
        lines = files.lines(file)
        for at in (line, line - 1):
            if not 1 <= at <= len(lines):
                continue
            text = lines[at - 1]
            if at != line and not text.lstrip().startswith("#"):
                continue  # above, it stands alone
            comment = _COMMENT.search(text)
            if comment:
                rules = frozenset(re.findall(r"[A-Z]+\d+", comment["rules"] or ""))
                found.append(Ignore(Place(file, at, comment.start() + 1), rules, comment["reason"].strip()))
    return found
