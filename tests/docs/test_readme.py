"""What the README shows is what runs."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples" / "trip.py"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"the README has {len(found)} blocks of {language}"
    return found[0]


def run_trip(where: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, str(EXAMPLE)], cwd=where, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_the_readme_shows_the_example_to_the_letter():
    assert block("python") == EXAMPLE.read_text(encoding="utf-8")


def test_the_example_prints_what_the_readme_says_and_books_nothing_twice(tmp_path: Path):
    told = run_trip(tmp_path)
    assert [re.sub(r"under \S+?/", "under <saga id>/", line) for line in told] == block("text").splitlines()
    assert run_trip(tmp_path) == [line for line in told if not line.startswith("  ") or "booked, " in line]


def test_the_example_passes_mypy_in_strict_mode():
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(EXAMPLE)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
