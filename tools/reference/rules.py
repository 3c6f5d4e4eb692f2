"""docs/reference/rules.md: every rule of `amends check`, with a wrong and a right example and what is said of it.

The examples are the files of tests/lint/rules/, which tests check, and what is said of the wrong one is what the check
says when this page is made.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from amends.cli.targets import load_targets
from amends.lint import RULES, RULES_BY_RUNNING, Finding, Rule, check, line
from tools.reference.text import cell, generated

EXAMPLES = Path(__file__).parent.parent.parent / "tests" / "lint" / "rules"
RUN = EXAMPLES.parent.parent / "verify" / "corpus"
BY_RUNNING = {"SG013": {"wrong": "late_action_is_let_in", "right": "reservation_with_a_tombstone"}}
INTRODUCTION = """\
What [`amends check`](../how-to/check.md) looks for. An **error** is a mistake: the saga will lose, double or strand an
effect. A **warning** is very likely one. An **info** is a question, or advice, and is shown with `--severity info`.
Of the numbers that are missing here, what a changed definition does to sagas in flight (SG028) is told by
[`amends diff`](../how-to/versions.md), and what another saga reads too early (SG021) only by running: `amends verify`
reports it as SG018. Others are of checks that are not made.

A comment silences one place, if it says why: `# amends: ignore[SG005] the reservation lapses within minutes`.
"""


def page() -> str:
    """The whole page."""
    lines = [*generated("Rules", "src/amends/lint and tests/lint/rules"), INTRODUCTION, "| | | |", "|---|---|---|"]
    lines += [
        f"| [{rule.id}](#{rule.id.lower()}) | {rule.severity} | {cell(rule.title)} |"
        for rule in (RULES | RULES_BY_RUNNING).values()
    ]
    lines.append("")
    for rule in RULES.values():
        lines += _one(rule)
    for rule in RULES_BY_RUNNING.values():
        lines += [*_told(rule), "Found by [`amends verify`](../how-to/verify.md).", ""]
        for kind, name in BY_RUNNING[rule.id].items():
            text = (RUN / kind / f"{name}.py").read_text(encoding="utf-8")
            lines += [f'```python title="{kind}.py"', text.partition("\n\n")[2].rstrip(), "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def _told(rule: Rule) -> Iterator[str]:
    yield from (f"## {rule.id}", "", f"**{rule.title[0].upper()}{rule.title[1:]}.** {rule.severity.capitalize()}.", "")
    yield from (rule.why, "", f"To mend it, {rule.mend}.", "")


def _one(rule: Rule) -> Iterator[str]:
    yield from _told(rule)
    for kind in ("wrong", "right"):
        file = EXAMPLES / rule.id / f"{kind}.py"
        yield from (f'```python title="{kind}.py"', file.read_text(encoding="utf-8").rstrip(), "```", "")
        if kind == "wrong":
            yield from ("What is said of it:", "", "```text", *_said(file, kind), "```", "")


def _said(file: Path, kind: str) -> Iterator[str]:
    loaded = load_targets([str(file)])
    for finding in (*loaded.refused, *check(*loaded.sagas)):
        here: Finding = dataclasses.replace(finding, place=dataclasses.replace(finding.place, file=f"{kind}.py"))
        yield line(here)
        yield f"    {here.mend}"
