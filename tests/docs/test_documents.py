"""The documents speak of files that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_link_leads_to_a_file(document: Path):
    links = re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_module_that_is_named_exists(document: Path):
    named = re.findall(r"`((?:[\w.]+/)+[\w.]+\.(?:py|sql|jsonl|md|sh))`", document.read_text(encoding="utf-8"))
    places = (ROOT, ROOT / "src" / "amends")
    assert [name for name in named if not any((place / name).exists() for place in places)] == []
