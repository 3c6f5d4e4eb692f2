"""What the rules find in a file."""

from __future__ import annotations

from pathlib import Path

from amends.cli.targets import load_targets
from amends.lint import Finding, check

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def findings_in(*files: Path) -> list[Finding]:
    loaded = load_targets([str(file) for file in files])
    return [*loaded.refused, *check(*loaded.sagas)]


def rules_in(*files: Path) -> set[str]:
    return {finding.rule.id for finding in findings_in(*files)}
