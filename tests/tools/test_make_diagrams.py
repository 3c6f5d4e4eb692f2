"""The drawn transitions are those of the tables, and a stale page is noticed."""

import re
from pathlib import Path

from amends.core.transitions import SAGA_TRANSITIONS, STEP_TRANSITIONS
from tools import make_diagrams


def drawn(text: str) -> set[tuple[str, str, str]]:
    arrows = re.findall(r"^    (\w+) --> (\w+) : (.*)$", text, re.MULTILINE)
    return {(source, target, event) for source, target, labels in arrows for event in labels.split(" / ")}


def test_each_transition_of_both_tables_is_drawn_and_none_besides():
    expected = {
        (str(source), str(target), make_diagrams.label(event))
        for table in (SAGA_TRANSITIONS, STEP_TRANSITIONS)
        for source, events in table.items()
        for event, target in events.items()
    }
    assert drawn(make_diagrams.document()) == expected


def test_a_label_holds_no_character_that_mermaid_reads():
    assert make_diagrams.label("TurnedBack:unknown") == "TurnedBack (unknown)"
    assert make_diagrams.label("undo_entered") == "undo entered"


def test_a_stale_page_fails_the_check_and_a_fresh_one_passes(tmp_path: Path, monkeypatch, capsys):
    page = tmp_path / "docs" / "transitions.md"
    monkeypatch.setattr(make_diagrams, "TARGET", page)
    assert make_diagrams.main(["--check"]) == 1
    assert make_diagrams.main([]) == 0
    assert make_diagrams.main(["--check"]) == 0
    page.write_text(page.read_text().replace("scheduled", "planned", 1))
    assert make_diagrams.main(["--check"]) == 1
    assert "run: make docs" in capsys.readouterr().err
