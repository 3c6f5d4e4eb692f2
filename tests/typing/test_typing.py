"""What a type checker says about programs that use Amends: nothing, or exactly what is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

api = pytest.importorskip("mypy.api")

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def found() -> set[tuple[str, int]]:
    """File and line of every error of one strict run over all files."""
    names = ("readme_example", "containers", "payload_types", "wrong_calls")
    files = [str(HERE / f"{name}.py") for name in names]
    output, complaints, _ = api.run(["--strict", "--no-error-summary", *files])
    assert not complaints
    return {(Path(file).name, int(line)) for file, line in re.findall(r"^(\S+?):(\d+): error:", output, re.MULTILINE)}


@pytest.mark.parametrize("file", ["readme_example.py", "containers.py", "payload_types.py"])
def test_what_is_right_is_clean_under_strict(found, file):
    assert (HERE / file).exists()
    assert not [each for each in found if each[0] == file]


def test_every_marked_mistake_is_found_and_nothing_else(found):
    lines = (HERE / "wrong_calls.py").read_text().splitlines()
    marked = {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}
    assert {line for file, line in found if file == "wrong_calls.py"} == marked
    assert len(marked) == 29
