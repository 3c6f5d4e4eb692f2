"""docs/reference/errors.md: every stable code, what it means, which error bears it, and what it says.

Meanings stand in docstrings, as lines `AM1201  nothing fits a parameter`, near where the codes are used; the class's
name may stand between. What an error *says* is read off the calls that make it, so that its mend cannot differ from
the page's.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import amends.errors
from tools.reference.text import generated, parse

SOURCE = Path(amends.errors.__file__).parent
CODE = re.compile(r"AM\d{4}")
MEANING = re.compile(r"^ {4}(AM\d{4}) +(?:([A-Z]\w+[a-z]) {2,})?(\S.*?)$", re.MULTILINE)
BLAME = {
    "AM1": ("Definitions", "A saga that cannot run. Raised when it is built, never later."),
    "AM20": ("Calls", "A call that cannot be served as it was made."),
    "AM21": ("Payloads", "A value that cannot be stored, or no longer decodes."),
    "AM22": ("Addresses and names", "What a store cannot take."),
    "AM23": ("More of calls", "A call that cannot be served as it was made."),
    "AM24": ("Participants", "What the barrier refuses to vouch for."),
    "AM25": ("The command line", "How the command was called."),
    "AM26": ("More of calls", "A call that cannot be served as it was made."),
    "AM27": ("More of calls", "A call that cannot be served as it was made."),
    "AM28": ("More of calls", "A call that cannot be served as it was made."),
    "AM29": ("More of calls", "A call that cannot be served as it was made."),
    "AM3": ("Not found", "No such saga, step, signal or definition."),
    "AM4": ("Conflicts", "Not in this state. The message names the state and what it allows."),
    "AM5": ("How a saga ended", "Raised by `result()`."),
    "AM6": ("The store", "The infrastructure under the journal."),
}
INTRODUCTION = """\
Every error of Amends has a code that never changes its meaning, and a message that says what happened, where, and how
to mend it; `error.code` has it alone. The first digit says whose move it is. What stands in braces is filled in.

`Rejected` and `NotSent` have no code: they are said by *your* functions, see [the API](api.md#said-by-your-functions).
"""


@dataclass
class Code:
    """One code: what it means, the classes that bear it, the messages it comes with."""

    code: str
    meanings: list[str] = field(default_factory=list)
    classes: set[str] = field(default_factory=set)
    messages: list[str] = field(default_factory=list)


def documented() -> dict[str, Code]:
    """Every code that a docstring gives a meaning, or that belongs to a class."""
    codes: dict[str, Code] = {}
    for name, value in vars(amends.errors).items():
        if inspect.isclass(value) and "code" in vars(value) and value is not amends.errors.AmendsError:
            code = codes.setdefault(value.code, Code(value.code))
            code.classes.add(name)
            code.meanings.append(parse(value.__doc__).text.splitlines()[0])
    for path in _files():
        for doc in _docstrings(path):
            for found, name, meaning in MEANING.findall(doc):
                code = codes.setdefault(found, Code(found))
                if not code.meanings or code.classes == {name}:
                    code.meanings.append(meaning)
                if name:
                    code.classes.add(name)
    return codes


def used() -> dict[str, Code]:
    """Every code that stands in the source other than in a docstring, with what is said of it there."""
    codes: dict[str, Code] = {}
    for path in _files():
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
                codes.setdefault(node.value, Code(node.value))
            if isinstance(node, ast.Call):
                _message(node, codes)
    codes.pop("AM0000", None)  # the root's, which nothing bears
    return codes


def page() -> str:
    """The whole page."""
    known, said = documented(), used()
    lines = [*generated("Errors", "docstrings, and the calls that make errors"), INTRODUCTION]
    for prefix, codes in _grouped(sorted(known)).items():
        title, told = BLAME[prefix]
        lines += [f"## {title}", "", told, ""]
        for code in codes:
            lines += _one(known[code], said.get(code))
    return "\n".join(lines).rstrip() + "\n"


def _grouped(codes: list[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for code in codes:
        prefix = next(each for each in sorted(BLAME, key=len, reverse=True) if code.startswith(each))
        groups.setdefault(prefix, []).append(code)
    return groups


def _one(known: Code, said: Code | None) -> Iterator[str]:
    classes = sorted(known.classes | (said.classes if said else set()))
    yield f"### {known.code}"
    yield ""
    meaning = known.meanings[0].rstrip(".")
    yield f"**{meaning[0].upper()}{meaning[1:]}.** {' or '.join(f'`{name}`' for name in classes)}"
    yield ""
    for message in dict.fromkeys(said.messages if said else ()):
        yield f"> {message}"
        yield ""


def _message(call: ast.Call, codes: dict[str, Code]) -> None:
    code = next((each.value for each in call.keywords if each.arg == "code"), None)
    if not (isinstance(code, ast.Constant) and isinstance(code.value, str) and CODE.fullmatch(code.value)):
        return
    entry = codes.setdefault(code.value, Code(code.value))
    name = (
        call.func.id
        if isinstance(call.func, ast.Name)
        else call.func.attr
        if isinstance(call.func, ast.Attribute)
        else ""
    )
    if inspect.isclass(getattr(amends.errors, name, None)):
        entry.classes.add(name)
        text = _template(call.args[0]) if call.args else ""
        if text:
            entry.messages.append(text)


def _template(node: ast.expr) -> str:
    """A message as it stands in the source, with a short name for each value that is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _plain(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(
            f"`{{{_short(part.value)}}}`" if isinstance(part, ast.FormattedValue) else _template(part)
            for part in node.values
        )
    return ""


def _plain(text: str) -> str:
    return (
        " ".join(text.split(" "))
        .replace("<", "&lt;")
        .replace("*", "\\*")
        .replace("_", "\\_")
        .replace("[", "\\[")
        .replace("`", "")
    )


def _short(node: ast.expr) -> str:
    names = [
        each.attr if isinstance(each, ast.Attribute) else each.id
        for each in ast.walk(node)
        if isinstance(each, (ast.Attribute, ast.Name))
    ]
    plain = [name for name in names if not name.isupper()]
    return (names[0] if names and names[0].isupper() else plain[0] if plain else "value").strip("_").lower()


def _files() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _docstrings(path: Path) -> Iterator[str]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield ast.get_docstring(node) or ""
