"""Run the rules over sagas.

Rules of this file: a mistake that several sagas share, because they share a step, is reported once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..core.definition import Saga
from .catalogue import RULES, SILENT
from .findings import Finding, Hit, Place, Rule
from .ignoring import ignores_at
from .source import Files
from .subject import Subject


def check(*sagas: Saga[Any, Any]) -> list[Finding]:
    """What the rules find in sagas, by place. Nothing of the sagas is run.

    Parameters:
        sagas: what `Saga(...)` made.
    """
    files = Files()
    subjects = [Subject(saga, files) for saga in sagas]
    found: dict[tuple[str, Place, str], Finding] = {}
    for rule in RULES.values():
        hits = [(subject, hit) for subject in subjects for hit in (rule.check(subject) if rule.check else ())]
        hits += rule.check_all(subjects) if rule.check_all else ()
        for subject, hit in hits:
            for finding in _judged(files, rule, subject.saga.name, hit):
                found.setdefault((finding.rule.id, finding.place, finding.what), finding)
    return sorted(found.values(), key=lambda each: (each.place, each.rule.id, each.what))


def _judged(files: Files, rule: Rule, saga: str, hit: Hit) -> Iterable[Finding]:
    """The finding, unless a comment silences it; and the comment, when it says no reason."""
    ignores = [each for each in ignores_at(files, hit.places) if rule.id in each.rules or not each.rules]
    if any(each.works for each in ignores):
        return
    yield Finding(rule, saga, hit.step, hit.places[0], hit.what, hit.mend or rule.mend, hit.severity or rule.severity)
    for each in ignores:
        yield Finding(SILENT, saga, hit.step, each.place, "this comment gives no reason", SILENT.mend, SILENT.severity)
