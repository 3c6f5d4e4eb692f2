"""The generated reference says all of what the source has."""

from pathlib import Path

import pytest

from amends.cli.app import app
from amends.core.events import Event
from tools import make_reference
from tools.reference import api, cli, errors, events, settings, text


def test_each_code_that_is_used_is_documented():
    assert errors.used().keys() - errors.documented().keys() == set()


def test_each_code_that_is_documented_is_used():
    assert errors.documented().keys() - errors.used().keys() == set()


def test_each_code_has_its_place_on_the_page_and_says_which_error_bears_it():
    page, used = errors.page(), errors.used()
    for code, known in errors.documented().items():
        assert f"\n### {code}\n" in page
        assert known.classes | used[code].classes, f"no error bears {code}"


def test_an_error_is_shown_as_its_call_says_it():
    assert "> no saga named `{saga}` is registered; registered: `{names}`" in errors.page()


@pytest.mark.parametrize("name", api.MODULES)
def test_each_public_name_stands_on_the_page_of_the_api(name: str):
    page = api.page()
    public = getattr(api.MODULES[name], "__all__", ())
    assert [each for each in public if f"\n### {each}\n" not in page] == []


def test_a_name_in_no_group_stands_there_all_the_same(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(api, "GROUPS", api.GROUPS[1:])
    assert "\n### Saga\n" in api.page()


def test_each_command_and_each_of_its_options_stands_on_the_page_of_the_command_line():
    page = cli.page()
    for name in app:
        if name.startswith("-"):
            continue
        assert f"\n### amends {name}\n" in page
        for argument in app[name].assemble_argument_collection():
            if argument.show and argument.index is None:
                assert f"`{argument.names[0]}`" in page


def test_each_event_of_the_journal_stands_on_the_page_of_events():
    page = events.page()
    assert [each.__name__ for each in Event.__subclasses__() if f"`{each.__name__}`" not in page] == []


def test_each_limit_is_explained():
    lines = [line for line in settings.page().splitlines() if line.startswith("| `") and "_MAX" in line]
    assert lines
    assert [line for line in lines if line.endswith("|  |")] == []


def test_a_docstring_is_taken_apart_into_its_sections():
    doc = text.parse("""Do it.

    Parameters:
        one: the first,
            which is long.
        two, three: others.

    Returns:
        True: always.

    Raises:
        UsageError: AM2001, it cannot be.
    """)
    assert doc.text == "Do it."
    assert doc.sections == {
        "Parameters": [("one", "the first, which is long."), ("two, three", "others.")],
        "Returns": [("", "True: always.")],
        "Raises": [("UsageError", "AM2001, it cannot be.")],
    }


def test_a_page_that_is_not_what_the_source_says_fails_the_check(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr(make_reference, "ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    assert make_reference.main(["--check"]) == 1
    assert make_reference.main([]) == 0
    assert make_reference.main(["--check"]) == 0
    page = tmp_path / "docs" / "reference" / "cli.md"
    page.write_text(page.read_text(encoding="utf-8") + "more\n", encoding="utf-8")
    capsys.readouterr()
    assert make_reference.main(["--check"]) == 1
    assert capsys.readouterr().err == "docs/reference/cli.md: not what the source says; run: make docs\n"
