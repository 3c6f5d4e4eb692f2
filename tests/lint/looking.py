"""What the rules find in a file."""

from __future__ import annotations

from pathlib import Path

from amends.cli.targets import try_targets
from amends.lint import Finding, check

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def findings_in(*files: Path) -> list[Finding]:
    """In those of the files that hold a saga."""
    loaded = try_targets([str(file) for file in files])
    for error in loaded.broken:
        if error.code != "AM2514":
            raise error
    assert loaded.sagas or loaded.refused, "none of them holds a saga"
    return [*loaded.refused, *check(*loaded.sagas)]


def rules_in(*files: Path) -> set[str]:
    return {finding.rule.id for finding in findings_in(*files)}
