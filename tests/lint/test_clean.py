"""What this repository shows is clean: its examples, and the sagas of its documents."""

import sys
from pathlib import Path

import pytest

from amends.lint import Severity
from tests.lint.looking import ROOT, findings_in
from tests.lint.of_pages import files_of

EXAMPLES = [file for file in sorted((ROOT / "examples").rglob("*.py")) if " Saga(" in file.read_text("utf-8")]
DOCS = ROOT / "docs"
# Pages whose blocks cannot be imported without what runs between them.
RUN = {"docs/explanation/isolation.md", "docs/how-to/django-and-flask.md", "docs/how-to/fastapi-and-starlette.md"}
PAGES = [
    page for page in [*sorted(DOCS.rglob("*.md")), ROOT / "README.md"]
    if " Saga(" in page.read_text("utf-8")
    and DOCS / "reference" not in page.parents
    and str(page.relative_to(ROOT)) not in RUN
]  # fmt: skip
# What a page shows on purpose.
SHOWN = {
    "docs/how-to/check.md": {"SG005"},  # what is found
    "docs/tutorial/first-saga.md": {"SG005"},  # compensations come on the next page
    "docs/how-to/rollback-table.md": {"SG009"},  # what comes of it is what the table shows
    "docs/how-to/notices.md": {"SG008"},  # a saga that stands, at once
}


def reported(*files: Path) -> list[str]:
    found = [finding for finding in findings_in(*files) if finding.severity.at_least(Severity.WARNING)]
    return [f"{finding.place} {finding.rule.id} {finding.what}" for finding in found]


def test_examples_and_pages_are_found():
    assert len(EXAMPLES) >= 7
    assert len(PAGES) >= 25


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: str(file.relative_to(ROOT)))
def test_an_example_is_clean(file: Path):
    assert reported(file) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_is_clean(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    found = reported(*files_of(page, tmp_path))
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            monkeypatch.delitem(sys.modules, name)  # the next page has another shop.py
    known = SHOWN.get(str(page.relative_to(ROOT)), set())
    assert {line.split()[1] for line in found} == known, found
