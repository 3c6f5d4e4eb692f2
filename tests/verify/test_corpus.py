"""Small sagas with a case, each with exactly one mistake, which a run finds; and correct ones, with nothing to find."""

import ast
import re
from pathlib import Path

import pytest

from amends.cli.targets import object_of
from amends.testing.exploring.exploration import Exploration
from amends.testing.exploring.lab import Lab
from amends.testing.exploring.verifying import explore

HERE = Path(__file__).parent / "corpus"
WRONG = sorted((HERE / "wrong").glob("*.py"))
RIGHT = sorted((HERE / "right").glob("*.py"))


@pytest.fixture(autouse=True)
def participants(monkeypatch):
    """The doubles that the sagas of the corpus import."""
    monkeypatch.syspath_prepend(str(HERE))


def verified(file: Path):
    _, saga = object_of(f"{file}:sell")
    _, case = object_of(f"{file}:case")
    return explore(Exploration(saga, case), Lab(saga, case))


def expected(file: Path) -> tuple[str, str]:
    found = re.match(r"# expect: (.+?)( SG\d{3})?\n", file.read_text(encoding="utf-8"))
    assert found is not None, f"{file.name} does not say what finds it"
    return found[1], (found[2] or "").strip()


@pytest.mark.parametrize("file", WRONG, ids=lambda file: file.stem)
def test_a_mistake_is_found(file: Path):
    found = verified(file)
    assert expected(file) in {(each.check, each.rule) for each in found.failures}, "\n".join(found.lines())
    assert not {"case", "promise"} & {each.check for each in found.failures}


@pytest.mark.parametrize("file", RIGHT, ids=lambda file: file.stem)
def test_of_a_correct_saga_nothing_is_found(file: Path):
    found = verified(file)
    assert found.failures == (), "\n".join(found.lines())
    assert found.whole
    assert found.unreached == ()
    assert found.tried == found.points


def test_each_saga_says_what_it_is():
    for file in (*WRONG, *RIGHT):
        assert ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))), file.name
