"""docs/reference/mistakes.md: which mistake of the corpus is found by which rule.

Run as a program it prints the table:

    python -m tools.reference.mistakes
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from amends.cli.targets import load_targets
from amends.lint import Severity, check
from tools.reference.text import generated, table

TESTS = Path(__file__).parent.parent.parent / "tests"
WARNING = Severity.WARNING
CORPUS = TESTS / "lint" / "corpus"
RUN = TESTS / "verify" / "corpus"
INTRODUCTION = """\
Two corpora hold small sagas, each with exactly one mistake of a kind that is found in real code, and correct ones.
Those of the first call real clients, and `amends check` reads them. Those of the second have doubles and a case, so
that `amends verify` can run them as well. Tests check that each mistake is found by its rule, and that nothing is
reported of the correct ones.
"""


def page() -> str:
    """The whole page."""
    lines = [*generated("What is found", "tests/lint/corpus and tests/verify/corpus"), INTRODUCTION]
    run = list(_run_rows())
    lines += ["## Sagas that are run", "", _counted(len(run), RUN), ""]
    lines += table(("mistake", "`amends verify` finds it by", "rule", "`amends check`"), run)
    read = list(_rows())
    lines += ["", "## Sagas that are read", "", _counted(len(read), CORPUS), ""]
    lines += table(("mistake", "`amends check`", ""), read)
    return "\n".join(lines).rstrip() + "\n"


def _counted(wrong: int, corpus: Path) -> str:
    return f"{wrong} mistakes, and {len(list((corpus / 'right').glob('*.py')))} correct sagas."


def _run_rows() -> Iterator[tuple[str, str, str, str]]:
    sys.path.insert(0, str(RUN))  # where the doubles are
    for file in sorted((RUN / "wrong").glob("*.py")):
        text = file.read_text(encoding="utf-8")
        found = re.match(r"# expect: (.+?)(?: (SG\d{3}))?\n", text)
        assert found is not None, file.name
        read = {each.rule.id for each in check(*load_targets([str(file)]).sagas) if each.severity.at_least(WARNING)}
        yield _told(file, text), found[1], _linked(found[2] or ""), ", ".join(map(_linked, sorted(read)))
    sys.path.remove(str(RUN))


def _rows() -> Iterator[tuple[str, str, str]]:
    for file in sorted((CORPUS / "wrong").glob("*.py")):
        text = file.read_text(encoding="utf-8")
        expected = text.partition("# expect: ")[2][:5]
        loaded = load_targets([str(file)])
        found = {each.rule.id: each for each in (*loaded.refused, *check(*loaded.sagas))}
        if expected in found:
            yield _told(file, text), _linked(expected), str(found[expected].severity)
        else:
            yield _told(file, text), "not found", ""


def _told(file: Path, text: str) -> str:
    return (ast.get_docstring(ast.parse(text)) or file.stem).rstrip(".")


def _linked(rule: str) -> str:
    return f"[{rule}](rules.md#{rule.lower()})" if rule else ""


if __name__ == "__main__":
    sys.stdout.write(page())
