"""A pytest file that brings failures back: one test each, which fails until what it shows is mended.

Rules of this file: it makes text. What stands in a file already is kept, and a scenario that is there is not written
twice.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

from ...errors import UsageError
from .findings import Failure

_WIDTH = 116


@dataclass(frozen=True)
class Named:
    """How a file names an object of the author's: `from module import name`, then the whole path."""

    module: str
    path: str

    @property
    def line(self) -> str:
        """The import."""
        return f"from {self.module} import {self.path.partition('.')[0]}"


def regression_file(before: str, saga: Named, case: Named, failures: Iterable[Failure], name: str) -> str:
    """The text of a file with a test for each failure.

    Parameters:
        before: what the file holds now, "" for nothing.
        saga, case: what is replayed.
        failures: what is to be brought back.
        name: the saga's, for the file's docstring.

    Raises:
        UsageError: AM2575, the file holds something else.
    """
    marker = f"replay({saga.path}, {case.path}, "
    if before.strip() and (marker not in before or f"from {saga.module} import " not in before):
        raise UsageError(
            f"it is there already, and is not about {saga.module}:{saga.path} with {case.module}:{case.path}; give "
            f"another file",
            code="AM2575",
        )
    text = before.rstrip("\n") + "\n" if before.strip() else _head(saga, case, name)
    names = set(re.findall(r"^def (test_\w+)", text, re.MULTILINE))
    for failure in failures:
        if f'"{failure.scenario}"' in text:
            continue
        test = _test_name(failure, names)
        names.add(test)
        text += "\n\n" + _test(test, failure, marker)
    return text


def _head(saga: Named, case: Named, name: str) -> str:
    imports = dict.fromkeys(sorted([saga.line, case.line]))
    if saga.module == case.module:
        both = dict.fromkeys(sorted([saga.path.partition(".")[0], case.path.partition(".")[0]]))
        imports = {f"from {saga.module} import {', '.join(both)}": None}
    lines = "\n".join(imports)
    return (
        f'"""What `amends verify` found in {name}: each test fails until that is mended, and then keeps it so."""\n\n'
        f"from amends.testing import replay\n\n{lines}\n"
    )


def _test_name(failure: Failure, taken: set[str]) -> str:
    words = re.sub(r"\W+", "_", failure.scenario.replace("; ", " then ")).strip("_").lower() or "when_all_goes_well"
    name = f"test_{words}"
    number = 2
    while name in taken:
        name, number = f"test_{words}_{number}", number + 1
    return name


def _test(name: str, failure: Failure, marker: str) -> str:
    what = textwrap.wrap(f"{failure.check}: {failure.what}", _WIDTH - 4, break_long_words=False)
    story = "".join(f"    {number}. {said}\n" for number, said in enumerate(failure.story, 1))
    told = "\n    ".join(what).replace("\\", "\\\\").replace('"""', "'''")
    body = f'    """{told}\n\n{story}    """\n' if story else f'    """{told}"""\n'
    return f'def {name}() -> None:\n{body}    {marker}"{failure.scenario}")\n'
