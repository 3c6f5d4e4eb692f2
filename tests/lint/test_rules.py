"""Each rule has a wrong example, which it reports, and a right one, which nothing reports."""

import pytest

from amends.lint import RULES
from tests.lint.looking import HERE, findings_in, rules_in

EXAMPLES = HERE / "rules"
BESIDE = {"SG090": {"SG005"}}  # a comment that silences nothing leaves what it was for


@pytest.mark.parametrize("rule", RULES)
def test_the_wrong_example_is_reported_with_its_rule_alone(rule: str):
    assert rules_in(EXAMPLES / rule / "wrong.py") == {rule} | BESIDE.get(rule, set())


@pytest.mark.parametrize("rule", RULES)
def test_nothing_is_reported_of_the_right_example(rule: str):
    assert findings_in(EXAMPLES / rule / "right.py") == []


def test_there_are_no_examples_of_rules_that_are_none():
    assert {each.name for each in EXAMPLES.iterdir() if each.name != "__pycache__"} == RULES.keys()


@pytest.mark.parametrize("rule", RULES)
def test_a_finding_names_a_line_of_the_file_and_says_how_to_mend_it(rule: str):
    file = EXAMPLES / rule / "wrong.py"
    lines = file.read_text(encoding="utf-8").splitlines()
    for finding in findings_in(file):
        assert finding.place.file == str(file)
        assert lines[finding.place.line - 1].strip()
        assert finding.what
        assert finding.mend


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_is_one_line_and_one_sentence(rule: str):
    for text in (RULES[rule].title, RULES[rule].mend):
        assert "\n" not in text
        assert not text.endswith(".")
