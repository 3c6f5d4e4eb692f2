"""`amends show`, to the last character, for the three ways in which a saga can stand.

    python -m pytest tests/cli/test_show_golden.py --co   # the files are tests/cli/golden/*.txt

The journals are written by hand with fixed times; only what is told relative to now is replaced.
"""

import re
from pathlib import Path

import pytest

from tests.cli.journals import compensated, completed, requires_manual, write

GOLDEN = Path(__file__).parent / "golden"
RELATIVE = re.compile(r"(\d+(ms|s|m|h|d)(\d+[smh])?|\d+\.\ds) ago|(?<=, )in \w+")


@pytest.mark.parametrize("journal", [completed, compensated, requires_manual])
def test_a_shown_saga_looks_as_it_always_did(journal, call, place):
    write(place / "amends.db", journal())
    shown = call("show", journal()[0][1][0].saga_id)
    assert shown.code == 0 and shown.err == ""
    expected = (GOLDEN / f"{journal.__name__}.txt").read_text(encoding="utf-8")
    assert RELATIVE.sub("<relative>", shown.out) == expected
