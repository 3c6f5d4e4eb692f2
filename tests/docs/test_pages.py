"""What the pages show is what runs: every block of code of every page, from top to bottom."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import Page, matches, read_page

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
RUNNER = Path(__file__).parent / "pages.py"
PAGES = [read_page(path) for path in sorted([*DOCS.rglob("*.md"), ROOT / "README.md"])]
RUNS = {"python", "console", "sh"}
READ_AS_DATA = {"text", "json", "toml", "sql", "mermaid", "html", "yaml", "http", "ini"}

# How many blocks of each page say that they are not run. Add to this only with a reason on the page.
NOT_RUN = {"docs/examples.md": 1, "docs/tutorial/waiting.md": 1}
FRESH = {"docs/tutorial/index.md": 1, "docs/tutorial/testing.md": 1}


def name(page: Page) -> str:
    return str(page.path.relative_to(ROOT))


def run(pages: list[Path], where: Path) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(where),
        "COLUMNS": "120",
        "NO_COLOR": "1",
        "PYTHONWARNINGS": "error",
        "AMENDS_STORE": "",
        "AMENDS_APP": "",
    }
    return subprocess.run(
        [sys.executable, str(RUNNER), *map(str, pages)],
        cwd=where, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("page", [page for page in PAGES if page.blocks], ids=name)
def test_each_block_of_a_page_runs_and_prints_what_the_page_says(page: Page, tmp_path: Path):
    done = run([page.path], tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.parametrize(("marker", "allowed"), [("not run", NOT_RUN), ("fresh", FRESH)], ids=["not run", "fresh"])
def test_no_block_is_passed_over_but_those_counted_here(marker: str, allowed: dict[str, int]):
    counts = {name(page): sum(block.marker == marker for block in page.blocks) for page in PAGES}
    assert {page: count for page, count in counts.items() if count} == allowed


def test_no_block_is_in_a_language_that_nobody_runs_or_knows():
    odd = {
        f"{name(page)}:{block.line}: {block.language!r}"
        for page in PAGES
        for block in page.blocks
        if block.language not in RUNS | READ_AS_DATA and not block.title
    }
    assert odd == set()


PAGE = """\
```python
async def one():
    return 1

x = await one()
print(x)
```

It prints:

```text
{printed}
```

```console
$ {command}
"""


@pytest.mark.parametrize(
    ("printed", "command", "complaint"),
    [
        ("2", "true", "another output"),
        ("1", "false", "exit code 1"),
        ("1", "echo a\nb", "another output"),
        ("1", "echo 01ARZ3NDEKTSV4RRFFQ69G5FAV\n01ARZ3NDEKTSV4RRFFQ69G5FA", "another output"),
    ],
)
def test_a_page_that_is_wrong_is_found_out(printed: str, command: str, complaint: str, tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(PAGE.format(printed=printed, command=command) + "```\n", encoding="utf-8")
    done = run([page], tmp_path)
    assert done.returncode == 1
    assert complaint in done.stderr


def test_a_block_that_raises_is_found_out_at_its_line(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```python\nx = 1\nraise KeyError('y')\n```\n", encoding="utf-8")
    done = run([page], tmp_path)
    assert done.returncode == 1
    assert "page.md:4: the block raised" in done.stderr
    assert "line 5, in" in done.stderr


def test_what_differs_from_run_to_run_is_compared_by_its_kind():
    ids: dict[str, str] = {}
    shown, real = "01ARZ3NDEKTSV4RRFFQ69G5FAV", "01BX5ZZKBKACTAV9WEVGEMMVRZ"
    assert matches(f"{shown}  done  3ms", f"{real} done 12.5s", ids)
    assert ids == {shown: real}
    assert matches("...\nlast ... word", "first\nsecond\nlast and final word", ids)
    assert not matches(shown, shown, ids)  # it stands for the real one now
    assert not matches("3ms", "soon", ids)
    assert not matches("a\nb", "a", ids)
