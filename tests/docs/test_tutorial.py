"""A new user finishes the tutorial: on a clean machine, with what it says to install and nothing else."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
TUTORIAL = ROOT / "docs" / "tutorial"


def pages() -> list[Path]:
    """The pages in the order in which the first one lists them."""
    first = TUTORIAL / "index.md"
    return [
        first,
        *(TUTORIAL / name for name in re.findall(r"^\d+\. \[.*\]\((.*)\)$", first.read_text(), re.MULTILINE)),
    ]


def test_the_first_page_lists_all_pages():
    assert sorted(pages()) == sorted(TUTORIAL.glob("*.md"))


@pytest.mark.fresh
def test_the_tutorial_runs_as_it_is_written_where_only_python_is_installed(tmp_path: Path):
    # The user's checkout: what git has, without our environment and caches.
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in files:
        target = tmp_path / "amends" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    # Nothing of our environment is on the path: only the interpreter that it was made from.
    interpreter = Path(sys.base_prefix) / "bin"
    kept = [each for each in os.environ["PATH"].split(os.pathsep) if Path(each) != Path(sys.executable).parent]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AMENDS_", "PYTHON", "VIRTUAL"))
    }
    environment |= {
        "PATH": os.pathsep.join([str(interpreter), *kept]),
        "HOME": str(tmp_path),
        "NO_COLOR": "1",
        "COLUMNS": "120",
    }
    done = subprocess.run(
        [str(interpreter / "python3"), str(ROOT / "tests" / "docs" / "pages.py"), "--fresh", *map(str, pages())],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    packages = [path.name for path in (tmp_path / "tickets" / ".venv").glob("lib/*/site-packages/*.dist-info")]
    assert any(name.startswith("amends-") for name in packages)
    assert not any(name.startswith(("ruff", "mypy", "hypothesis", "zensical")) for name in packages)
