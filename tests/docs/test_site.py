"""The site builds strictly, shows every page, and loads nothing from anybody else."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"

# What makes a browser fetch something: of a page, of a style sheet.
LOADS = re.compile(r"""<(?:script|img|iframe|source|video|audio)[^>]*\ssrc=["']?([^"'\s>]+)""")
LINKS = re.compile(r"""<link[^>]*\shref=["']?([^"'\s>]+)""")
STYLES = re.compile(r"""(?:url\(|@import\s+)["']?([^"')\s]+)""")
# The theme's own script fetches these from another host when it meets an element of the class.
LAZY = ("mermaid", "glightbox", "pyodide")


def build(where: Path) -> "subprocess.CompletedProcess[str]":
    shutil.copytree(DOCS, where / "docs", dirs_exist_ok=True)
    shutil.copy(ROOT / "mkdocs.yml", where)
    command = [str(Path(sys.executable).parent / "zensical"), "build", "--strict", "--clean"]
    return subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("site")
    done = build(where)
    assert done.returncode == 0, done.stdout + done.stderr
    return where / "site"


def paths_of(nav: list[Any]) -> Iterator[str]:
    for entry in nav:
        if isinstance(entry, str):
            yield entry
        else:
            for value in entry.values():
                yield from [value] if isinstance(value, str) else paths_of(value)


# Pages that are being written beside this one; each is wired into the nav when it has come.
AWAITED = {"how-to/several-processes.md", "how-to/retention.md", "how-to/doctor-and-migrate.md"}


def test_each_page_stands_in_the_navigation_once():
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    assert sorted(paths_of(nav)) == sorted(pages - (AWAITED - set(paths_of(nav))))


def test_each_page_is_built(site: Path):
    pages = [page.relative_to(DOCS).with_suffix("") for page in DOCS.rglob("*.md")]
    built = [site / (page.parent if page.name == "index" else page) / "index.html" for page in pages]
    assert [page for page in built if not page.exists()] == []


def test_the_site_loads_nothing_from_other_hosts(site: Path):
    loads = []
    for file in site.rglob("*"):
        if file.suffix in {".html", ".css", ".svg"}:
            text = file.read_text(encoding="utf-8")
            found = [*LOADS.findall(text), *STYLES.findall(text)]
            found += [link for link in LINKS.findall(text) if "canonical" not in link]
            loads += [(file.name, link) for link in found if re.match(r"(https?:)?//", link)]
    assert loads == []


def test_no_page_holds_what_the_theme_would_load_from_other_hosts(site: Path):
    classes = re.compile(rf'class="[^"]*\b({"|".join(LAZY)})\b')
    assert [file for file in site.rglob("*.html") if classes.search(file.read_text(encoding="utf-8"))] == []


def test_a_link_that_leads_nowhere_fails_the_build(tmp_path: Path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "broken.md").write_text("# Broken\n\n[nowhere](nowhere.md)\n", encoding="utf-8")
    done = build(tmp_path)
    assert done.returncode != 0
    assert "page does not exist" in done.stdout + done.stderr
