"""The sagas of a page of the documentation, as files: its blocks of code without what runs them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.docs.pages import read_page

DEFINES = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Assign, ast.AnnAssign)


def files_of(page: Path, where: Path) -> list[Path]:
    """Those of its blocks that are files and hold a saga, and one of all blocks that are none."""
    found, rest = [], []
    for block in read_page(page).blocks:
        if block.language != "python":
            continue
        if block.title.endswith(".py"):
            file = where / block.title
            file.write_text(block.code, encoding="utf-8")
            found += [file] if " Saga(" in block.code else []
        else:
            rest += _definitions(block.code)
    whole = where / f"{page.stem.replace('-', '_')}_page.py"
    whole.write_text("\n".join(rest), encoding="utf-8")
    return [*found, whole]


def _definitions(code: str) -> Iterator[str]:
    """The statements that define something, with the comments above them."""
    lines, end = code.splitlines(), 0
    for statement in ast.parse(code).body:
        runs = any(isinstance(node, (ast.Await, ast.AsyncWith)) for node in ast.walk(statement))
        of_a_function = isinstance(statement, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        if isinstance(statement, DEFINES) and (of_a_function or not runs):
            yield "\n".join(lines[end : statement.end_lineno])
        end = statement.end_lineno or end
