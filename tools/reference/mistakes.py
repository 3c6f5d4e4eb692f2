"""docs/reference/mistakes.md: which mistake of the corpus is found by which rule.

Run as a program it prints the table:

    python -m tools.reference.mistakes
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from amends.cli.targets import load_targets
from amends.lint import check
from tools.reference.text import generated, table

CORPUS = Path(__file__).parent.parent.parent / "tests" / "lint" / "corpus"
INTRODUCTION = """\
The corpus holds small sagas, each with exactly one mistake of a kind that is found in real code, and correct ones. A
test checks that each mistake is found by its rule and by no other, and that nothing is reported of the correct ones.
"""


def page() -> str:
    """The whole page."""
    right = len(list((CORPUS / "right").glob("*.py")))
    rows = list(_rows())
    lines = [*generated("What is found", "tests/lint/corpus"), INTRODUCTION]
    lines += [f"{len(rows)} mistakes, and {right} correct sagas.", ""]
    lines += table(("mistake", "`amends check`", ""), rows)
    return "\n".join(lines).rstrip() + "\n"


def _rows() -> Iterator[tuple[str, str, str]]:
    for file in sorted((CORPUS / "wrong").glob("*.py")):
        text = file.read_text(encoding="utf-8")
        expected = text.partition("# expect: ")[2][:5]
        loaded = load_targets([str(file)])
        found = {each.rule.id: each for each in (*loaded.refused, *check(*loaded.sagas))}
        told = (ast.get_docstring(ast.parse(text)) or file.stem).rstrip(".")
        if expected in found:
            yield told, f"[{expected}](rules.md#{expected.lower()})", str(found[expected].severity)
        else:
            yield told, "not found", ""


if __name__ == "__main__":
    sys.stdout.write(page())
