"""The size check measures what it says, and fails where it must."""

from pathlib import Path

import pytest

from tools import check_sizes


def write(root: Path, name: str, source: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    return path


def function_of(lines: int) -> str:
    return "def long():\n" + "    pass\n" * (lines - 1)


def test_a_function_of_sixty_lines_passes_and_one_of_sixty_one_fails(tmp_path: Path, capsys):
    write(tmp_path, "a.py", function_of(60))
    assert check_sizes.main([str(tmp_path)]) == 0
    write(tmp_path, "a.py", "\n" + function_of(61))
    assert check_sizes.main([str(tmp_path)]) == 1
    assert "a.py:2: long has 61 lines" in capsys.readouterr().out


def test_a_method_and_an_inner_coroutine_count_as_functions(tmp_path: Path):
    path = write(tmp_path, "a.py", "class A:\n    def m(self):\n        async def inner():\n            pass\n")
    assert set(check_sizes.measure(path).functions) == {("m", 2, 3), ("inner", 3, 2)}


def test_a_module_of_six_hundred_lines_passes_with_a_note_and_one_more_fails(tmp_path: Path, capsys):
    write(tmp_path, "a.py", "x = 1\n" * 600)
    assert check_sizes.main([str(tmp_path)]) == 0
    assert "note: " in capsys.readouterr().out
    write(tmp_path, "a.py", "x = 1\n" * 601)
    assert check_sizes.main([str(tmp_path)]) == 1
    assert "601 lines; a module has at most 600" in capsys.readouterr().out


def test_prose_is_docstrings_and_comments_and_no_other_string(tmp_path: Path):
    source = (
        '"""Title.\n\nMore.\n"""\nx = """no\nprose"""  # why\n# alone\n\ndef f():\n    """One."""\n    return "#"\n'
    )
    measured = check_sizes.measure(write(tmp_path, "a.py", source))
    assert (measured.lines, measured.prose) == (11, 4 + 1 + 1 + 1)


@pytest.mark.parametrize(("comments", "verdict"), [(1, "25%"), (0, "(less than 25%)")])
def test_the_ratio_of_prose_is_reported_and_fails_nothing(tmp_path: Path, capsys, comments: int, verdict: str):
    write(tmp_path, "core/a.py", "# why\n" * comments + "x = 1\n" * 3)
    assert check_sizes.main([str(tmp_path)]) == 0
    assert verdict in capsys.readouterr().out


def test_a_root_without_python_files_is_an_error_and_not_a_pass(tmp_path: Path):
    assert check_sizes.main([str(tmp_path)]) == 1
