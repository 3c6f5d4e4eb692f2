"""Comments, baselines, and what is reported once."""

from pathlib import Path

import pytest

from amends.cli.targets import load_targets
from amends.errors import UsageError
from amends.lint import check
from amends.lint.baseline import known, written
from amends.lint.reports import junit, record, sarif
from amends.testing import assert_clean
from tests.lint.looking import HERE, findings_in, rules_in

WRONG = HERE / "rules" / "SG005" / "wrong.py"


def changed(tmp_path: Path, old: str, new: str) -> Path:
    text = WRONG.read_text(encoding="utf-8")
    assert text.count(old) == 1
    (tmp_path / "shop.py").write_text(text.replace(old, new), encoding="utf-8")
    return tmp_path / "shop.py"


RESERVE = "@step\nasync def reserve"


def test_a_comment_with_a_reason_at_the_line_silences_it(tmp_path: Path):
    assert rules_in(changed(tmp_path, RESERVE, f"@step  # amends: ignore[SG005] it lapses{RESERVE[5:]}")) == set()


def test_a_comment_with_a_reason_above_the_line_silences_it(tmp_path: Path):
    assert rules_in(changed(tmp_path, RESERVE, f"# amends: ignore[SG001, SG005] it lapses\n{RESERVE}")) == set()


def test_a_comment_at_the_end_of_the_line_above_belongs_to_that_line(tmp_path: Path):
    new = f"x = 1  # amends: ignore[SG005] it lapses\n{RESERVE}"
    assert rules_in(changed(tmp_path, RESERVE, new)) == {"SG005"}


def test_a_comment_for_another_rule_silences_nothing(tmp_path: Path):
    assert rules_in(changed(tmp_path, RESERVE, f"# amends: ignore[SG011] it lapses\n{RESERVE}")) == {"SG005"}


@pytest.mark.parametrize("comment", ["# amends: ignore", "# amends: ignore it lapses"])
def test_a_comment_that_names_no_rule_silences_nothing_and_is_reported(comment: str, tmp_path: Path):
    assert rules_in(changed(tmp_path, RESERVE, f"{comment}\n{RESERVE}")) == {"SG005", "SG090"}


def test_a_mistake_of_a_step_that_two_sagas_share_is_reported_once(tmp_path: Path):
    old = 'sell = Saga("sell", reserve, capture)'
    found = findings_in(changed(tmp_path, old, f'{old}\nrent = Saga("rent", reserve, capture)'))
    assert [finding.rule.id for finding in found] == ["SG005"]


def test_a_saga_whose_source_cannot_be_had_is_checked_by_its_graph():
    names: dict[str, object] = {}
    exec(compile(WRONG.read_text(encoding="utf-8"), "<no file>", "exec"), names)
    (finding,) = check(names["sell"])  # type: ignore[arg-type]
    assert finding.rule.id == "SG005"
    assert finding.place.file == "<no file>"


def test_what_a_baseline_knows_is_not_new_even_when_lines_moved(tmp_path: Path):
    baseline = written(findings_in(changed(tmp_path, RESERVE, RESERVE)))
    moved = changed(tmp_path, RESERVE, f"x = 1\n\n\n{RESERVE}")
    moved.rename(tmp_path / "shop_2.py")
    found = findings_in(tmp_path / "shop_2.py")
    baseline = baseline.replace("shop.py", "shop_2.py")
    assert known(found, baseline) == ([], 0)


def test_a_second_mistake_of_the_same_kind_is_new(tmp_path: Path):
    found = findings_in(changed(tmp_path, RESERVE, RESERVE))
    assert known([*found, *found], written(found)) == (found, 0)


def test_a_baseline_says_how_much_of_it_is_mended(tmp_path: Path):
    assert known([], written(findings_in(changed(tmp_path, RESERVE, RESERVE)))) == ([], 1)


@pytest.mark.parametrize("text", ["", "[]", '{"findings": [{}]}'])
def test_what_is_no_baseline_is_refused(text: str):
    with pytest.raises(UsageError, match="AM2519"):
        known([], text)


def test_a_record_names_the_place_and_the_page():
    (finding,) = findings_in(WRONG)
    shown = record(finding)
    assert shown["file"] == str(WRONG)
    assert shown["line"] == 14
    assert shown["page"] == "reference/rules/#sg005"


def test_sarif_names_the_rule_the_level_and_the_region():
    (run,) = sarif(findings_in(WRONG))["runs"]
    (result,) = run["results"]
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "SG005"
    assert result["level"] == "error"
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 14, "startColumn": 1}


def test_junit_has_a_failed_case_per_finding_and_a_passed_one_per_clean_saga():
    from xml.etree import ElementTree as ET

    root = ET.fromstring(junit(findings_in(WRONG), ["sell", 'quoted "&" one']))
    cases = {suite.get("name"): [len(case) for case in suite] for suite in root}
    assert cases == {"sell": [1], 'quoted "&" one': [0]}


def test_assert_clean_lists_what_is_found_and_how_to_mend_it():
    names: dict[str, object] = {}
    exec(compile(WRONG.read_text(encoding="utf-8"), "shop.py", "exec"), names)
    with pytest.raises(AssertionError) as failure:
        assert_clean(names["sell"])  # type: ignore[arg-type]
    first, second, mend = str(failure.value).splitlines()
    assert first == "1 found:"
    assert second.startswith('shop.py:14:1: error SG005 step "reserve"')
    assert mend.startswith("    give it a compensation")


def test_assert_clean_counts_infos_when_it_is_told_to():
    (saga,) = load_targets([str(HERE / "rules" / "SG004" / "wrong.py")]).sagas
    assert_clean(saga)
    with pytest.raises(AssertionError, match="SG004"):
        assert_clean(saga, severity="info")
