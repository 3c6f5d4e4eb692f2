"""A baseline: findings that are known, as JSON, so that only new ones are reported.

A finding is told by its rule, file, saga, step and sentence, never by its line: code above it may change.

Rules of this file: texts in, texts out; who has files reads and writes them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable

from ..errors import UsageError
from .findings import Finding

_Mark = tuple[str, str, str, str, str]
_NAMES = ("rule", "file", "saga", "step", "what")


def written(found: Iterable[Finding]) -> str:
    """The baseline that knows these findings."""
    marks = sorted(_mark(each) for each in found)
    return json.dumps({"findings": [dict(zip(_NAMES, each, strict=True)) for each in marks]}, indent=1) + "\n"


def known(found: Iterable[Finding], baseline: str) -> tuple[list[Finding], int]:
    """The findings that the baseline does not know, and how many it knows that are gone.

    Raises:
        UsageError: AM2519, it is no baseline.
    """
    left = Counter(_marks(baseline))
    fresh = []
    for finding in found:
        mark = _mark(finding)
        if left[mark] > 0:
            left[mark] -= 1
        else:
            fresh.append(finding)
    return fresh, sum(left.values())


def _mark(finding: Finding) -> _Mark:
    return (finding.rule.id, finding.place.file, finding.saga, finding.step, finding.what)


def _marks(baseline: str) -> list[_Mark]:
    try:
        rows = json.loads(baseline)["findings"]
        return [(row["rule"], row["file"], row["saga"], row["step"], row["what"]) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"the baseline is none ({error!r}); --write-baseline makes one", code="AM2519") from error
