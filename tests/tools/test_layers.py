"""The layer contracts bite: each of these imports, put into a copy of the package, breaks one.

The contracts stand in pyproject.toml. That import-linter sees the standard library at all is a
setting that a careless edit could lose; then everything would pass, and nothing be checked.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    copy = tmp_path_factory.mktemp("layers")
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def lint(copy: Path) -> subprocess.CompletedProcess[str]:
    tool = Path(sys.executable).parent / "lint-imports"
    environment = {**os.environ, "PYTHONPATH": str(copy / "src")}
    return subprocess.run(
        [str(tool), "--no-cache"], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )


def test_the_package_as_it_stands_keeps_every_contract(copy: Path):
    done = lint(copy)
    assert done.returncode == 0, done.stdout
    assert " 0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "line", "complaint"),
    [
        ("core/broken.py", "def now():\n    import time", "amends.core is not allowed to import time"),
        ("policies/broken.py", "from random import random", "amends.policies is not allowed to import random"),
        ("core/broken.py", "from ..stores import base", "amends.core is not allowed to import amends.stores"),
        ("core/broken.py", "from ..lint import check", "amends.core is not allowed to import amends.lint"),
        ("lint/broken.py", "import threading", "amends.lint is not allowed to import threading"),
        ("lint/broken.py", "from ..runtime import views", "amends.lint is not allowed to import amends.runtime"),
        ("stores/broken.py", "from ..observe import bus", "amends.stores is not allowed to import amends.observe"),
        ("runtime/broken.py", "import amends.testing", "amends.runtime is not allowed to import amends.testing"),
        ("runtime/broken.py", "import rich.table", "amends.runtime is not allowed to import rich"),
        ("cli/broken.py", "import pytest", "amends.cli is not allowed to import pytest"),
        ("participant/broken.py", "import starlette", "amends is not allowed to import starlette"),
    ],
    ids=lambda value: value.splitlines()[-1].strip(),
)
def test_a_forbidden_import_is_reported(copy: Path, module: str, line: str, complaint: str):
    broken = copy / "src" / "amends" / module
    broken.write_text(line + "\n")
    try:
        done = lint(copy)
    finally:
        broken.unlink()
    assert done.returncode == 1
    assert complaint in done.stdout
