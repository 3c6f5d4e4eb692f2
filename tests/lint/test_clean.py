"""What this repository shows is clean: its examples, and the sagas of its documents."""

from pathlib import Path

import pytest

from amends.lint import Severity
from tests.lint.looking import HERE, ROOT, findings_in

EXAMPLES = [file for file in sorted((ROOT / "examples").rglob("*.py")) if " Saga(" in file.read_text("utf-8")]
RIGHT = sorted((HERE / "corpus" / "right").glob("*.py"))


def reported(file: Path) -> list[str]:
    found = [finding for finding in findings_in(file) if finding.severity.at_least(Severity.WARNING)]
    return [f"{finding.place} {finding.rule.id} {finding.what}" for finding in found]


def test_the_examples_are_found():
    assert len(EXAMPLES) >= 7


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: str(file.relative_to(ROOT)))
def test_an_example_is_clean(file: Path):
    assert reported(file) == []
