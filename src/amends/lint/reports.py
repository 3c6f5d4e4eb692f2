"""Findings as lines, and for programs: records for JSON, SARIF 2.1.0, and JUnit's XML.

Rules of this file: pure; a file is named as the finding names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from .findings import Finding, Severity

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def line(finding: Finding) -> str:
    """One finding as a line: place, severity, rule, and what is wrong."""
    return f"{finding.place}: {finding.severity} {finding.rule.id} {finding.what}"


def record(finding: Finding) -> dict[str, Any]:
    """One finding as JSON."""
    return {
        "rule": finding.rule.id, "severity": str(finding.severity), "saga": finding.saga, "step": finding.step,
        "file": finding.place.file, "line": finding.place.line, "column": finding.place.column,
        "what": finding.what, "mend": finding.mend, "page": finding.rule.page,
    }  # fmt: skip


def sarif(found: Sequence[Finding]) -> dict[str, Any]:
    """A SARIF log with one run."""
    rules = {each.rule.id: each.rule for each in found}
    driver = {
        "name": "amends check",
        "rules": [
            {
                "id": rule.id,
                "shortDescription": {"text": rule.title},
                "fullDescription": {"text": rule.why},
                "help": {"text": rule.mend},
                "defaultConfiguration": {"level": _LEVELS[rule.severity]},
            }
            for rule in rules.values()
        ],
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": [
        {
            "ruleId": each.rule.id,
            "ruleIndex": list(rules).index(each.rule.id),
            "level": _LEVELS[each.severity],
            "message": {"text": f"{each.what}. To mend it: {each.mend}."},
            "locations": [{"physicalLocation": {
                "artifactLocation": {"uri": each.place.file},
                "region": {"startLine": each.place.line, "startColumn": each.place.column},
            }}],
        } for each in found
    ]}]}  # fmt: skip


def junit(found: Sequence[Finding], sagas: Iterable[str]) -> str:
    """One suite per saga; each finding is a failed case, and a saga without one a case that passed."""
    suites = []
    for saga in dict.fromkeys((*sagas, *(each.saga for each in found))):
        own = [each for each in found if each.saga == saga]
        name = quoteattr(saga or "not built")
        cases = "".join(_case(each, name) for each in own) or f'    <testcase classname={name} name="check"/>\n'
        suites.append(
            f'  <testsuite name={name} tests="{max(1, len(own))}" failures="{len(own)}" errors="0">\n'
            f"{cases}  </testsuite>\n"
        )
    head = f'<testsuites name="amends check" failures="{len(found)}">'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{head}\n{"".join(suites)}</testsuites>\n'


def _case(finding: Finding, saga: str) -> str:
    name = quoteattr(f"{finding.rule.id} {finding.step or finding.rule.title}")
    place = f"file={quoteattr(finding.place.file)} line={quoteattr(str(finding.place.line))}"
    text = escape(f"{finding.place}\n{finding.what}\n{finding.mend}")
    return (
        f"    <testcase classname={saga} name={name} {place}>\n"
        f"      <failure type={quoteattr(finding.severity)} message={quoteattr(finding.what)}>{text}</failure>\n"
        f"    </testcase>\n"
    )
