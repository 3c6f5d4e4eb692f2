"""Small sagas, each with exactly one mistake, which its rule finds and no other; and correct ones, of which none is."""

import re
from pathlib import Path

import pytest

from amends.lint import RULES
from tests.lint.looking import HERE, findings_in, rules_in

WRONG = sorted((HERE / "corpus" / "wrong").glob("*.py"))
RIGHT = sorted((HERE / "corpus" / "right").glob("*.py"))
BESIDE = {"SG090": {"SG032"}}  # a comment that silences nothing leaves what it was for


def expected(file: Path) -> str:
    found = re.match(r"# expect: (SG\d{3})\n", file.read_text(encoding="utf-8"))
    assert found is not None, f"{file.name} does not say which rule finds it"
    return found[1]


@pytest.mark.parametrize("file", WRONG, ids=lambda file: file.stem)
def test_a_mistake_is_found_by_its_rule_and_by_no_other(file: Path):
    rule = expected(file)
    assert rules_in(file) == {rule} | BESIDE.get(rule, set())


@pytest.mark.parametrize("file", RIGHT, ids=lambda file: file.stem)
def test_of_a_correct_saga_nothing_is_reported(file: Path):
    assert [f"{each.place} {each.rule.id} {each.what}" for each in findings_in(file)] == []


def test_each_rule_has_a_case():
    assert {expected(file) for file in WRONG} == RULES.keys()
